"""The stores under test: SQLite on disk and in memory, and DynamoDB by moto."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from openresponses.store.base import Store
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.dynamodb_table import make_client
from openresponses.store.sqlite import SQLiteStore

from .records import TTL, Clock


@pytest.fixture(scope="package")
def client() -> Iterator[Any]:
    """The store's own client, answered by moto within this process: half the time of a server's answers.

    One call at a time: moto reads, checks and writes without a lock, where DynamoDB's writes are atomic.
    """
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        environment.setattr(
            BotocoreStubber, "process_request", one_at_a_time(BotocoreStubber.process_request)
        )
        yield make_client()


def one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.Lock()

    @wraps(call)
    def locked(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    return locked


@pytest.fixture
def table(client: Any) -> Iterator[str]:
    """An empty table as the deployment makes it, gone with the test: moto copies all tables in each transaction."""
    name = f"responses-{uuid4().hex}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "tenant", "AttributeType": "S"},
            {"AttributeName": "created_at", "AttributeType": "N"},
            {"AttributeName": "lease", "AttributeType": "S"},
            {"AttributeName": "until", "AttributeType": "N"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "heads_by_tenant",
                "KeySchema": [
                    {"AttributeName": "tenant", "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
            {
                "IndexName": "open_leases",
                "KeySchema": [
                    {"AttributeName": "lease", "KeyType": "HASH"},
                    {"AttributeName": "until", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            },
        ],
    )
    yield name
    client.delete_table(TableName=name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def dynamodb(table: str, client: Any, clock: Clock) -> AsyncIterator[DynamoDBStore]:
    store = DynamoDBStore(table, TTL, clock, client=lambda: client)
    yield store
    await store.close()


@pytest.fixture
async def sqlite(tmp_path: Path, clock: Clock) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "data" / "responses.db", TTL, clock)
    yield store
    await store.close()


@pytest.fixture
async def memory(clock: Clock) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(":memory:", TTL, clock)
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found
