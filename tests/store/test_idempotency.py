"""Idempotency keys: one suite, every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from openresponses.store.base import Store
from openresponses.store.idempotency import Claim

from .records import NOW, TENANT, Clock

MINE = Claim("digest", "resp_1", False, NOW + 100)


async def test_a_key_is_claimed_once(store: Store) -> None:
    assert await store.idempotency.claim(TENANT, "k", MINE) is None
    assert await store.idempotency.claim(TENANT, "k", replace(MINE, response_id="resp_2")) == MINE
    assert await store.idempotency.claim("other", "k", MINE) is None
    await store.idempotency.replace(TENANT, "k", replace(MINE, done=True))
    assert await store.idempotency.claim(TENANT, "k", MINE) == replace(MINE, done=True)
    await store.idempotency.release(TENANT, "k")
    assert await store.idempotency.claim(TENANT, "k", MINE) is None


async def test_a_claim_ends_by_itself(store: Store, clock: Clock) -> None:
    await store.idempotency.claim(TENANT, "k", MINE)
    clock.now += 101
    later = replace(MINE, response_id="resp_2", expires_at=NOW + 500)
    assert await store.idempotency.claim(TENANT, "k", later) is None
    assert await store.idempotency.claim(TENANT, "k", MINE) == later


async def test_looking_takes_nothing(store: Store, clock: Clock) -> None:
    assert await store.idempotency.find(TENANT, "k") is None
    await store.idempotency.replace(TENANT, "k", replace(MINE, done=True))
    assert await store.idempotency.find(TENANT, "k") == replace(MINE, done=True)
    assert await store.idempotency.find("other", "k") is None
    clock.now += 101
    assert await store.idempotency.find(TENANT, "k") is None


async def test_of_many_at_once_one_wins(store: Store) -> None:
    claims = [replace(MINE, response_id=f"resp_{number}") for number in range(20)]
    won = await asyncio.gather(*(store.idempotency.claim(TENANT, "k", claim) for claim in claims))
    assert won.count(None) == 1
