"""What every store must do with responses that have not ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest
from openresponses.store.background import Batch, Lease
from openresponses.store.base import Store, StoredResponse
from openresponses.store.dynamodb import DynamoDBStore

from .records import NOW, TENANT, Clock, turn

OWNER, OTHER = "run-1", "run-2"
FAR = NOW + 1000.0


async def submitted(store: Store, request: bytes = b"sealed", **fields: Any) -> StoredResponse:
    record = turn(status="queued", background=True, **fields)
    await store.jobs.submit(TENANT, record, request, FAR)
    return record


def ended(record: StoredResponse, status: str = "completed", **fields: Any) -> StoredResponse:
    return turn(id=record.id, status=status, background=True, **fields)


async def all_events(store: Store, record: StoredResponse, first: int = 0) -> list[Batch]:
    found: list[Batch] = []
    while page := await store.jobs.events(TENANT, record.id, first):
        found += page
        first = page[-1].first + 1
    return found


async def at_once(store: Store, calls: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Side by side; one after another before moto, whose conditional writes are not atomic."""
    if isinstance(store, DynamoDBStore):
        return [await call for call in calls]
    return await asyncio.gather(*calls)


async def test_a_response_from_queue_to_end(store: Store) -> None:
    record = await submitted(store)
    assert await store.get(TENANT, record.id) == record
    assert await store.jobs.lease(TENANT, record.id) == Lease(None, FAR)
    assert await store.jobs.claim(TENANT, record.id, OWNER, FAR + 1) == b"sealed"
    assert await store.jobs.lease(TENANT, record.id) == Lease(OWNER, FAR + 1)
    assert await store.jobs.renew(TENANT, record.id, OWNER, FAR + 2.5)
    assert await store.jobs.lease(TENANT, record.id) == Lease(OWNER, FAR + 2.5)
    assert await store.jobs.append(TENANT, record.id, Batch(0, b"[0]"), record.expires_at)
    assert await store.jobs.append(TENANT, record.id, Batch(3, b"[3]"), record.expires_at)
    final = ended(record)
    assert await store.jobs.finish(TENANT, final, OWNER, Batch(4, b"[4]"))
    assert await store.get(TENANT, record.id) == final
    assert await store.jobs.lease(TENANT, record.id) is None
    assert await all_events(store, record) == [Batch(0, b"[0]"), Batch(3, b"[3]"), Batch(4, b"[4]")]
    assert await all_events(store, record, 1) == [Batch(3, b"[3]"), Batch(4, b"[4]")]
    assert await all_events(store, record, 5) == []


async def test_one_of_fifty_claims_wins(store: Store) -> None:
    record = await submitted(store)
    owners = [f"run-{n}" for n in range(50)]
    claims = await at_once(store, [store.jobs.claim(TENANT, record.id, owner, FAR) for owner in owners])
    won = [owner for owner, got in zip(owners, claims, strict=True) if got]
    assert len(won) == 1
    lease = await store.jobs.lease(TENANT, record.id)
    assert lease and lease.owner == won[0]


async def test_what_cannot_be_claimed(store: Store, clock: Clock) -> None:
    claimed, cancelled, expired, finished = [await submitted(store) for _ in range(4)]
    await store.jobs.claim(TENANT, claimed.id, OTHER, FAR)
    await store.jobs.cancel(TENANT, cancelled.id)
    assert await store.jobs.finish(TENANT, ended(finished, "cancelled"), None, Batch(0, b"[]"))
    for record in claimed, cancelled, finished, turn():
        assert await store.jobs.claim(TENANT, record.id, OWNER, FAR) is None
    assert await store.jobs.claim("other", expired.id, OWNER, FAR) is None
    clock.now = FAR
    assert await store.jobs.claim(TENANT, expired.id, OWNER, FAR + 9) is None


async def test_only_the_owner_renews_and_finishes(store: Store) -> None:
    record = await submitted(store)
    await store.jobs.claim(TENANT, record.id, OWNER, FAR)
    assert not await store.jobs.renew(TENANT, record.id, OTHER, FAR + 5)
    for owner in OTHER, None:
        assert not await store.jobs.finish(TENANT, ended(record), owner, Batch(0, b"[]"))
    assert await store.get(TENANT, record.id) == record
    assert await store.jobs.lease(TENANT, record.id) == Lease(OWNER, FAR)
    assert await all_events(store, record) == []
    assert await store.jobs.finish(TENANT, ended(record), OWNER, Batch(0, b"[]"))
    assert not await store.jobs.finish(TENANT, ended(record, "failed"), OWNER, Batch(1, b"[]"))
    assert not await store.jobs.renew(TENANT, record.id, OWNER, FAR)


async def test_events_are_written_once(store: Store) -> None:
    record = await submitted(store)
    await store.jobs.claim(TENANT, record.id, OWNER, FAR)
    assert await store.jobs.append(TENANT, record.id, Batch(0, b"[1]"), record.expires_at)
    assert not await store.jobs.append(TENANT, record.id, Batch(0, b"[2]"), record.expires_at)
    assert not await store.jobs.finish(TENANT, ended(record), OWNER, Batch(0, b"[3]"))
    assert await store.get(TENANT, record.id) == record
    assert await all_events(store, record) == [Batch(0, b"[1]")]


