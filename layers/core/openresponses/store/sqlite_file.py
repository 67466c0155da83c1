"""The SQLite file of the local history: made for its owner alone, with the tables of everything that lies in it.

The API keys have theirs here too: whoever opens the file first, the store or the keys, makes it whole.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from .base import StoreUnavailable
from .sqlite_conversations import SCHEMA as CONVERSATIONS_SCHEMA
from .sqlite_counters import SCHEMA as COUNTERS_SCHEMA
from .sqlite_idempotency import SCHEMA as IDEMPOTENCY_SCHEMA
from .sqlite_jobs import SCHEMA as JOBS_SCHEMA

SCHEMA_VERSION = 1
CHECKPOINT_PAGES = 4000  # of the write-ahead log, 16 MB: a quarter less time a write than at SQLite's 1000

SCHEMA = """
CREATE TABLE responses (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    parent TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (tenant, id)
);
CREATE INDEX responses_by_expiry ON responses (expires_at);
"""

KEYS_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER,
    disabled INTEGER NOT NULL,
    limits TEXT NOT NULL
)
""",
    "CREATE INDEX IF NOT EXISTS api_keys_by_tenant ON api_keys (tenant, issued_at)",
)
# Columns that the first tables of keys did not have.
KEYS_ADDED = {"owner": "TEXT NOT NULL DEFAULT ''", "used_on": "TEXT"}


def open_file(path: str | Path, lock_timeout: float = 5.0) -> sqlite3.Connection:
    """A connection to the file at `path`, made, with its tables, if need be. Raises OSError, sqlite3.Error,
    StoreUnavailable."""
    _make_private(Path(path))
    return connect(path, lock_timeout)


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: str | Path, lock_timeout: float) -> sqlite3.Connection:
    """A connection to the file at `path`, or in memory, with all tables. Raises sqlite3.Error, StoreUnavailable."""
    # Made here, used by one worker's thread alone.
    connection = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables of a new file. Raises StoreUnavailable for a file of a later release."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in filter(str.strip, SCHEMA.split(";")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    if version <= SCHEMA_VERSION:
        # What release 0.1 did not have, and does not mind.
        for statement in (*JOBS_SCHEMA, *CONVERSATIONS_SCHEMA, *COUNTERS_SCHEMA, *IDEMPOTENCY_SCHEMA):
            connection.execute(statement)
        _prepare_keys(connection)
    connection.execute("COMMIT")
    if version > SCHEMA_VERSION:
        raise StoreUnavailable(f"the file has schema {version}, this release knows {SCHEMA_VERSION}")


def _prepare_keys(db: sqlite3.Connection) -> None:
    """Makes the table, or gives an older one what it lacks."""
    for statement in KEYS_SCHEMA:
        db.execute(statement)
    present = {name for _, name, *_ in db.execute("PRAGMA table_info(api_keys)")}
    for name, kind in KEYS_ADDED.items():
        if name not in present:
            db.execute(f"ALTER TABLE api_keys ADD COLUMN {name} {kind}")
