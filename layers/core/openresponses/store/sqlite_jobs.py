"""Unfinished responses in the SQLite file: a row each while they are open, and their events beside the record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from .background import Batch, Lease
from .base import StoredResponse
from .codec import FORMAT, nameable, pack, require_nameable
from .sqlite_threads import Worker

# Whatever removes a response (a delete, its expiry) removes what belongs to it.
SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS leases (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    owner TEXT,
    until REAL NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0,
    request BLOB,
    PRIMARY KEY (tenant, id)
)
""",
    "CREATE INDEX IF NOT EXISTS leases_by_end ON leases (until)",
    """
CREATE TABLE IF NOT EXISTS events (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    first INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id, first)
)
""",
    """
CREATE TRIGGER IF NOT EXISTS response_removed AFTER DELETE ON responses BEGIN
    DELETE FROM leases WHERE tenant = old.tenant AND id = old.id;
    DELETE FROM events WHERE tenant = old.tenant AND id = old.id;
END
""",
)

RECORD = """
INSERT OR IGNORE INTO responses (tenant, id, parent, created_at, expires_at, format, body) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
SUBMIT = "INSERT OR IGNORE INTO leases (tenant, id, until, request) VALUES (?, ?, ?, ?)"
QUEUED = (
    "SELECT request FROM leases WHERE tenant = ? AND id = ? AND owner IS NULL AND cancelled = 0 AND until > ?"
)
CLAIM = "UPDATE leases SET owner = ?, until = ?, request = NULL WHERE tenant = ? AND id = ?"
RENEW = "UPDATE leases SET until = ? WHERE tenant = ? AND id = ? AND owner = ?"
LEASE = "SELECT owner, until, cancelled FROM leases WHERE tenant = ? AND id = ?"
CANCEL = "UPDATE leases SET cancelled = 1 WHERE tenant = ? AND id = ?"
APPEND = """
INSERT OR IGNORE INTO events (tenant, id, first, body)
SELECT :tenant, :id, :first, :body WHERE EXISTS (SELECT 1 FROM leases WHERE tenant = :tenant AND id = :id)
"""
EVENTS = "SELECT first, body FROM events WHERE tenant = ? AND id = ? AND first >= ? ORDER BY first LIMIT ?"
HELD = "SELECT 1 FROM leases WHERE tenant = ? AND id = ? AND owner IS ?"
FINAL = "UPDATE responses SET expires_at = ?, format = ?, body = ? WHERE tenant = ? AND id = ?"
ENDED = "DELETE FROM leases WHERE tenant = ? AND id = ?"
EXPIRED = "SELECT tenant, id FROM leases WHERE until <= ? ORDER BY until LIMIT ?"

PAGE = 64  # batches read at once
COMPRESS_FROM = 8 * 1024  # bytes, as in sqlite.py


class SQLiteJobs:
    """See Jobs. `writer` and `reader` are the store's own."""

    def __init__(self, writer: Worker, reader: Worker, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def submit(self, tenant: str, record: StoredResponse, request: bytes, until: float) -> None:
        require_nameable(tenant, record)

        def write(db: sqlite3.Connection) -> None:
            body = pack(record, compress_from=COMPRESS_FROM)
            parent, created, expires = record.previous_response_id, record.created_at, record.expires_at
            db.execute(RECORD, (tenant, record.id, parent, created, expires, FORMAT, body))
            db.execute(SUBMIT, (tenant, record.id, until, request))

        await self._writer.run(write)

    async def claim(self, tenant: str, response_id: str, owner: str, until: float) -> bytes | None:
        if not nameable(tenant, response_id):
            return None
        now = self._clock()

        def write(db: sqlite3.Connection) -> bytes | None:
            row = db.execute(QUEUED, (tenant, response_id, now)).fetchone()
            if row is None:
                return None
            db.execute(CLAIM, (owner, until, tenant, response_id))
            request: bytes = row[0]
            return request

        return await self._writer.run(write)

    async def renew(self, tenant: str, response_id: str, owner: str, until: float) -> bool:
        given = (until, tenant, response_id, owner)
        return await self._writer.run(lambda db: db.execute(RENEW, given).rowcount == 1)

    async def lease(self, tenant: str, response_id: str) -> Lease | None:
        if not nameable(tenant, response_id):
            return None

        def read(db: sqlite3.Connection) -> Lease | None:
            row = db.execute(LEASE, (tenant, response_id)).fetchone()
            return Lease(row[0], row[1], bool(row[2])) if row else None

        return await self._reader.run(read)

    async def cancel(self, tenant: str, response_id: str) -> None:
        if nameable(tenant, response_id):
            await self._writer.run(lambda db: db.execute(CANCEL, (tenant, response_id)))

    async def append(self, tenant: str, response_id: str, batch: Batch, expires_at: int) -> bool:
        return await self._writer.run(lambda db: _append(db, tenant, response_id, batch))

    async def events(self, tenant: str, response_id: str, first: int) -> list[Batch]:
        if not nameable(tenant, response_id):
            return []
        asked = (tenant, response_id, first, PAGE)
        return await self._reader.run(lambda db: [Batch(*row) for row in db.execute(EVENTS, asked)])

    async def finish(self, tenant: str, record: StoredResponse, owner: str | None, last: Batch) -> bool:
        def write(db: sqlite3.Connection) -> bool:
            if not db.execute(HELD, (tenant, record.id, owner)).fetchone():
                return False
            body = pack(record, compress_from=COMPRESS_FROM)
            if not _append(db, tenant, record.id, last):
                return False
            db.execute(FINAL, (record.expires_at, FORMAT, body, tenant, record.id))
            db.execute(ENDED, (tenant, record.id))
            return True

        return await self._writer.run(write)

    async def expired(self, limit: int) -> list[tuple[str, str]]:
        now = self._clock()
        return await self._reader.run(lambda db: db.execute(EXPIRED, (now, limit)).fetchall())


def _append(db: sqlite3.Connection, tenant: str, response_id: str, batch: Batch) -> bool:
    given = {"tenant": tenant, "id": response_id, "first": batch.first, "body": batch.events}
    return db.execute(APPEND, given).rowcount == 1
