"""Conversations in one DynamoDB table; the rows are in dynamodb_layout.py, the reasons in docs/decisions/dynamodb.md.

A turn is one `head` row. It names its ancestors, nearest first, back to the last checkpoint: the row `chain` beside
every 64th turn's head, which names all that turn's ancestors. So a chain of any length is read in at most four round
trips one after another: head, checkpoint, all other heads side by side, their overflow side by side. The names only
say what to fetch; whether it is the chain is decided by each row's own `parent`.

boto3 is imported when a turn first needs the store, in a thread, like every call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from .background import Jobs
from .base import MAX_CHAIN, ChainNotFound, ChainTooLong, Json, StoredResponse, StoreUnavailable
from .codec import nameable, pack, renewals_of, require_nameable, unpack_ids
from .conversations import Conversations
from .counters import Counters
from .dynamodb_layout import (
    CHAIN,
    HEAD,
    ROOT,
    Key,
    Lineage,
    beside,
    checkpoint_row,
    key,
    number,
    parent_of,
    partition,
    parts_of,
    record_of_rows,
    rows_of_turn,
)
from .dynamodb_table import TRANSACTION_ROWS, ConditionFailed, Table, chunks, make_client
from .idempotency import Idempotency
from .listing import Listing

log = logging.getLogger(__name__)

COMPRESS_FROM = 512  # bytes; every KB written is paid for
KNOWN_LINEAGES = 1024  # turns whose place in their chain is remembered


class DynamoDBStore:
    """A Store in the table `table_name`, which the deployment has made.

    ttl_seconds   what chain() renews the lives of responses to
    clock         Unix seconds
    client        makes the boto3 client, once, in a thread, when it is first needed
    """

    def __init__(
        self,
        table_name: str,
        ttl_seconds: int,
        clock: Callable[[], float] = time.time,
        *,
        client: Callable[[], Any] = make_client,
    ) -> None:
        self._table = Table(table_name, client)
        self._ttl = ttl_seconds
        self._clock = clock
        self._lineages: OrderedDict[Key, Lineage] = OrderedDict()

    @cached_property
    def conversations(self) -> Conversations:
        """See Store."""
        from .dynamodb_conversations import DynamoDBConversations

        return DynamoDBConversations(self._table, self._ttl, self._clock)

    @cached_property
    def counters(self) -> Counters:
        """See Store."""
        from .dynamodb_counters import DynamoDBCounters

        return DynamoDBCounters(self._table, self._clock)

    @cached_property
    def idempotency(self) -> Idempotency:
        """See Store."""
        from .dynamodb_idempotency import DynamoDBIdempotency

        return DynamoDBIdempotency(self._table, self._clock)

    @cached_property
    def jobs(self) -> Jobs:
        """Unfinished responses."""
        from .dynamodb_jobs import DynamoDBJobs

        return DynamoDBJobs(self._table, self.rows_of, self._clock)

    @cached_property
    def listing(self) -> Listing:
        """See Store."""
        from .dynamodb_listing import DynamoDBListing

        return DynamoDBListing(self._table)

    # ----------------------------------------------------------------------- the protocol

    async def put(self, tenant: str, record: StoredResponse) -> None:
        """See Store. One write; what is too large for one transaction is written before it, the head always last."""
        for together in chunks(await self.rows_of(tenant, record), TRANSACTION_ROWS):
            await self._table.write(together)

    async def rows_of(self, tenant: str, record: StoredResponse) -> list[Json]:
        """The rows of `record`, in the order in which they are to be written. Raises ValueError for a bad name."""
        require_nameable(tenant, record)
        lineage = await self._place(tenant, record.previous_response_id)
        body = await self._table.in_thread(partial(pack, record, compress_from=COMPRESS_FROM))
        rows = rows_of_turn(tenant, record, lineage, body)
        if lineage.has_checkpoint and (ancestors := await self._ancestors(tenant, lineage)) is not None:
            rows.insert(0, checkpoint_row(tenant, record, ancestors))
        self._remember(tenant, record.id, lineage)
        return rows

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        head = await self._head(tenant, response_id)
        if head is None:
            return None
        return (await self._records(tenant, {response_id: head})).get(response_id)

    async def chain(self, tenant: str, response_id: str) -> list[StoredResponse]:
        head = await self._head(tenant, response_id)
        if head is None:
            raise ChainNotFound(response_id)
        lineage = Lineage.of_row(head)
        if lineage.length > MAX_CHAIN:
            raise ChainTooLong(response_id)
        ancestors = await self._ancestors(tenant, lineage)
        if ancestors is None:
            raise ChainNotFound(response_id)
        heads = {response_id: head} | await self._heads(tenant, ancestors)
        if not self._is_chain(response_id, heads):
            raise ChainNotFound(response_id)
        records = await self._records(tenant, heads)
        if len(records) < len(heads):
            raise ChainNotFound(response_id)
        self._remember(tenant, response_id, lineage)
        return await self._renewed(tenant, heads, [records[id] for id in reversed(heads)])

    async def delete(self, tenant: str, response_id: str) -> bool:
        """See Store. The head goes first; a delete that failed half way is completed by calling it again."""
        if not nameable(tenant, response_id):
            return False
        pk = partition(tenant, response_id)
        answer = await self._table.on_table("delete_item", Key=key(pk, HEAD), ReturnValues="ALL_OLD")
        rest = [row_key async for row_key in self._table.keys(pk)]
        await asyncio.gather(*(self._table.on_table("delete_item", Key=key(*row_key)) for row_key in rest))
        return "Attributes" in answer and self._alive(answer["Attributes"])

    async def close(self) -> None:
        await self._table.close()

    # ----------------------------------------------------------------------- chains

    async def _place(self, tenant: str, parent: str | None) -> Lineage:
        """The lineage of a turn that continues `parent`: known since that was loaded, else from its head."""
        if parent is None:
            return ROOT
        known = self._lineages.get((tenant, parent))
        if known is None:
            pk = partition(tenant, parent)
            head = await self._table.row(pk, HEAD, ProjectionExpression="chain_length, ancestors")
            known = Lineage.of_row(head) if head else ROOT
        return known.of_child(parent)

    def _remember(self, tenant: str, response_id: str, lineage: Lineage) -> None:
        self._lineages[tenant, response_id] = lineage
        self._lineages.move_to_end((tenant, response_id))
        if len(self._lineages) > KNOWN_LINEAGES:
            self._lineages.popitem(last=False)

    async def _ancestors(self, tenant: str, lineage: Lineage) -> tuple[str, ...] | None:
        """Every ancestor's id, nearest first; None if the checkpoint that knows them is gone."""
        if lineage.checkpoint is None:
            return lineage.ancestors
        row = await self._table.row(partition(tenant, lineage.checkpoint), CHAIN)
        return lineage.ancestors + unpack_ids(row["ancestors"]["B"]) if row else None

    async def _heads(self, tenant: str, ids: Sequence[str]) -> dict[str, Json]:
        """The heads that are there, in the order of `ids`."""
        rows = await self._table.rows((partition(tenant, id), HEAD) for id in dict.fromkeys(ids))
        heads = ((id, rows.get((partition(tenant, id), HEAD))) for id in ids)
        return {id: head for id, head in heads if head is not None}

    def _is_chain(self, response_id: str, heads: dict[str, Json]) -> bool:
        """Whether each head is alive and the parent of the one before it, and the last one began the chain."""
        parent: str | None = response_id
        for id, head in heads.items():
            if id != parent or not self._alive(head):
                return False
            parent = parent_of(head)
        return parent is None

    async def _renewed(
        self, tenant: str, heads: dict[str, Json], records: list[StoredResponse]
    ) -> list[StoredResponse]:
        """`records`, each with at least half of its life before it."""
        renewed = renewals_of(records, self._clock(), self._ttl)
        if not renewed:
            return records
        try:
            # Heads last: as long as a head is stale, the next use tries again.
            for keys in (
                [(id, sk) for id in renewed for sk in beside(heads[id])],
                [(id, HEAD) for id in renewed],
            ):
                await asyncio.gather(
                    *(self._renew((partition(tenant, id), sk), renewed[id]) for id, sk in keys)
                )
        except StoreUnavailable as error:  # the chain is alive
            log.warning("chain not renewed: %s", error)
            return records
        return [replace(r, expires_at=renewed.get(r.id, r.expires_at)) for r in records]

    async def _renew(self, row_key: Key, expires_at: int) -> None:
        with suppress(ConditionFailed):
            await self._table.on_table(
                "update_item",
                Key=key(*row_key),
                UpdateExpression="SET expires_at = :new",
                ConditionExpression="attribute_exists(pk)",  # an update must not raise a deleted row
                ExpressionAttributeValues={":new": {"N": str(expires_at)}},
            )

    # ----------------------------------------------------------------------- rows

    def _alive(self, head: Json) -> bool:
        return number(head, "expires_at") > self._clock()

    async def _head(self, tenant: str, response_id: str) -> Json | None:
        if not nameable(tenant, response_id):
            return None
        head = await self._table.row(partition(tenant, response_id), HEAD)
        return head if head and self._alive(head) else None

    async def _records(self, tenant: str, heads: dict[str, Json]) -> dict[str, StoredResponse]:
        """The records of these heads, joined with their overflow; without those whose overflow is gone by now."""
        rest = await self._table.rows(
            (partition(tenant, id), sk) for id in heads for sk in parts_of(heads[id])
        )

        def join() -> dict[str, StoredResponse]:
            records = {}
            for id, head in heads.items():
                parts = [rest.get((partition(tenant, id), sk)) for sk in parts_of(head)]
                if None not in parts:
                    records[id] = record_of_rows(id, head, [part for part in parts if part])
            return records

        return await self._table.in_thread(join)
