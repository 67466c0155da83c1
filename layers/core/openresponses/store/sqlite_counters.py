"""Counters in the SQLite file: a row for each counter of a window, and one for each lease."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from .counters import Amounts, require_names
from .sqlite_threads import Worker

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS counters (
    tenant TEXT NOT NULL,
    place TEXT NOT NULL,
    name TEXT NOT NULL,
    amount INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, place, name)
)
""",
    "CREATE INDEX IF NOT EXISTS counters_by_expiry ON counters (expires_at)",
    """
CREATE TABLE IF NOT EXISTS counter_leases (
    tenant TEXT NOT NULL,
    place TEXT NOT NULL,
    owner TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (tenant, place, owner)
)
""",
)
PURGE = "DELETE FROM counters WHERE expires_at <= ?"
READ = "SELECT name, amount FROM counters WHERE tenant = ? AND place = ? AND expires_at > ?"
ADD = """
INSERT INTO counters (tenant, place, name, amount, expires_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (tenant, place, name) DO UPDATE SET amount = amount + excluded.amount
"""
PURGE_LEASES = "DELETE FROM counter_leases WHERE tenant = ? AND place = ? AND until <= ?"
COUNT_LEASES = "SELECT count(*) FROM counter_leases WHERE tenant = ? AND place = ? AND owner != ?"
LEASE = "INSERT OR REPLACE INTO counter_leases (tenant, place, owner, until) VALUES (?, ?, ?, ?)"
RELEASE = "DELETE FROM counter_leases WHERE tenant = ? AND place = ? AND owner = ?"


class SQLiteCounters:
    """See Counters. `writer` and `reader` are the store's own."""

    def __init__(self, writer: Worker, reader: Worker, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def add(
        self, tenant: str, window: str, amounts: Amounts, *, limits: Amounts | None = None, expires_at: int
    ) -> dict[str, int] | None:
        require_names(tenant, window, (*amounts, *(limits or ())))
        now = self._clock()

        def write(db: sqlite3.Connection) -> dict[str, int] | None:
            db.execute(PURGE, (now,))
            found: dict[str, int] = dict(db.execute(READ, (tenant, window, now)).fetchall())
            if any(found.get(name, 0) >= limit for name, limit in (limits or {}).items()):
                return None
            rows = [(tenant, window, name, amount, expires_at) for name, amount in amounts.items()]
            db.executemany(ADD, rows)
            return found | {name: found.get(name, 0) + amount for name, amount in amounts.items()}

        return await self._writer.run(write)

    async def read(self, tenant: str, window: str) -> dict[str, int]:
        require_names(tenant, window)
        now = self._clock()
        return await self._reader.run(lambda db: dict(db.execute(READ, (tenant, window, now)).fetchall()))

    async def lease(self, tenant: str, window: str, owner: str, until: float, limit: int) -> bool:
        require_names(tenant, window)
        now = self._clock()

        def write(db: sqlite3.Connection) -> bool:
            db.execute(PURGE_LEASES, (tenant, window, now))
            (others,) = db.execute(COUNT_LEASES, (tenant, window, owner)).fetchone()
            if others >= limit:
                return False
            db.execute(LEASE, (tenant, window, owner, until))
            return True

        return await self._writer.run(write)

    async def release(self, tenant: str, window: str, owner: str) -> None:
        require_names(tenant, window)
        await self._writer.run(lambda db: db.execute(RELEASE, (tenant, window, owner)))
