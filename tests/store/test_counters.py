"""Counters and leases: one suite, every store."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from openresponses.store.base import Store

from .records import NOW, TENANT, Clock

DAY = "day#2027-01-15"
LATER = NOW + 1000


@pytest.fixture(autouse=True)
def one_call_at_a_time(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB looks at a condition and writes in one step; moto does so only if nobody asks meanwhile."""
    call, lock = client._make_api_call, threading.Lock()

    def alone(operation: str, arguments: Any) -> Any:
        with lock:
            return call(operation, arguments)

    monkeypatch.setattr(client, "_make_api_call", alone)


async def test_amounts_are_added_at_once(store: Store) -> None:
    add = store.counters.add
    assert await add(TENANT, DAY, {"tokens": 5, "cost": 7}, expires_at=LATER) == {"tokens": 5, "cost": 7}
    assert await add(TENANT, DAY, {"tokens": -2, "cost": 0}, expires_at=LATER) == {"tokens": 3, "cost": 7}
    assert await store.counters.read(TENANT, DAY) == {"tokens": 3, "cost": 7}
    for tenant, window in ((TENANT, "day#2027-01-16"), ("other", DAY)):
        assert await store.counters.read(tenant, window) == {}


@pytest.mark.parametrize(
    ("limits", "added"),
    [
        ({"tokens": 11}, True),
        ({"tokens": 10}, False),
        ({"tokens": 9}, False),
        ({"cost": 1}, True),
        ({"cost": 0}, False),
        ({"tokens": 11, "cost": 1}, True),
        ({"tokens": 10, "cost": 1}, False),
        ({"requests": 1}, True),
    ],
)
async def test_nothing_is_added_where_a_limit_is_reached(
    store: Store, limits: dict[str, int], added: bool
) -> None:
    await store.counters.add(TENANT, DAY, {"tokens": 10}, expires_at=LATER)
    done = await store.counters.add(TENANT, DAY, {"tokens": 100}, limits=limits, expires_at=LATER)
    assert (done is not None) is added
    assert await store.counters.read(TENANT, DAY) == {"tokens": 110 if added else 10}


async def test_of_many_at_once_only_those_below_the_limit_are_added(store: Store) -> None:
    async def add() -> bool:
        done = await store.counters.add(TENANT, DAY, {"n": 3}, limits={"n": 10}, expires_at=LATER)
        return done is not None

    done = await asyncio.gather(*(add() for _ in range(20)))
    assert done.count(True) == 4, "0, 3, 6 and 9 are below 10"
    assert await store.counters.read(TENANT, DAY) == {"n": 12}


async def test_a_window_ends_by_itself(store: Store, clock: Clock) -> None:
    await store.counters.add(TENANT, DAY, {"tokens": 10}, expires_at=LATER)
    clock.now = LATER
    assert await store.counters.read(TENANT, DAY) == {}


async def test_leases_are_taken_prolonged_and_given_back(store: Store) -> None:
    lease, release = store.counters.lease, store.counters.release
    assert await lease(TENANT, "turns", "a", NOW + 60, 2)
    assert await lease(TENANT, "turns", "b", NOW + 60, 2)
    assert not await lease(TENANT, "turns", "c", NOW + 60, 2)
    assert await lease(TENANT, "turns", "a", NOW + 90, 2), "its own"
    assert await lease("other", "turns", "c", NOW + 60, 2) and await lease(TENANT, "others", "c", NOW + 60, 2)
    await release(TENANT, "turns", "c")
    assert not await lease(TENANT, "turns", "c", NOW + 60, 2)
    await release(TENANT, "turns", "b")
    assert await lease(TENANT, "turns", "c", NOW + 60, 2)


async def test_a_lease_ends_by_itself(store: Store, clock: Clock) -> None:
    assert await store.counters.lease(TENANT, "turns", "dead", NOW + 60, 1)
    clock.now += 59
    assert not await store.counters.lease(TENANT, "turns", "next", NOW + 160, 1)
    clock.now += 1
    assert await store.counters.lease(TENANT, "turns", "next", NOW + 160, 1)
    await store.counters.release(TENANT, "turns", "dead")
    assert not await store.counters.lease(TENANT, "turns", "third", NOW + 160, 1)


async def test_of_many_at_once_only_as_many_as_there_are_leases_get_one(store: Store) -> None:
    asked = [store.counters.lease(TENANT, "turns", f"turn{n}", NOW + 60, 3) for n in range(20)]
    assert (await asyncio.gather(*asked)).count(True) == 3


@pytest.mark.parametrize(
    ("tenant", "window", "name"),
    [("T#other", DAY, "n"), ("", DAY, "n"), (TENANT, "a b", "n"), (TENANT, "", "n"), (TENANT, DAY, "pk")],
)
async def test_names_outside_their_grammar(store: Store, tenant: str, window: str, name: str) -> None:
    with pytest.raises(ValueError, match="counter"):
        await store.counters.add(tenant, window, {name: 1}, expires_at=LATER)
