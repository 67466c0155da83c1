"""Conversations in one SQLite file, or in memory: the local default.

The event loop never touches the database. One thread writes, one reads, each on a connection of its own, so neither a
lock that another process holds nor a long load stalls a stream; all writes that wait at the same time are committed
together. In WAL mode with synchronous=NORMAL a killed process loses nothing that put() has confirmed; a power cut may
lose the last moments, but never the file's consistency.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from .base import MAX_CHAIN, ChainNotFound, ChainTooLong, StoredResponse, StoreUnavailable
from .codec import FORMAT, nameable, pack, renewals_of, require_nameable, unpack
from .sqlite_conversations import SQLiteConversations
from .sqlite_counters import SQLiteCounters
from .sqlite_file import connect, open_file
from .sqlite_idempotency import SQLiteIdempotency
from .sqlite_jobs import SQLiteJobs
from .sqlite_listing import SQLiteListing
from .sqlite_threads import Worker, commit, each

log = logging.getLogger(__name__)

MEMORY = ":memory:"
COMPRESS_FROM = 8 * 1024  # bytes; below it the time is worth more than the space
PURGE_EVERY = 60.0  # seconds between two looks for expired rows
PURGE_ROWS = 50  # at most so many at a time, as they are removed within some turn's write

PUT = """
INSERT OR REPLACE INTO responses (tenant, id, parent, created_at, expires_at, format, body) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
GET = """
SELECT id, parent, created_at, expires_at, format, body FROM responses WHERE tenant = ? AND id = ? AND expires_at > ?
"""
CHAIN = """
WITH RECURSIVE link (number, parent) AS (
    SELECT rowid, parent FROM responses WHERE tenant = :tenant AND id = :id
    UNION ALL
    SELECT older.rowid, older.parent
      FROM link JOIN responses AS older ON older.tenant = :tenant AND older.id = link.parent
     LIMIT :limit
)
SELECT id, responses.parent, created_at, expires_at, format, body
  FROM link CROSS JOIN responses ON responses.rowid = link.number
"""
RENEW = "UPDATE responses SET expires_at = ? WHERE tenant = ? AND id = ?"
DELETE = "DELETE FROM responses WHERE tenant = ? AND id = ? RETURNING expires_at"
PURGE = """
DELETE FROM responses WHERE rowid IN (SELECT rowid FROM responses WHERE expires_at <= ? LIMIT ?)
"""


class SQLiteStore:
    """A Store in the file at `path`, or in memory with ":memory:". Several processes may share the file.

    ttl_seconds    what chain() renews the lives of responses to
    clock          Unix seconds
    lock_timeout   seconds that a write waits for another process before it is StoreUnavailable

    Raises StoreUnavailable if the file cannot be opened. A file made here can be read by its owner alone.
    """

    def __init__(
        self,
        path: str | Path,
        ttl_seconds: int,
        clock: Callable[[], float] = time.time,
        *,
        lock_timeout: float = 5.0,
    ) -> None:
        self._ttl = ttl_seconds
        self._clock = clock
        self._next_purge = 0.0
        memory = str(path) == MEMORY
        try:
            writer = connect(path, lock_timeout) if memory else open_file(path, lock_timeout)
            reader = None if memory else open_file(path, lock_timeout)  # what is in memory has one connection
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"{path}: {error}") from error
        self._writer = Worker(writer, "store-writer", commit)
        self._reader = Worker(reader, "store-reader", each) if reader else self._writer
        self.jobs = SQLiteJobs(self._writer, self._reader, clock)
        self.counters = SQLiteCounters(self._writer, self._reader, clock)
        self.idempotency = SQLiteIdempotency(self._writer, self._reader, clock)
        self.listing = SQLiteListing(self._writer, self._reader, clock)
        self.conversations = SQLiteConversations(self._writer, self._reader, ttl_seconds, clock)

    async def put(self, tenant: str, record: StoredResponse) -> None:
        """See Store. `record` must not change before this returns: it is packed in the writer's thread."""
        require_nameable(tenant, record)

        def write(db: sqlite3.Connection) -> None:
            body = pack(record, compress_from=COMPRESS_FROM)
            parent, created, expires = record.previous_response_id, record.created_at, record.expires_at
            db.execute(PUT, (tenant, record.id, parent, created, expires, FORMAT, body))
            self._purge(db)

        await self._writer.run(write)

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        if not nameable(tenant, response_id):
            return None
        now = self._clock()

        def read(db: sqlite3.Connection) -> StoredResponse | None:
            row = db.execute(GET, (tenant, response_id, now)).fetchone()
            return row and _record(_Row(*row))

        return await self._reader.run(read)

    async def chain(self, tenant: str, response_id: str) -> list[StoredResponse]:
        if not nameable(tenant, response_id):
            raise ChainNotFound(response_id)
        now = self._clock()
        records = await self._reader.run(lambda db: _walk(db, tenant, response_id, now))
        renewed = renewals_of(records, now, self._ttl)
        if not renewed:
            return records
        renewals = [(expires_at, tenant, id) for id, expires_at in renewed.items()]
        try:
            await self._writer.run(lambda db: db.executemany(RENEW, renewals))
        except StoreUnavailable as error:  # they are still alive, and the next use tries again
            log.warning("chain not renewed: %s", error)
            return records
        return [replace(r, expires_at=renewed.get(r.id, r.expires_at)) for r in records]

    async def delete(self, tenant: str, response_id: str) -> bool:
        if not nameable(tenant, response_id):
            return False
        now = self._clock()

        def remove(db: sqlite3.Connection) -> bool:
            row = db.execute(DELETE, (tenant, response_id)).fetchone()
            return row is not None and row[0] > now

        return await self._writer.run(remove)

    async def close(self) -> None:
        """Finishes what was begun; afterwards every method raises StoreUnavailable."""
        for worker in {self._reader, self._writer}:
            await worker.stop()

    def _purge(self, db: sqlite3.Connection) -> None:
        now = self._clock()
        if now < self._next_purge:
            return
        purged = db.execute(PURGE, (now, PURGE_ROWS)).rowcount
        self._next_purge = now if purged == PURGE_ROWS else now + PURGE_EVERY


# --------------------------------------------------------------------------- rows


class _Row(NamedTuple):
    id: str
    parent: str | None
    created_at: int
    expires_at: int
    format: int
    body: bytes


def _record(row: _Row) -> StoredResponse:
    return unpack(row.format, row.body, id=row.id, created_at=row.created_at, expires_at=row.expires_at)


def _walk(db: sqlite3.Connection, tenant: str, response_id: str, now: float) -> list[StoredResponse]:
    """The chain, oldest first. SQLite finds the links as they are asked for, so a loop ends where it closes."""
    rows: dict[str, _Row] = {}
    parent: str | None = response_id
    walked = db.execute(CHAIN, {"tenant": tenant, "id": response_id, "limit": MAX_CHAIN + 1})
    for row in map(_Row._make, walked):
        if row.id in rows or row.expires_at <= now:
            raise ChainNotFound(response_id)
        if len(rows) == MAX_CHAIN:
            raise ChainTooLong(response_id)
        rows[row.id] = row
        parent = row.parent
    if parent is not None:
        raise ChainNotFound(response_id)
    return [_record(row) for row in reversed(rows.values())]
