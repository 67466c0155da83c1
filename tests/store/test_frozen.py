"""Rows as earlier releases wrote them load for ever. frozen/ is never made again: a new format adds files to it."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from openresponses.store.base import StoredResponse, StoreUnavailable
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.sqlite import SQLiteStore

from .records import NOW, TENANT, TTL, Clock, turn

FROZEN = Path(__file__).parent / "frozen"


@pytest.fixture
def records() -> list[StoredResponse]:
    return [StoredResponse(**fields) for fields in json.loads((FROZEN / "records-1.json").read_text())]


async def test_a_sqlite_file_of_format_1(tmp_path: Path, clock: Clock, records: list[StoredResponse]) -> None:
    path = tmp_path / "responses.db"
    with sqlite3.connect(path) as db:
        db.executescript((FROZEN / "sqlite-1.sql").read_text())
    db.close()
    store = SQLiteStore(path, TTL, clock)
    assert await store.chain(TENANT, records[-1].id) == records
    more = turn(records[-1].id)
    await store.put(TENANT, more)
    assert await store.chain(TENANT, more.id) == [*records, more]
    await store.close()


async def test_dynamodb_rows_of_format_1(
    dynamodb: DynamoDBStore, client: Any, table: str, records: list[StoredResponse]
) -> None:
    """Among them a turn with overflow, and one whose ancestors only a checkpoint knows."""
    for row in json.loads((FROZEN / "dynamodb-1.json").read_text()):
        client.put_item(TableName=table, Item={name: thawed(value) for name, value in row.items()})
    assert await dynamodb.chain(TENANT, records[-1].id) == records
    assert await dynamodb.get(TENANT, records[1].id) == records[1]
    more = turn(records[-1].id)
    await dynamodb.put(TENANT, more)
    assert await dynamodb.chain(TENANT, more.id) == [*records, more]


def thawed(value: dict[str, str]) -> dict[str, Any]:
    return {"B": base64.b64decode(value["B"])} if "B" in value else value


async def test_a_row_of_a_later_format_or_damaged_is_an_error_not_an_answer(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "responses.db"
    store = SQLiteStore(path, TTL, clock)
    later, damaged = turn(), turn()
    for record in later, damaged:
        await store.put(TENANT, record)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET format = 2 WHERE id = ?", (later.id,))
        db.execute("UPDATE responses SET body = substr(body, 1, 50) WHERE id = ?", (damaged.id,))
    db.close()
    with pytest.raises(StoreUnavailable, match="format 2"):
        await store.get(TENANT, later.id)
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await store.chain(TENANT, damaged.id)
    await store.close()
    assert later.expires_at == NOW + TTL
