"""Idempotency keys in the SQLite file: a row each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from .idempotency import Claim
from .sqlite_threads import Worker

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS idempotency (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    response_id TEXT NOT NULL,
    done INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
)
""",
    "CREATE INDEX IF NOT EXISTS idempotency_by_expiry ON idempotency (expires_at)",
)
PURGE = "DELETE FROM idempotency WHERE expires_at <= ?"
FIND = "SELECT digest, response_id, done, expires_at FROM idempotency WHERE tenant = ? AND key = ? AND expires_at > ?"
GET = "SELECT digest, response_id, done, expires_at FROM idempotency WHERE tenant = ? AND key = ?"
PUT = """
INSERT OR REPLACE INTO idempotency (tenant, key, digest, response_id, done, expires_at) VALUES (?, ?, ?, ?, ?, ?)
"""
DELETE = "DELETE FROM idempotency WHERE tenant = ? AND key = ?"


class SQLiteIdempotency:
    """See Idempotency. `writer` and `reader` are the store's own."""

    def __init__(self, writer: Worker, reader: Worker, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def claim(self, tenant: str, key: str, claim: Claim) -> Claim | None:
        now = self._clock()

        def write(db: sqlite3.Connection) -> Claim | None:
            db.execute(PURGE, (now,))
            found = db.execute(GET, (tenant, key)).fetchone()
            if found:
                return Claim(found[0], found[1], bool(found[2]), found[3])
            db.execute(PUT, _row(tenant, key, claim))
            return None

        return await self._writer.run(write)

    async def find(self, tenant: str, key: str) -> Claim | None:
        now = self._clock()

        def read(db: sqlite3.Connection) -> Claim | None:
            found = db.execute(FIND, (tenant, key, now)).fetchone()
            return found and Claim(found[0], found[1], bool(found[2]), found[3])

        return await self._reader.run(read)

    async def replace(self, tenant: str, key: str, claim: Claim) -> None:
        await self._writer.run(lambda db: db.execute(PUT, _row(tenant, key, claim)))

    async def release(self, tenant: str, key: str) -> None:
        await self._writer.run(lambda db: db.execute(DELETE, (tenant, key)))


def _row(tenant: str, key: str, claim: Claim) -> tuple[str, str, str, str, bool, int]:
    return tenant, key, claim.digest, claim.response_id, claim.done, claim.expires_at
