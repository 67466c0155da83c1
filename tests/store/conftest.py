"""The stores under test: SQLite on disk and in memory, and DynamoDB behind a real moto server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from moto.server import ThreadedMotoServer
from openresponses.store.base import Store
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.dynamodb_table import make_client
from openresponses.store.sqlite import SQLiteStore

from .records import TTL, Clock


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def client(moto_url: str) -> Iterator[Any]:
    """The store's own client: its endpoint comes from the environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", moto_url)
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield make_client()


@pytest.fixture
def table(client: Any) -> str:
    """An empty table as the deployment makes it."""
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
    return name


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
