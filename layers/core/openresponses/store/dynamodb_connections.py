"""WebSocket connections that API Gateway holds, as rows of the table under `W#<connection>`.

head                  tenant, since when, messages that wait; while a run answers: owner, until (Unix seconds), taken
message#<time>#<id>   what the client sent, sealed, until its turn
state, state#0001…    the chain of the newest response, sealed, where no store has it

Nothing outlives the connection but by a crash, and then two hours. The state lies under the connection, never under a
response's id: no other connection can read it. `lease` is in the sparse index of open leases while there is an owner.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from ..protocol.websocket import MAX_WAITING
from ..sealing import Sealer, Unreadable
from .base import Json, StoredResponse
from .codec import COMPRESSION_LEVEL, FORMAT
from .connections import Gone, Held, TooManyWaiting
from .dynamodb_layout import key, number
from .dynamodb_table import ConditionFailed, Table
from .retention import DEPLOYMENTS, Retention

HEAD, STATE, MESSAGE = "head", "state", "message#"
INDEX, LEASE = "open_leases", "websocket"
CONNECTION_ID = re.compile(r"[A-Za-z0-9_=+/-]{1,128}")
LIFE_SECONDS = 7200  # API Gateway ends a connection then
PART_BYTES = 350 * 1024
TOKEN = "oidc-"  # how the key_id of an identity provider's token begins, as in openresponses.oidc
MINE = "#owner = :owner"
NAMES = {"#owner": "owner", "#until": "until"}


class DynamoDBConnections:
    """See Connections."""

    def __init__(self, table: Table, sealer: Sealer, clock: Callable[[], float] = time.time) -> None:
        self._table = table
        self._sealer = sealer
        self._clock = clock

    # ----------------------------------------------------------------------- what a connection does

    async def open(
        self,
        connection: str,
        tenant: str,
        retention: Retention = DEPLOYMENTS,
        *,
        key_id: str | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        now = self._clock()
        row = self._row(connection, HEAD, tenant={"S": tenant}, since=_number(now), waiting=_number(0))
        row["created_at"] = _number(int(now))  # with the tenant: in the index that erasure goes by
        if retention.nothing:
            row["private"] = {"BOOL": True}
        if retention.lifetime is not None:
            row["lifetime"] = _number(retention.lifetime)
        if key_id is not None:
            row["key_id"] = {"S": key_id}
        if limits:
            row["limits"] = {"S": orjson.dumps(dict(limits)).decode()}
        await self._table.write([row])

    async def close(self, connection: str) -> None:
        pk = partition(connection)
        await self._table.on_table("delete_item", Key=key(pk, HEAD))
        async for row_key in self._table.keys(pk):
            await self._table.on_table("delete_item", Key=key(*row_key))

    async def send(self, connection: str, body: bytes, at: int, message: str) -> bool:
        pk = partition(connection)
        head = await self._table.row(pk, HEAD)
        if head is None:
            return False
        if number(head, "waiting") >= MAX_WAITING:
            raise TooManyWaiting
        sealed = await self._sealer.seal(head["tenant"]["S"], _purpose(connection), body)
        name = f"{MESSAGE}{at:013}#{message}"
        put = self._table.in_transaction("Put", Item=self._row(connection, name, body={"S": sealed}))
        count = self._change_head(pk, "ADD waiting :one", "attribute_exists(pk)", {":one": _number(1)})
        try:
            await self._table.transact([put, count])
        except ConditionFailed:
            return False
        return True

    # ----------------------------------------------------------------------- what a run does

    async def lock(self, connection: str, owner: str, until: float) -> Held | None:
        try:
            answer = await self._table.on_table(
                "update_item",
                Key=key(partition(connection), HEAD),
                UpdateExpression="SET #owner = :owner, #until = :until, lease = :lease",
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(#owner) OR #until <= :now)",
                ExpressionAttributeNames=NAMES,
                ExpressionAttributeValues={
                    ":owner": {"S": owner},
                    ":until": _number(until),
                    ":lease": {"S": LEASE},
                    ":now": _number(self._clock()),
                },
                ReturnValues="ALL_NEW",
            )
        except ConditionFailed:
            return None
        head = answer["Attributes"]
        since = float(head["since"]["N"])
        lifetime = number(head, "lifetime") if "lifetime" in head else None
        retention = Retention(lifetime, "private" in head)
        key_id = head["key_id"]["S"] if "key_id" in head else None
        limits = orjson.loads(head["limits"]["S"]) if "limits" in head else {}
        return Held(connection, head["tenant"]["S"], since, "taken" in head, retention, key_id, limits)

    async def renew(self, connection: str, owner: str, until: float) -> bool:
        return await self._update(connection, owner, "SET #until = :until", {":until": _number(until)})

    async def unlock(self, connection: str, owner: str) -> None:
        await self._update(connection, owner, "REMOVE #owner, #until, lease", {}, names=NAMES)

    async def take(self, held: Held, owner: str) -> bytes | None:
        row = await self._oldest(held.id)
        if row is None:
            return None
        pk = partition(held.id)
        taken = {":taken": row["sk"], ":less": _number(-1), ":owner": {"S": owner}}
        change = self._change_head(
            pk, "SET taken = :taken ADD waiting :less", MINE, taken, {"#owner": "owner"}
        )
        delete = self._table.in_transaction("Delete", Key=key(pk, row["sk"]["S"]))
        try:
            await self._table.transact([change, delete])
        except ConditionFailed:
            raise Gone from None
        return await self._sealer.open(held.tenant, _purpose(held.id), row["body"]["S"])

    async def waits(self, connection: str) -> bool:
        return await self._oldest(connection) is not None

    async def settle(self, held: Held, owner: str, chain: list[StoredResponse]) -> bool:
        if chain and not held.retention.nothing and not all(record.response["store"] for record in chain):
            await self._keep(held, chain)
        else:
            await self._table.on_table("delete_item", Key=key(partition(held.id), STATE))
        return await self._update(held.id, owner, "REMOVE taken", {})

    async def state(self, held: Held) -> list[StoredResponse]:
        pk = partition(held.id)
        row = await self._table.row(pk, STATE)
        if row is None:
            return []
        names = [f"{STATE}#{n:04}" for n in range(1, number(row, "parts") + 1)]
        rest = await self._table.rows((pk, name) for name in names)
        try:
            token = "".join(part["body"]["S"] for part in (row, *(rest[pk, name] for name in names)))
            content = zlib.decompress(await self._sealer.open(held.tenant, _purpose(held.id), token))
        except (KeyError, Unreadable):
            return []
        return [StoredResponse(**record) for record in orjson.loads(content)]

    async def key_holds(self, held: Held) -> bool:
        """By the row that lists the tenant's key: it goes with a revoked key, and has the end of a replaced one."""
        if held.key_id is None or held.key_id.startswith(TOKEN):
            return True
        answer = await self._table.on_table(
            "query",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :id)",
            ExpressionAttributeValues={":pk": {"S": f"T#{held.tenant}#K"}, ":id": {"S": held.key_id}},
            ConsistentRead=True,
        )
        return any(
            "disabled" not in row and ("expires_at" not in row or number(row, "expires_at") > self._clock())
            for row in answer["Items"]
        )

    async def expired(self, limit: int) -> list[str]:
        answer = await self._table.on_table(
            "query",
            IndexName=INDEX,
            KeyConditionExpression="lease = :lease AND #until <= :now",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={":lease": {"S": LEASE}, ":now": _number(self._clock())},
            Limit=limit,
        )
        return [row["pk"]["S"].removeprefix("W#") for row in answer["Items"]]

    # ----------------------------------------------------------------------- rows

    async def _keep(self, held: Held, chain: list[StoredResponse]) -> None:
        content = zlib.compress(orjson.dumps([asdict(record) for record in chain]), COMPRESSION_LEVEL)
        token = await self._sealer.seal(held.tenant, _purpose(held.id), content)
        first, *rest = [token[start : start + PART_BYTES] for start in range(0, len(token), PART_BYTES)]
        for n, piece in enumerate(rest, 1):
            await self._table.write([self._row(held.id, f"{STATE}#{n:04}", body={"S": piece})])
        row = self._row(held.id, STATE, body={"S": first}, parts=_number(len(rest)))
        await self._table.write([row])

    async def _oldest(self, connection: str) -> Json | None:
        answer = await self._table.on_table(
            "query",
            KeyConditionExpression="pk = :pk AND begins_with(sk, :message)",
            ExpressionAttributeValues={":pk": {"S": partition(connection)}, ":message": {"S": MESSAGE}},
            ConsistentRead=True,
            Limit=1,
        )
        return next(iter(answer["Items"]), None)

    async def _update(
        self, connection: str, owner: str, change: str, values: Json, names: dict[str, str] | None = None
    ) -> bool:
        """Changes the head, if the lock is `owner`'s."""
        used = names or {name: own for name, own in NAMES.items() if name in f"{change} {MINE}"}
        try:
            await self._table.on_table(
                "update_item",
                Key=key(partition(connection), HEAD),
                UpdateExpression=change,
                ConditionExpression=MINE,
                ExpressionAttributeNames=used,
                ExpressionAttributeValues={":owner": {"S": owner}, **values},
            )
        except ConditionFailed:
            return False
        return True

    def _change_head(
        self, pk: str, change: str, condition: str, values: Json, names: dict[str, str] | None = None
    ) -> Json:
        more = {"ExpressionAttributeNames": names} if names else {}
        return self._table.in_transaction(
            "Update",
            Key=key(pk, HEAD),
            UpdateExpression=change,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **more,
        )

    def _row(self, connection: str, sk: str, **attributes: Any) -> Json:
        expires_at = _number(int(self._clock()) + LIFE_SECONDS)
        return {
            **key(partition(connection), sk),
            "v": {"N": str(FORMAT)},
            "expires_at": expires_at,
            **attributes,
        }


def partition(connection: str) -> str:
    """Raises ValueError for what is not an id of API Gateway's."""
    if not CONNECTION_ID.fullmatch(connection):
        raise ValueError("a connection id outside its grammar")
    return f"W#{connection}"


def _purpose(connection: str) -> str:
    return f"websocket {connection}"


def _number(value: float) -> Json:
    return {"N": f"{value:.3f}" if isinstance(value, float) else str(value)}
