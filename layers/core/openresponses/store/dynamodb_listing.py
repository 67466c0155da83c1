"""A tenant's ids, and its erasure, in the DynamoDB table.

The sparse index `heads_by_tenant` holds the one row of each partition that has `tenant` and `created_at`: heads of
responses and conversations, idempotency keys, WebSocket connections. A tenant's API keys and its usage stand in a
partition of their own. So nothing needs a scan, but for rows whose head was never written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..tenants import TENANT
from .base import StoreUnavailable
from .dynamodb_layout import HEAD, Key
from .dynamodb_table import Table

INDEX = "heads_by_tenant"
ROUNDS, PAUSE = 30, 0.2  # the index follows the table within moments: it is asked until it names nothing more
PARTITIONS_AT_ONCE = 100


class DynamoDBListing:
    """See Listing."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def responses(self, tenant: str) -> AsyncIterator[str]:
        async for id in self._ids(tenant, f"T#{tenant}#R#"):
            yield id

    async def conversations(self, tenant: str) -> AsyncIterator[str]:
        async for id in self._ids(tenant, f"T#{tenant}#C#"):
            yield id

    async def erase(self, tenant: str, *, thorough: bool = True) -> int:
        """See Listing. The keys go first, so that nothing new comes; of each partition the head goes last, so that the
        index finds it again if the rest failed."""
        if not TENANT.fullmatch(tenant):
            return 0
        listed = [row_key async for row_key in self._table.keys(f"T#{tenant}#K")]
        erased = await self._table.delete([*((f"K#{sk}", HEAD) for _, sk in listed), *listed])
        erased += await self._erase_listed(tenant)
        erased += await self._table.delete([row_key async for row_key in self._table.keys(f"T#{tenant}#U")])
        if thorough:
            erased += await self._table.delete([row_key async for row_key in self._left(tenant)])
        return erased

    async def _erase_listed(self, tenant: str) -> int:
        erased = 0
        for _ in range(ROUNDS):
            found = [row_key async for row_key in self._heads(tenant)]
            if not found:
                return erased
            for start in range(0, len(found), PARTITIONS_AT_ONCE):
                some = found[start : start + PARTITIONS_AT_ONCE]
                erased += sum(await asyncio.gather(*(self._erase_partition(head) for head in some)))
            await asyncio.sleep(PAUSE)
        raise StoreUnavailable("the tenant's rows do not come to an end: does it still write?")

    async def _erase_partition(self, head: Key) -> int:
        keys = [row_key async for row_key in self._table.keys(head[0])]
        if head not in keys:  # gone, though the index does not know it yet
            return await self._table.delete(keys)
        beside = await self._table.delete([row_key for row_key in keys if row_key != head])
        return beside + await self._table.delete([head])

    async def _ids(self, tenant: str, prefix: str) -> AsyncIterator[str]:
        async for pk, _ in self._heads(tenant):
            if pk.startswith(prefix):
                yield pk.removeprefix(prefix)

    def _heads(self, tenant: str) -> AsyncIterator[Key]:
        """Everything of the tenant in the index, newest first. An index cannot be read consistently."""
        return self._table.all_keys(
            "query",
            IndexName=INDEX,
            KeyConditionExpression="tenant = :tenant",
            ExpressionAttributeValues={":tenant": {"S": tenant}},
            ScanIndexForward=False,
        )

    def _left(self, tenant: str) -> AsyncIterator[Key]:
        """By reading the whole table."""
        return self._table.all_keys(
            "scan",
            FilterExpression="begins_with(pk, :prefix) OR tenant = :tenant",
            ExpressionAttributeValues={":prefix": {"S": f"T#{tenant}#"}, ":tenant": {"S": tenant}},
            ConsistentRead=True,
        )
