"""Conversations in the DynamoDB table: a `head` row each, and a row for what was appended together.

T#<tenant>#C#<id>   head                        metadata, created_at, expires_at
                    item#<order>#0000, …        items, compressed; what passes 350 KB goes on in further rows
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from typing import Any

import orjson

from .codec import COMPRESSION_LEVEL, FORMAT, nameable
from .conversations import Conversation
from .dynamodb_layout import BODY_BYTES, HEAD, Key, key, number
from .dynamodb_table import TRANSACTION_ROWS, ConditionFailed, Table, chunks

Json = dict[str, Any]


class DynamoDBConversations:
    """See Conversations. `ttl_seconds` is what append() renews lives to."""

    def __init__(self, table: Table, ttl_seconds: int, clock: Callable[[], float]) -> None:
        self._table = table
        self._ttl = ttl_seconds
        self._clock = clock

    async def create(self, tenant: str, conversation: Conversation, items: list[Json]) -> None:
        head = {
            **key(_partition(tenant, conversation.id), HEAD),
            "v": {"N": str(FORMAT)},
            "tenant": {"S": tenant},
            "metadata": {"S": orjson.dumps(conversation.metadata).decode()},
            "created_at": {"N": str(conversation.created_at)},
            "expires_at": {"N": str(conversation.expires_at)},
        }
        if conversation.lifetime is not None:
            head["lifetime"] = {"N": str(conversation.lifetime)}
        rows = self._rows(tenant, conversation.id, items, conversation.expires_at)
        # The head last: who finds it finds everything.
        for together in chunks([*rows, head], TRANSACTION_ROWS):
            await self._table.write(together)

    async def get(self, tenant: str, conversation_id: str) -> Conversation | None:
        if not nameable(tenant, conversation_id):
            return None
        row = await self._table.row(_partition(tenant, conversation_id), HEAD)
        if row is None or number(row, "expires_at") <= self._clock():
            return None
        metadata = orjson.loads(row["metadata"]["S"])
        lifetime = number(row, "lifetime") if "lifetime" in row else None
        return Conversation(
            conversation_id, metadata, number(row, "created_at"), number(row, "expires_at"), lifetime
        )

    async def set_metadata(self, tenant: str, conversation_id: str, metadata: Json) -> bool:
        if await self.get(tenant, conversation_id) is None:
            return False
        value = {"S": orjson.dumps(metadata).decode()}
        return await self._update(_partition(tenant, conversation_id), HEAD, metadata=value)

    async def items(self, tenant: str, conversation_id: str) -> list[Json] | None:
        if await self.get(tenant, conversation_id) is None:
            return None
        found = await self._appended(tenant, conversation_id)
        return [item for _, items in found for item in items]

    async def append(self, tenant: str, conversation_id: str, items: list[Json]) -> bool:
        head = await self.get(tenant, conversation_id)
        if head is None:
            return False
        now, expires_at = self._clock(), head.expires_at
        lifetime = head.lifetime or self._ttl
        if expires_at - now < lifetime / 2:
            expires_at = int(now) + lifetime
            await self._renew(tenant, conversation_id, expires_at)
        for together in chunks(self._rows(tenant, conversation_id, items, expires_at), TRANSACTION_ROWS):
            await self._table.write(together)
        return True

    async def remove(self, tenant: str, conversation_id: str, item_id: str) -> bool:
        if await self.get(tenant, conversation_id) is None:
            return False
        for keys, items in await self._appended(tenant, conversation_id):
            kept = [item for item in items if item["id"] != item_id]
            if len(kept) < len(items):
                await self._replace(keys, kept)
                return True
        return False

    async def delete(self, tenant: str, conversation_id: str) -> bool:
        alive = await self.get(tenant, conversation_id) is not None
        if nameable(tenant, conversation_id):
            pk = _partition(tenant, conversation_id)
            await self._table.on_table("delete_item", Key=key(pk, HEAD))
            await self._drop([found async for found in self._table.keys(pk)])
        return alive

    # ----------------------------------------------------------------------- rows

    def _rows(self, tenant: str, conversation_id: str, items: list[Json], expires_at: int) -> list[Json]:
        """The rows of items that are appended together; their order is that of the clock."""
        if not items:
            return []
        order = f"{time.time_ns():020}"
        pk = _partition(tenant, conversation_id)
        return [
            {
                **key(pk, f"item#{order}#{place:04}"),
                "v": {"N": str(FORMAT)},
                "expires_at": {"N": str(expires_at)},
                "body": {"B": body},
            }
            for place, body in enumerate(_pack(items))
        ]

    async def _appended(self, tenant: str, conversation_id: str) -> list[tuple[list[Key], list[Json]]]:
        """(keys, items) of everything that was appended together, oldest first."""
        pk = _partition(tenant, conversation_id)
        keys = sorted([found async for found in self._table.keys(pk) if found[1].startswith("item#")])
        rows = await self._table.rows(keys)
        found = []
        for _, group in groupby(keys, key=lambda row_key: row_key[1].rpartition("#")[0]):
            together = list(group)
            bodies = [rows[row_key]["body"]["B"] for row_key in together if row_key in rows]
            if len(bodies) == len(together):  # else it is just being removed
                found.append((together, _unpack(bodies)))
        return found

    async def _replace(self, keys: list[Key], items: list[Json]) -> None:
        first = await self._table.row(*keys[0])
        expires_at = first["expires_at"] if first else {"N": str(int(self._clock()) + self._ttl)}
        bodies = _pack(items) if items else []
        for row_key, body in zip(keys, bodies, strict=False):
            row = {**key(*row_key), "v": {"N": str(FORMAT)}, "expires_at": expires_at, "body": {"B": body}}
            await self._table.write([row])
        await self._drop(keys[len(bodies) :])

    async def _renew(self, tenant: str, conversation_id: str, expires_at: int) -> None:
        pk, value = _partition(tenant, conversation_id), {"N": str(expires_at)}
        keys = [found async for found in self._table.keys(pk)]
        await asyncio.gather(*(self._update(*row_key, expires_at=value) for row_key in keys))

    async def _update(self, pk: str, sk: str, **attributes: Json) -> bool:
        """Sets attributes of a row that is there: an update must not raise a deleted one."""
        with suppress(ConditionFailed):
            await self._table.on_table(
                "update_item",
                Key=key(pk, sk),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={f"#{name}": name for name in attributes},
                ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()},
            )
            return True
        return False

    async def _drop(self, keys: list[Key]) -> None:
        await asyncio.gather(*(self._table.on_table("delete_item", Key=key(*row_key)) for row_key in keys))


def _partition(tenant: str, conversation_id: str) -> str:
    return f"T#{tenant}#C#{conversation_id}"


def _pack(items: list[Json]) -> list[bytes]:
    body = zlib.compress(orjson.dumps(items), COMPRESSION_LEVEL)
    return [body[start : start + BODY_BYTES] for start in range(0, len(body), BODY_BYTES)]


def _unpack(bodies: list[bytes]) -> list[Json]:
    items: list[Json] = orjson.loads(zlib.decompress(b"".join(bodies)))
    return items
