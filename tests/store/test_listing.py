"""Listing and erasure, in every store; what erasure leaves is looked for in the whole table and the file's bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openresponses.sealing import Sealer, memory_keys
from openresponses.store import dynamodb_listing
from openresponses.store.background import Batch
from openresponses.store.base import Store, StoreUnavailable
from openresponses.store.conversations import Conversation
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.dynamodb_connections import DynamoDBConnections
from openresponses.store.dynamodb_keys import DynamoDBKeys
from openresponses.store.idempotency import Claim
from openresponses.store.sqlite import SQLiteStore

from .records import NOW, TENANT, TTL, Clock, Words, chat, turn
from .test_dynamodb import Calls, calls, noise, refusal, scan

__all__ = ["calls"]

CANARY = "canary-of-the-erased-tenant"


async def listed(store: Store, tenant: str, kind: str = "responses") -> list[str]:
    return [id async for id in getattr(store.listing, kind)(tenant)]


def item(number: int, text: str = "x") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"id": f"msg_{number}", "type": "message", "role": "user", "content": content}


async def fill(store: Store, tenant: str) -> None:
    """Every kind of row that a store has, with the canary wherever content may stand."""
    words = Words(user=CANARY, model=f"{CANARY} {noise(500_000)}")
    previous = None
    for n in range(65):
        record = turn(previous, words=words if n > 62 else Words(user=CANARY))
        await store.put(tenant, record)
        previous = record.id
    conversation = Conversation("conv_1", {"topic": CANARY}, NOW, NOW + TTL)
    await store.conversations.create(tenant, conversation, [item(1, CANARY)])
    await store.conversations.append(tenant, "conv_1", [item(2, noise(500_000) + CANARY)])
    for done in (False, True):
        claim = Claim("digest", "resp_1", done, NOW + 100)
        await store.idempotency.claim(tenant, f"key{done}", claim)
        await store.idempotency.replace(tenant, f"key{done}", claim)
    await store.counters.add(tenant, "day#2027-01-15", {"tokens": 12}, expires_at=NOW + TTL)
    await store.counters.lease(tenant, "turns", "one", NOW + 60, 2)
    for claimed in (False, True):
        queued = turn(status="queued", words=Words(user=CANARY), background=True)
        await store.jobs.submit(tenant, queued, CANARY.encode() * 30_000, NOW + 60)
        if claimed:
            await store.jobs.claim(tenant, queued.id, "run", NOW + 60)
            events = json.dumps([{"delta": CANARY + noise(500_000)}]).encode()
            assert await store.jobs.append(tenant, queued.id, Batch(0, events), NOW + TTL)


async def test_ids_are_listed_newest_first(store: Store, clock: Clock) -> None:
    turns = [turn(created_at=NOW + n) for n in (2, 0, 1)]
    for record in turns:
        await store.put(TENANT, record)
    await store.put("other", turn())
    await store.conversations.create(TENANT, Conversation("conv_1", {}, NOW, NOW + TTL), [item(1)])
    newest_first = [turns[0].id, turns[2].id, turns[1].id]
    assert await listed(store, TENANT) == newest_first
    assert await listed(store, TENANT, "conversations") == ["conv_1"]
    await store.delete(TENANT, newest_first[0])
    assert await listed(store, TENANT) == newest_first[1:]
    assert await listed(store, "nobody") == []


async def test_an_erased_tenant_has_nothing(store: Store) -> None:
    await fill(store, TENANT)
    (kept,) = await chat(store, 1)
    await store.put("other", kept)
    assert await store.listing.erase(TENANT) > 65
    assert await listed(store, TENANT) == await listed(store, TENANT, "conversations") == []
    assert await store.get(TENANT, kept.id) is None
    assert await store.get("other", kept.id) == kept
    assert await store.jobs.expired(10) == []
    assert await store.idempotency.claim(TENANT, "keyTrue", Claim("d", "r", False, NOW + 1)) is None
    assert await store.counters.read(TENANT, "day#2027-01-15") == {}
    assert await store.counters.lease(TENANT, "turns", "two", NOW + 60, 1)
    assert await store.listing.erase("T#acme") == 0


@pytest.mark.parametrize("thorough", [pytest.param(False, marks=pytest.mark.slow), True])
async def test_a_scan_after_an_erasure_finds_nothing(
    dynamodb: DynamoDBStore, client: Any, table: str, clock: Clock, thorough: bool, calls: Calls
) -> None:
    keys = DynamoDBKeys(table, clock, client=lambda: client)
    for tenant in TENANT, f"{TENANT}-2":
        await fill(dynamodb, tenant)
        keys.create(tenant, "laptop")
        await DynamoDBConnections(dynamodb._table, Sealer(memory_keys()), clock).open(f"{tenant}=", tenant)
    before = scan(client, table)
    others = [row for row in before if f"{TENANT}-2" in str(row)]
    calls.begun.clear()
    erased = await dynamodb.listing.erase(TENANT, thorough=thorough)
    assert ("Scan" in calls.names) is thorough
    after = scan(client, table)
    assert sorted(map(str, after)) == sorted(map(str, others))
    assert erased == len(before) - len(after)
    kinds = {row["sk"]["S"].partition("#")[0] for row in before}
    assert {"head", "chain", "part", "lease", "request", "event", "eventpart", "item"} <= kinds


async def test_what_an_interrupted_write_left_is_erased_too(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    written = 0

    def second_fails(operation: str, _: Any) -> Any:
        nonlocal written
        written += operation == "TransactWriteItems"
        return refusal("InternalServerError") if written > 1 else None

    calls.fault = second_fails
    with pytest.raises(StoreUnavailable):
        await dynamodb.put(TENANT, turn(words=Words(model=noise(6_000_000))))
    calls.fault = None
    assert await dynamodb.listing.erase(TENANT, thorough=False) == 0
    assert await dynamodb.listing.erase(TENANT) > 0
    assert scan(client, table) == []


async def test_an_erasure_that_failed_is_completed_by_the_next(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    await fill(dynamodb, TENANT)
    deletes = 0

    def fourth_fails(operation: str, _: Any) -> Any:
        nonlocal deletes
        deletes += operation == "BatchWriteItem"
        return refusal("AccessDeniedException") if deletes > 3 and operation == "BatchWriteItem" else None

    calls.fault = fourth_fails
    with pytest.raises(StoreUnavailable, match="AccessDenied"):
        await dynamodb.listing.erase(TENANT, thorough=False)
    calls.fault = None
    assert scan(client, table)
    await dynamodb.listing.erase(TENANT, thorough=False)
    assert scan(client, table) == []


async def test_keys_that_are_throttled_are_deleted_all_the_same(dynamodb: DynamoDBStore, client: Any) -> None:
    await chat(dynamodb, 30)
    left: dict[str, Any] = {}

    def only_some(params: Any, **_: Any) -> None:
        ((table, wanted),) = params["RequestItems"].items()
        params["RequestItems"] = {table: wanted[:7]}
        left.update({table: wanted[7:]} if wanted[7:] else {})

    def the_rest(parsed: Any, **_: Any) -> None:
        parsed["UnprocessedItems"] = dict(left)
        left.clear()

    keys = [("T#acme#R#resp_1", f"part#{n:04}") for n in range(20)]
    rows = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys]
    table = dynamodb.listing._table  # type: ignore[attr-defined]
    for row in rows:
        await table.write([row])
    hooks: dict[str, Any] = {
        "provide-client-params.dynamodb.BatchWriteItem": only_some,
        "after-call.dynamodb.BatchWriteItem": the_rest,
    }
    for event, hook in hooks.items():
        client.meta.events.register(event, hook)
    try:
        assert await table.delete(keys) == 20
    finally:
        for event, hook in hooks.items():
            client.meta.events.unregister(event, hook)
    assert [found async for found in table.keys("T#acme#R#resp_1")] == []


async def test_a_tenant_that_goes_on_writing_is_not_called_erased(
    dynamodb: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_listing, "PAUSE", 0.0)
    erase = dynamodb_listing.DynamoDBListing._erase_partition

    async def and_write(self: Any, head: Any) -> int:
        await dynamodb.put(TENANT, turn())
        return await erase(self, head)

    monkeypatch.setattr(dynamodb_listing.DynamoDBListing, "_erase_partition", and_write)
    await chat(dynamodb, 1)
    with pytest.raises(StoreUnavailable, match="still write"):
        await dynamodb.listing.erase(TENANT)


async def test_no_byte_of_an_erased_tenant_stays_in_the_file(sqlite: SQLiteStore, tmp_path: Path) -> None:
    words = Words(user=CANARY)  # below 8 KB, so not compressed
    for _ in range(50):
        await sqlite.put(TENANT, turn(words=words))
    await sqlite.conversations.create(
        TENANT, Conversation("conv_1", {"a": CANARY}, NOW, NOW + TTL), [item(1, CANARY)]
    )

    def bytes_on_disk() -> bytes:
        return b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())

    assert CANARY.encode() in bytes_on_disk()
    await sqlite.listing.erase(TENANT)
    assert CANARY.encode() not in bytes_on_disk()
    assert TENANT.encode() not in bytes_on_disk()
