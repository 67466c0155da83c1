"""Calls to one DynamoDB table, each in a thread: single rows, batches, queries, transactions.

boto3 is imported with the first call. Rows are in the low-level client's form, as in dynamodb_layout.py; all reads are
consistent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from .base import Json, StoreUnavailable
from .dynamodb_layout import Key, key, key_of

T = TypeVar("T")

BATCH_KEYS = 40  # full rows within a BatchGetItem's 16 MB: only throttling leaves keys unprocessed
TRANSACTION_ROWS = 11  # full rows within DynamoDB's 4 MB for a transaction
DELETE_KEYS = 25  # DynamoDB's limit for a BatchWriteItem
BATCH_PAUSES = (0.05, 0.2, 0.8)  # seconds before throttled keys are asked for again
THREADS = 16  # calls side by side
# Of a call; within a transaction.
FAILED_CONDITIONS = {"ConditionalCheckFailedException", "ConditionalCheckFailed"}


def make_client() -> Any:
    """boto3's DynamoDB client for the environment's region, credentials and AWS_ENDPOINT_URL."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=1,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=THREADS,
        tcp_keepalive=True,
    )
    return boto3.client("dynamodb", config=config)


class ConditionFailed(StoreUnavailable):
    """The row, or one of a transaction's rows, is not as the call demands."""


class Table:
    """The table `name`; `client` makes the boto3 client, once, in a thread, when it is first needed."""

    def __init__(self, name: str, client: Callable[[], Any] = make_client) -> None:
        self.name = name
        self._make_client = client
        self._client: Any = None
        self._client_lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._closed = False

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        if self._client is not None:
            self._client.close()

    # ----------------------------------------------------------------------- rows

    async def row(self, pk: str, sk: str, **projection: str) -> Json | None:
        answer = await self.on_table("get_item", Key=key(pk, sk), ConsistentRead=True, **projection)
        return answer.get("Item")

    async def rows(self, keys: Iterable[Key]) -> dict[Key, Json]:
        """Those of the rows that exist, fetched side by side."""
        batches = await asyncio.gather(*(self._batch(batch) for batch in chunks(list(keys), BATCH_KEYS)))
        return {key_of(row): row for rows in batches for row in rows}

    async def _batch(self, keys: Sequence[Key]) -> list[Json]:
        wanted: Json = {self.name: {"Keys": [key(*row_key) for row_key in keys], "ConsistentRead": True}}
        rows: list[Json] = []
        pauses = iter(BATCH_PAUSES)
        while wanted:
            answer = await self.call("batch_get_item", RequestItems=wanted)
            found = answer["Responses"].get(self.name, [])
            rows += found
            wanted = answer.get("UnprocessedKeys", {})
            if wanted and not found:
                pause = next(pauses, None)
                if pause is None:
                    raise StoreUnavailable("DynamoDB batch_get_item: keys left unprocessed")
                await asyncio.sleep(pause)
        return rows

    def keys(self, pk: str) -> AsyncIterator[Key]:
        """The keys of all rows under `pk`."""
        return self.all_keys(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )

    async def all_keys(self, operation: str, **arguments: Any) -> AsyncIterator[Key]:
        """The keys of all rows that a query or scan finds, page by page."""
        page: Json = {}
        while True:
            answer = await self.on_table(operation, ProjectionExpression="pk, sk", **arguments, **page)
            for row in answer["Items"]:
                yield key_of(row)
            if "LastEvaluatedKey" not in answer:
                return
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def write(self, rows: Sequence[Json]) -> None:
        if len(rows) == 1:
            await self.on_table("put_item", Item=rows[0])
        else:
            await self.transact([self.in_transaction("Put", Item=row) for row in rows])

    async def delete(self, keys: Sequence[Key]) -> int:
        """Deletes the rows, side by side, in no order; how many they were."""
        await asyncio.gather(*(self._delete_batch(batch) for batch in chunks(list(keys), DELETE_KEYS)))
        return len(keys)

    async def _delete_batch(self, keys: Sequence[Key]) -> None:
        wanted: Json = {self.name: [{"DeleteRequest": {"Key": key(*row_key)}} for row_key in keys]}
        for pause in (*BATCH_PAUSES, None):
            wanted = (await self.call("batch_write_item", RequestItems=wanted)).get("UnprocessedItems", {})
            if not wanted:
                return
            if pause is not None:
                await asyncio.sleep(pause)
        raise StoreUnavailable("DynamoDB batch_write_item: keys left unprocessed")

    def in_transaction(self, operation: str, **arguments: Any) -> Json:
        """A write of transact()."""
        return {operation: {"TableName": self.name, **arguments}}

    async def transact(self, writes: list[Json]) -> None:
        """All the writes or none. Raises ConditionFailed."""
        await self.call("transact_write_items", TransactItems=writes)

    # ----------------------------------------------------------------------- calls

    async def on_table(self, operation: str, **arguments: Any) -> Json:
        return await self.call(operation, TableName=self.name, **arguments)

    async def call(self, operation: str, **arguments: Any) -> Json:
        return await self.in_thread(partial(self._invoke, operation, arguments))

    async def in_thread(self, job: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)

    def _invoke(self, operation: str, arguments: Json) -> Json:
        """One call, in a thread. What it raises carries DynamoDB's error code, never its message: that may quote."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            with self._client_lock:
                if self._client is None:
                    self._client = self._make_client()
            answer: Json = getattr(self._client, operation)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
            kind = ConditionFailed if FAILED_CONDITIONS & {code, *reasons} else StoreUnavailable
            raise kind(f"DynamoDB {operation}: {code}") from None
        except BotoCoreError as error:
            raise StoreUnavailable(f"DynamoDB {operation}: {type(error).__name__}") from None
        return answer


def chunks(rows: list[T], size: int) -> list[list[T]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
