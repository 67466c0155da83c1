"""Conversations in the SQLite file: a row each, and a row an item."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import orjson

from .codec import nameable
from .conversations import Conversation
from .sqlite_threads import Worker

Json = dict[str, Any]

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS conversations (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    metadata BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    lifetime INTEGER,
    PRIMARY KEY (tenant, id)
)
""",
    "CREATE INDEX IF NOT EXISTS conversations_by_expiry ON conversations (expires_at)",
    """
CREATE TABLE IF NOT EXISTS conversation_items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL
)
""",
    "CREATE INDEX IF NOT EXISTS items_by_conversation ON conversation_items (tenant, conversation, number)",
    """
CREATE TRIGGER IF NOT EXISTS conversation_removed AFTER DELETE ON conversations BEGIN
    DELETE FROM conversation_items WHERE tenant = old.tenant AND conversation = old.id;
END
""",
)

CREATE = """
INSERT INTO conversations (tenant, id, metadata, created_at, expires_at, lifetime) VALUES (?, ?, ?, ?, ?, ?)
"""
GET = """
SELECT metadata, created_at, expires_at, lifetime FROM conversations WHERE tenant = ? AND id = ? AND expires_at > ?
"""
SET = "UPDATE conversations SET metadata = ? WHERE tenant = ? AND id = ? AND expires_at > ?"
RENEW = "UPDATE conversations SET expires_at = ? WHERE tenant = ? AND id = ?"
DELETE = "DELETE FROM conversations WHERE tenant = ? AND id = ? RETURNING expires_at"
PURGE = "DELETE FROM conversations WHERE rowid IN (SELECT rowid FROM conversations WHERE expires_at <= ? LIMIT 50)"
APPEND = "INSERT INTO conversation_items (tenant, conversation, id, body) VALUES (?, ?, ?, ?)"
ITEMS = "SELECT body FROM conversation_items WHERE tenant = ? AND conversation = ? ORDER BY number"
REMOVE = "DELETE FROM conversation_items WHERE tenant = ? AND conversation = ? AND id = ?"


class SQLiteConversations:
    """See Conversations. `writer` and `reader` are the store's own; `ttl_seconds` is what append() renews lives to."""

    def __init__(self, writer: Worker, reader: Worker, ttl_seconds: int, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._reader = reader
        self._ttl = ttl_seconds
        self._clock = clock

    async def create(self, tenant: str, conversation: Conversation, items: list[Json]) -> None:
        head = (
            tenant,
            conversation.id,
            orjson.dumps(conversation.metadata),
            conversation.created_at,
            conversation.expires_at,
            conversation.lifetime,
        )
        now = self._clock()

        def write(db: sqlite3.Connection) -> None:
            db.execute(CREATE, head)
            _append(db, tenant, conversation.id, items)
            db.execute(PURGE, (now,))

        await self._writer.run(write)

    async def get(self, tenant: str, conversation_id: str) -> Conversation | None:
        if not nameable(tenant, conversation_id):
            return None
        now = self._clock()
        return await self._reader.run(lambda db: _head(db, tenant, conversation_id, now))

    async def set_metadata(self, tenant: str, conversation_id: str, metadata: Json) -> bool:
        if not nameable(tenant, conversation_id):
            return False
        row = (orjson.dumps(metadata), tenant, conversation_id, self._clock())
        return await self._writer.run(lambda db: db.execute(SET, row).rowcount > 0)

    async def items(self, tenant: str, conversation_id: str) -> list[Json] | None:
        if not nameable(tenant, conversation_id):
            return None
        now = self._clock()

        def read(db: sqlite3.Connection) -> list[Json] | None:
            if _head(db, tenant, conversation_id, now) is None:
                return None
            return [orjson.loads(body) for (body,) in db.execute(ITEMS, (tenant, conversation_id))]

        return await self._reader.run(read)

    async def append(self, tenant: str, conversation_id: str, items: list[Json]) -> bool:
        if not nameable(tenant, conversation_id):
            return False
        now = self._clock()

        def write(db: sqlite3.Connection) -> bool:
            head = _head(db, tenant, conversation_id, now)
            if head is None:
                return False
            lifetime = head.lifetime or self._ttl
            if head.expires_at - now < lifetime / 2:
                db.execute(RENEW, (int(now) + lifetime, tenant, conversation_id))
            _append(db, tenant, conversation_id, items)
            return True

        return await self._writer.run(write)

    async def remove(self, tenant: str, conversation_id: str, item_id: str) -> bool:
        if not nameable(tenant, conversation_id):
            return False
        now = self._clock()

        def write(db: sqlite3.Connection) -> bool:
            if _head(db, tenant, conversation_id, now) is None:
                return False
            return db.execute(REMOVE, (tenant, conversation_id, item_id)).rowcount > 0

        return await self._writer.run(write)

    async def delete(self, tenant: str, conversation_id: str) -> bool:
        if not nameable(tenant, conversation_id):
            return False
        now = self._clock()

        def write(db: sqlite3.Connection) -> bool:
            row = db.execute(DELETE, (tenant, conversation_id)).fetchone()
            return row is not None and row[0] > now

        return await self._writer.run(write)


def _head(db: sqlite3.Connection, tenant: str, conversation_id: str, now: float) -> Conversation | None:
    row = db.execute(GET, (tenant, conversation_id, now)).fetchone()
    return row and Conversation(conversation_id, orjson.loads(row[0]), *row[1:])


def _append(db: sqlite3.Connection, tenant: str, conversation_id: str, items: list[Json]) -> None:
    db.executemany(APPEND, [(tenant, conversation_id, item["id"], orjson.dumps(item)) for item in items])
