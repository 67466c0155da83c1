"""API keys in the SQLite file of the local history, on a connection of their own."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .base import StoreUnavailable
from .keys import ApiKey, ApiKeys

SCHEMA = (
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
Rows = list[tuple[Any, ...]]

COLUMNS = "id, tenant, name, issued_at, expires_at, disabled, limits"
FIND = f"SELECT {COLUMNS} FROM api_keys WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM api_keys WHERE tenant = ? ORDER BY issued_at, rowid"
INSERT = f"INSERT INTO api_keys ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
DELETE = "DELETE FROM api_keys WHERE id = ?"


class SQLiteKeys(ApiKeys):
    """The keys in the file at `path`, which is made if need be. Raises StoreUnavailable."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        from .sqlite import open_file

        super().__init__(clock)
        self._lock = threading.Lock()
        try:
            self._db = open_file(path)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"{path}: {error}") from error

    def list(self, tenant: str) -> list[ApiKey]:
        return [_key(row) for row in self._run(LIST, tenant)]

    def _find(self, digest: str) -> ApiKey | None:
        return next((_key(row) for row in self._run(FIND, digest)), None)

    def _insert(self, key: ApiKey) -> None:
        limits = json.dumps(dict(key.limits))
        row = (key.id, key.tenant, key.name, key.issued_at, key.expires_at, key.disabled, limits)
        self._run(INSERT, *row)

    def _remove(self, key: ApiKey) -> None:
        self._run(DELETE, key.id)

    def _run(self, statement: str, *values: str | int | None) -> Rows:
        try:
            with self._lock:
                return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error


def _key(row: tuple[Any, ...]) -> ApiKey:
    id, tenant, name, issued_at, expires_at, disabled, limits = row
    return ApiKey(id, tenant, name, issued_at, expires_at, bool(disabled), json.loads(limits))
