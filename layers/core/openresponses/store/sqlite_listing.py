"""A tenant's ids, and its erasure, in the SQLite file."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable

from ..tenants import TENANT
from .sqlite_threads import Worker

log = logging.getLogger(__name__)

RESPONSES = """
SELECT id FROM responses WHERE tenant = ? AND expires_at > ? ORDER BY created_at DESC, id DESC
"""
CONVERSATIONS = """
SELECT id FROM conversations WHERE tenant = ? AND expires_at > ? ORDER BY created_at DESC, id DESC
"""
TABLES = """
SELECT name FROM sqlite_schema AS known
 WHERE type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(known.name) WHERE name = 'tenant')
"""


class SQLiteListing:
    """See Listing. `writer` and `reader` are the store's own."""

    def __init__(self, writer: Worker, reader: Worker, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def responses(self, tenant: str) -> AsyncIterator[str]:
        for id in await self._ids(RESPONSES, tenant):
            yield id

    async def conversations(self, tenant: str) -> AsyncIterator[str]:
        for id in await self._ids(CONVERSATIONS, tenant):
            yield id

    async def erase(self, tenant: str, *, thorough: bool = True) -> int:
        """See Listing. What was deleted is overwritten in the file, and the write-ahead log is emptied into it."""
        if not TENANT.fullmatch(tenant):
            return 0
        erased = await self._writer.run(lambda db: _erase(db, tenant))
        if self._reader is not self._writer:  # in memory there is no log
            busy, *_ = await self._reader.run(
                lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            )
            if busy:
                log.warning("another process reads the file: erased bytes may stay in its log for a while")
        return erased

    async def _ids(self, query: str, tenant: str) -> list[str]:
        now = self._clock()
        return await self._reader.run(lambda db: [id for (id,) in db.execute(query, (tenant, now))])


def _erase(db: sqlite3.Connection, tenant: str) -> int:
    """Deletes from every table that names a tenant, so that a new one is not forgotten."""
    tables = [name for (name,) in db.execute(TABLES)]
    before = db.total_changes
    for table in tables:
        db.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))
    return db.total_changes - before
