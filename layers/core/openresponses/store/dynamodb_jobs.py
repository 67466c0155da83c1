"""Unfinished responses in the DynamoDB table: rows beside the response's head, under the same `pk`.

lease             while it is open: owner, until, cancelled; in the sparse index `open_leases`
request, …#0001   sealed, until a run has taken it
event#<first>     a batch of events; what passes one row stands in eventpart#<first>#<random>#<n>
"""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from .background import Batch, Lease
from .base import Json, StoredResponse
from .codec import COMPRESSION_LEVEL, FORMAT, nameable
from .dynamodb_layout import BODY_BYTES, key, number, partition
from .dynamodb_table import ConditionFailed, Table

INDEX = "open_leases"
OPEN = "open"  # the index's one partition key
LEASE, REQUEST = "lease", "request"  # sort keys
LAST_EVENT = "event#~"  # after every event row, before every eventpart row
NEW = "attribute_not_exists(pk)"
THERE = "attribute_exists(pk)"
PARTITION = re.compile(r"T#([a-z0-9-]{1,64})#R#([A-Za-z0-9_-]{1,96})")

RowsOf = Callable[[str, StoredResponse], Awaitable[list[Json]]]


class DynamoDBJobs:
    """See Jobs. `rows_of` is the store's own: a record's rows, the head last."""

    def __init__(self, table: Table, rows_of: RowsOf, clock: Callable[[], float]) -> None:
        self._table = table
        self._rows_of = rows_of
        self._clock = clock

    # ----------------------------------------------------------------------- leases

    async def submit(self, tenant: str, record: StoredResponse, request: bytes, until: float) -> None:
        *before, head = await self._rows_of(tenant, record)
        pk, expires_at = partition(tenant, record.id), record.expires_at
        first, *rest = _pieces(request)
        before += [
            _row(pk, f"{REQUEST}#{n:04}", expires_at, body={"B": body}) for n, body in enumerate(rest, 1)
        ]
        for row in before:
            await self._table.write([row])
        asked = _row(pk, REQUEST, expires_at, body={"B": first}, parts={"N": str(len(rest))})
        lease = _row(pk, LEASE, expires_at, lease={"S": OPEN}, until=_time(until))
        await self._table.transact([self._put(row, NEW) for row in (asked, lease, head)])

    async def claim(self, tenant: str, response_id: str, owner: str, until: float) -> bytes | None:
        if not nameable(tenant, response_id):
            return None
        pk = partition(tenant, response_id)
        free = "#until > :now AND attribute_not_exists(#owner) AND attribute_not_exists(cancelled)"
        values = {":now": _time(self._clock())}
        if not await self._update_lease(pk, owner, until, free, values):
            # The answer to a call that did succeed may have been lost.
            held = await self.lease(tenant, response_id)
            if held is None or held.owner != owner:
                return None
        return await self._take_request(pk)

    async def renew(self, tenant: str, response_id: str, owner: str, until: float) -> bool:
        return await self._update_lease(partition(tenant, response_id), owner, until, "#owner = :owner", {})

    async def _update_lease(self, pk: str, owner: str, until: float, condition: str, values: Json) -> bool:
        try:
            await self._table.on_table(
                "update_item",
                Key=key(pk, LEASE),
                UpdateExpression="SET #owner = :owner, #until = :until",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#owner": "owner", "#until": "until"},
                ExpressionAttributeValues={":owner": {"S": owner}, ":until": _time(until), **values},
            )
        except ConditionFailed:
            return False
        return True

    async def _take_request(self, pk: str) -> bytes | None:
        row = await self._table.row(pk, REQUEST)
        if row is None:
            return None
        names = [f"{REQUEST}#{n:04}" for n in range(1, number(row, "parts") + 1)]
        rest = await self._table.rows((pk, name) for name in names)
        if len(rest) < len(names):
            return None
        await asyncio.gather(
            *(self._table.on_table("delete_item", Key=key(pk, name)) for name in (REQUEST, *names))
        )
        return b"".join(row["body"]["B"] for row in (row, *(rest[pk, name] for name in names)))

    async def lease(self, tenant: str, response_id: str) -> Lease | None:
        if not nameable(tenant, response_id):
            return None
        row = await self._table.row(partition(tenant, response_id), LEASE)
        if row is None:
            return None
        owner = row["owner"]["S"] if "owner" in row else None
        return Lease(owner, float(row["until"]["N"]), "cancelled" in row)

    async def cancel(self, tenant: str, response_id: str) -> None:
        if not nameable(tenant, response_id):
            return
        try:
            await self._table.on_table(
                "update_item",
                Key=key(partition(tenant, response_id), LEASE),
                UpdateExpression="SET cancelled = :yes",
                ConditionExpression=THERE,
                ExpressionAttributeValues={":yes": {"BOOL": True}},
            )
        except ConditionFailed:
            return

    async def expired(self, limit: int) -> list[tuple[str, str]]:
        answer = await self._table.on_table(
            "query",
            IndexName=INDEX,
            KeyConditionExpression="lease = :open AND #until <= :now",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={":open": {"S": OPEN}, ":now": _time(self._clock())},
            Limit=limit,
        )
        found = (PARTITION.fullmatch(row["pk"]["S"]) for row in answer["Items"])
        return [(match[1], match[2]) for match in found if match]

    # ----------------------------------------------------------------------- events

    async def append(self, tenant: str, response_id: str, batch: Batch, expires_at: int) -> bool:
        pk = partition(tenant, response_id)
        row = await self._event(pk, batch, expires_at)
        try:
            await self._table.on_table("put_item", Item=row, ConditionExpression=NEW)
        except ConditionFailed:
            # It may be our own: the answer to a call that did succeed may have been lost.
            there = await self._table.row(pk, row["sk"]["S"])
            return there == row
        return True

    async def events(self, tenant: str, response_id: str, first: int) -> list[Batch]:
        if not nameable(tenant, response_id):
            return []
        pk = partition(tenant, response_id)
        answer = await self._table.on_table(
            "query",
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": pk},
                ":first": {"S": _event_key(first)},
                ":last": {"S": LAST_EVENT},
            },
            ConsistentRead=True,
        )
        rows = answer["Items"]
        rest = await self._table.rows((pk, name) for row in rows for name in _parts_of(row))
        return await self._table.in_thread(
            lambda: [_batch(row, [rest[pk, name] for name in _parts_of(row)]) for row in rows]
        )

    async def finish(self, tenant: str, record: StoredResponse, owner: str | None, last: Batch) -> bool:
        pk = partition(tenant, record.id)
        held = await self.lease(tenant, record.id)
        if held is None or held.owner != owner:
            return False
        *before, head = await self._rows_of(tenant, record)
        for row in before:
            await self._table.write([row])
        event = await self._event(pk, last, record.expires_at)
        end: dict[str, Any] = {"Key": key(pk, LEASE), "ExpressionAttributeNames": {"#owner": "owner"}}
        if owner is None:
            end["ConditionExpression"] = f"{THERE} AND attribute_not_exists(#owner)"
        else:
            end["ConditionExpression"] = "#owner = :owner"
            end["ExpressionAttributeValues"] = {":owner": {"S": owner}}
        writes = [self._put(event, NEW), self._put(head, THERE), self._table.in_transaction("Delete", **end)]
        try:
            await self._table.transact(writes)
        except ConditionFailed:
            return False
        if owner is None:
            await self._take_request(pk)
        return True

    async def _event(self, pk: str, batch: Batch, expires_at: int) -> Json:
        """The row of a batch; what it has no room for is written before it, under a name that is nobody else's."""
        body = await self._table.in_thread(partial(zlib.compress, batch.events, COMPRESSION_LEVEL))
        first, *rest = _pieces(body)
        row = _row(pk, _event_key(batch.first), expires_at, body={"B": first})
        if rest:
            row |= {"parts": {"N": str(len(rest))}, "name": {"S": os.urandom(6).hex()}}
            for name, piece in zip(_parts_of(row), rest, strict=True):
                await self._table.write([_row(pk, name, expires_at, body={"B": piece})])
        return row

    def _put(self, row: Json, condition: str) -> Json:
        return self._table.in_transaction("Put", Item=row, ConditionExpression=condition)


def _row(pk: str, sk: str, expires_at: int, **attributes: Json) -> Json:
    return {**key(pk, sk), "v": {"N": str(FORMAT)}, "expires_at": {"N": str(expires_at)}, **attributes}


def _time(seconds: float) -> Json:
    return {"N": f"{seconds:.3f}"}


def _pieces(body: bytes) -> list[bytes]:
    return [body[start : start + BODY_BYTES] for start in range(0, len(body), BODY_BYTES)] or [b""]


def _event_key(first: int) -> str:
    return f"event#{first:010}"


def _parts_of(row: Json) -> list[str]:
    """The sort keys of an event row's overflow."""
    if "parts" not in row:
        return []
    first = row["sk"]["S"].removeprefix("event#")
    return [f"eventpart#{first}#{row['name']['S']}#{n:04}" for n in range(1, number(row, "parts") + 1)]


def _batch(row: Json, parts: Sequence[Json]) -> Batch:
    body = b"".join(piece["body"]["B"] for piece in (row, *parts))
    return Batch(int(row["sk"]["S"].removeprefix("event#")), zlib.decompress(body))