async def test_two_ends_at_once(store: Store) -> None:
    for _ in range(10):
        record = await submitted(store)
        await store.jobs.claim(TENANT, record.id, OWNER, FAR)
        ends = [ended(record, status) for status in ("completed", "failed", "cancelled")]
        results = await at_once(
            store, [store.jobs.finish(TENANT, end, OWNER, Batch(0, b"[]")) for end in ends]
        )
        assert sorted(results) == [False, False, True]
        assert await store.get(TENANT, record.id) == ends[results.index(True)]


async def test_cancel_is_seen_and_harmless(store: Store) -> None:
    record = await submitted(store)
    await store.jobs.claim(TENANT, record.id, OWNER, FAR)
    for _ in range(2):
        await store.jobs.cancel(TENANT, record.id)
    assert await store.jobs.lease(TENANT, record.id) == Lease(OWNER, FAR, cancelled=True)
    assert await store.jobs.renew(TENANT, record.id, OWNER, FAR + 1)
    assert await store.jobs.lease(TENANT, record.id) == Lease(OWNER, FAR + 1, cancelled=True)
    await store.jobs.finish(TENANT, ended(record), OWNER, Batch(0, b"[]"))
    await store.jobs.cancel(TENANT, record.id)
    await store.jobs.cancel(TENANT, "resp_unknown")
    assert await store.jobs.lease(TENANT, record.id) is None


async def test_the_expired_are_found(store: Store, clock: Clock) -> None:
    queued, claimed, finished = [await submitted(store) for _ in range(3)]
    await store.jobs.claim(TENANT, claimed.id, OWNER, FAR + 50)
    await store.jobs.finish(TENANT, ended(finished), None, Batch(0, b"[]"))
    assert await store.jobs.expired(10) == []
    clock.now = FAR
    assert await store.jobs.expired(10) == [(TENANT, queued.id)]
    clock.now = FAR + 50
    assert set(await store.jobs.expired(10)) == {(TENANT, queued.id), (TENANT, claimed.id)}
    assert len(await store.jobs.expired(1)) == 1


async def test_large_requests_and_events(store: Store) -> None:
    """Beyond a DynamoDB row and, together, beyond one transaction."""
    request = os.urandom(1_200_000)
    record = await submitted(store, request)
    assert await store.jobs.claim(TENANT, record.id, OWNER, FAR) == request
    batches = [Batch(n * 10, os.urandom(900_000)) for n in range(3)]
    for batch in batches:
        assert await store.jobs.append(TENANT, record.id, batch, record.expires_at)
    last = Batch(30, os.urandom(900_000))
    assert await store.jobs.finish(TENANT, ended(record), OWNER, last)
    assert await all_events(store, record) == [*batches, last]


async def test_a_large_end(store: Store) -> None:
    record = await submitted(store)
    await store.jobs.claim(TENANT, record.id, OWNER, FAR)
    final = ended(record, metadata={"noise": os.urandom(1_000_000).hex()})
    assert await store.jobs.finish(TENANT, final, OWNER, Batch(0, b"[]"))
    assert await store.get(TENANT, record.id) == final


async def test_delete_takes_everything(store: Store) -> None:
    running, done = [await submitted(store, os.urandom(500_000)) for _ in range(2)]
    for record in running, done:
        await store.jobs.claim(TENANT, record.id, OWNER, FAR)
        await store.jobs.append(TENANT, record.id, Batch(0, os.urandom(500_000)), record.expires_at)
    await store.jobs.finish(TENANT, ended(done), OWNER, Batch(1, b"[]"))
    for record in running, done:
        assert await store.delete(TENANT, record.id)
        assert await store.jobs.lease(TENANT, record.id) is None
        assert await all_events(store, record) == []
        assert not await store.jobs.finish(TENANT, ended(record), OWNER, Batch(2, b"[]"))
        assert await store.get(TENANT, record.id) is None


async def test_another_tenants_response_is_not_there(store: Store) -> None:
    record = await submitted(store)
    await store.jobs.append(TENANT, record.id, Batch(0, b"[]"), record.expires_at)
    await store.jobs.cancel("other", record.id)
    assert await store.jobs.lease("other", record.id) is None
    assert await store.jobs.events("other", record.id, 0) == []
    assert not await store.jobs.finish("other", ended(record), None, Batch(1, b"[]"))
    assert await store.jobs.lease(TENANT, record.id) == Lease(None, FAR)


@pytest.mark.parametrize("name", ["", "#", "resp_1#head", "../x", "a" * 200])
async def test_names_outside_the_grammar(store: Store, name: str) -> None:
    for tenant, response_id in (TENANT, name), (name, "resp_1"):
        assert await store.jobs.claim(tenant, response_id, OWNER, FAR) is None
        assert await store.jobs.lease(tenant, response_id) is None
        assert await store.jobs.events(tenant, response_id, 0) == []
        await store.jobs.cancel(tenant, response_id)
