"""`openresponses responses` and `… tenants`, on the file of the local server and on a stack (moto)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from openresponses.store.base import Store, StoredResponse
from openresponses.store.conversations import Conversation
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.dynamodb_keys import DynamoDBKeys
from openresponses.store.idempotency import Claim
from openresponses.store.keys import ApiKeys
from openresponses.store.sqlite import SQLiteStore
from openresponses.store.sqlite_keys import SQLiteKeys

from scripts import stand_in
from tests.store.records import TTL, Words, turn

from .test_aws_cli import Operator, operator

__all__ = ["operator"]

ITEM = {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "kept"}]}


class Place:
    """Where the history is: how the command line names it, and what the gateway has written there."""

    def __init__(self, operator: Operator, moto: str, kind: str, folder: Path) -> None:
        self.operator = operator
        self.keys: ApiKeys
        self._path, self._moto, self._kind = folder / "history.db", moto, kind
        self._client = stand_in.client("dynamodb", moto)
        if kind == "file":
            self.options = ["--store", str(self._path)]
            self.keys = SQLiteKeys(self._path)
        else:
            self.options = []
            self.keys = DynamoDBKeys(operator.name, client=lambda: self._client)

    def run(self, *arguments: str, answered: str = "", code: int = 0) -> str:
        return self.operator.run(*arguments, *self.options, answered=answered, code=code)

    def write(self, work: Callable[[Store], Awaitable[None]]) -> None:
        async def done() -> None:
            store: Store
            if self._kind == "file":
                store = SQLiteStore(self._path, TTL)
            else:
                store = DynamoDBStore(self.operator.name, TTL, client=lambda: self._client)
            await work(store)
            await store.close()

        asyncio.run(done())

    def left(self) -> str:
        """All that is there, in one text."""
        if self._kind == "file":
            return "".join(
                file.read_bytes().decode("latin-1") for file in self._path.parent.glob("history.db*")
            )
        return str(self._client.scan(TableName=self.operator.name)["Items"])


@pytest.fixture(params=["file", "stack"])
def place(request: pytest.FixtureRequest, operator: Operator, moto: str, tmp_path: Path) -> Place:
    return Place(operator, moto, request.param, tmp_path)


def lately(seconds_ago: int = 0, **fields: Any) -> StoredResponse:
    now = int(time.time()) - seconds_ago
    return turn(created_at=now, expires_at=now + TTL, **fields)


def put(place: Place, tenant: str, *records: StoredResponse) -> None:
    async def work(store: Store) -> None:
        for record in records:
            await store.put(tenant, record)

    place.write(work)


def test_responses(place: Place) -> None:
    records = [lately(n, status="incomplete" if n else "completed") for n in range(25)]
    put(place, "default", *records)
    put(place, "acme", lately())
    listed = place.run("responses", "list").splitlines()
    assert [line.split()[0] for line in listed] == [record.id for record in records[:20]]
    assert "completed" in listed[0] and "incomplete" in listed[1] and "claude-opus-4-6" in listed[0]
    assert len(place.run("responses", "list", "--limit", "25").splitlines()) == 25
    assert len(place.run("responses", "list", "--tenant", "acme").splitlines()) == 1

    newest = records[0]
    shown = json.loads(place.run("responses", "show", newest.id))
    assert (shown["response"], shown["input"]) == (newest.response, newest.input)
    assert "has no response" in place.run("responses", "show", newest.id, "--tenant", "acme", code=2)
    assert place.run("responses", "delete", newest.id) == "Deleted.\n"
    assert "has no response" in place.run("responses", "delete", newest.id, code=2)
    assert newest.id not in place.run("responses", "list")


def fill(place: Place, tenant: str) -> StoredResponse:
    record = lately(words=Words(user=f"said by {tenant}"))
    now = int(time.time())

    async def work(store: Store) -> None:
        await store.put(tenant, record)
        await store.put(tenant, lately(3600, words=Words(user=f"said by {tenant}")))
        conversation = Conversation("conv_1", {"topic": tenant}, now, now + TTL)
        await store.conversations.create(tenant, conversation, [ITEM])
        claim = Claim("digest", record.id, True, now + 1000)
        await store.idempotency.claim(tenant, "key", claim)

    place.write(work)
    return record


def test_an_export_has_everything_but_the_keys(place: Place) -> None:
    record = fill(place, "acme")
    fill(place, "other")
    key = place.keys.create("acme", "laptop", limits={"retention_days": 7})
    (known,) = place.keys.list("acme")
    told = place.run("tenants", "export", "acme")
    assert key not in told and known.id not in told and "other" not in told
    lines = [json.loads(line) for line in told.splitlines()]
    kinds = [line["object"] for line in lines]
    assert kinds == ["api_key", "stored_response", "stored_response", "stored_conversation"]
    assert lines[0]["name"] == "laptop" and lines[0]["limits"] == {"retention_days": 7}
    assert (lines[1]["response"], lines[1]["input"]) == (record.response, record.input)
    assert (lines[3]["metadata"], lines[3]["items"]) == ({"topic": "acme"}, [ITEM])
    assert place.run("tenants", "export", "nobody") == ""


def test_an_erasure_leaves_nothing(place: Place) -> None:
    kept = fill(place, "other")
    fill(place, "acme")
    place.keys.create("acme", "laptop")
    other_key = place.keys.create("other")
    for answer in ("\n", "other\n", ""):
        assert "nothing is erased" in place.run("tenants", "erase", "acme", answered=answer, code=2)
    assert "acme" in place.left()
    told = place.run("tenants", "erase", "acme", answered="acme\n")
    assert "acme" in told.splitlines()[0]
    assert ("backups" in told) == ("300 seconds" in told) == (not place.options)
    assert "acme" not in place.left()
    assert place.keys.list("acme") == []
    assert kept.id in place.run("tenants", "export", "other")
    assert place.keys.list("other") and other_key
    assert "Erased: 0 rows" in place.run("tenants", "erase", "acme", "--yes", "--no-scan")


def test_a_place_that_is_not_there(operator: Operator, tmp_path: Path) -> None:
    told = operator.run("responses", "list", "--store", str(tmp_path / "none.db"), code=2)
    assert "there is no history at" in told
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("not a database, and longer than a header of one has to be" * 20)
    assert "cannot be used" in operator.run("responses", "list", "--store", str(tmp_path / "text.db"), code=2)
    assert "missing" in operator.run("tenants", "export", "acme", "--stack", "missing", code=2)
