"""Idempotency keys in the DynamoDB table: `T#<tenant>#I#<key>` / `head`, in the tenant's index for its erasure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import StoreUnavailable
from .codec import FORMAT
from .dynamodb_layout import HEAD, key, number
from .dynamodb_table import ConditionFailed, Table
from .idempotency import Claim

Json = dict[str, Any]

ATTEMPTS = 3  # to claim a key that is released while it is looked at


class DynamoDBIdempotency:
    """See Idempotency."""

    def __init__(self, table: Table, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock

    async def claim(self, tenant: str, key: str, claim: Claim) -> Claim | None:
        for _ in range(ATTEMPTS):
            try:
                await self._table.on_table(
                    "put_item",
                    Item=self._row(tenant, key, claim),
                    ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
                    ExpressionAttributeValues={":now": {"N": str(int(self._clock()))}},
                )
            except ConditionFailed:
                if row := await self._table.row(_partition(tenant, key), HEAD):
                    return _claim(row)
            else:
                return None
        raise StoreUnavailable("DynamoDB put_item: a key that is neither free nor in use")

    async def find(self, tenant: str, key: str) -> Claim | None:
        row = await self._table.row(_partition(tenant, key), HEAD)
        return _claim(row) if row and number(row, "expires_at") > self._clock() else None

    async def replace(self, tenant: str, key: str, claim: Claim) -> None:
        await self._table.write([self._row(tenant, key, claim)])

    async def release(self, tenant: str, key_name: str) -> None:
        await self._table.on_table("delete_item", Key=key(_partition(tenant, key_name), HEAD))

    def _row(self, tenant: str, key_name: str, claim: Claim) -> Json:
        return {
            **key(_partition(tenant, key_name), HEAD),
            "v": {"N": str(FORMAT)},
            "tenant": {"S": tenant},
            "created_at": {"N": str(int(self._clock()))},
            "digest": {"S": claim.digest},
            "response_id": {"S": claim.response_id},
            "done": {"BOOL": claim.done},
            "expires_at": {"N": str(claim.expires_at)},
        }


def _partition(tenant: str, key_name: str) -> str:
    return f"T#{tenant}#I#{key_name}"


def _claim(row: Json) -> Claim:
    return Claim(row["digest"]["S"], row["response_id"]["S"], row["done"]["BOOL"], number(row, "expires_at"))
