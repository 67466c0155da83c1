"""Conversations: one suite, every store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openresponses.store.base import Store
from openresponses.store.conversations import Conversation

from .records import NOW, TENANT, TTL, Clock

Json = dict[str, Any]
ID = "conv_" + "a" * 32


def items(*names: str, size: int = 0) -> list[Json]:
    return [
        {"id": name, "type": "message", "role": "user", "content": [{"text": name + "é" * size}]}
        for name in names
    ]


@pytest.fixture
async def conversation(store: Store) -> Conversation:
    created = Conversation(ID, {"topic": "x"}, NOW, NOW + TTL)
    await store.conversations.create(TENANT, created, items("a"))
    return created


async def ids(store: Store, tenant: str = TENANT) -> list[str] | None:
    found = await store.conversations.items(tenant, ID)
    return None if found is None else [item["id"] for item in found]


async def test_a_conversation_is_kept_in_order(store: Store, conversation: Conversation) -> None:
    assert await store.conversations.get(TENANT, ID) == conversation
    assert await store.conversations.append(TENANT, ID, items("b", "c"))
    assert await store.conversations.append(TENANT, ID, [])
    assert await store.conversations.append(TENANT, ID, items("d"))
    assert await ids(store) == ["a", "b", "c", "d"]
    assert await store.conversations.items(TENANT, ID) == items("a", "b", "c", "d")


async def test_metadata_is_replaced(store: Store, conversation: Conversation) -> None:
    assert await store.conversations.set_metadata(TENANT, ID, {"new": "é"})
    found = await store.conversations.get(TENANT, ID)
    assert found and found.metadata == {"new": "é"}
    assert await ids(store) == ["a"]


async def test_an_item_is_removed(store: Store, conversation: Conversation) -> None:
    await store.conversations.append(TENANT, ID, items("b", "c"))
    assert await store.conversations.remove(TENANT, ID, "b")
    assert not await store.conversations.remove(TENANT, ID, "b")
    assert await ids(store) == ["a", "c"]
    assert await store.conversations.remove(TENANT, ID, "a")
    assert await store.conversations.remove(TENANT, ID, "c")
    assert await ids(store) == []


async def test_large_items(store: Store, conversation: Conversation) -> None:
    import random

    noise = random.Random(1)
    text = "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(500_000))
    large = [{"id": "large", "type": "message", "content": text}, *items("after")]
    assert await store.conversations.append(TENANT, ID, large)
    assert (await store.conversations.items(TENANT, ID))[1:] == large  # type: ignore[index]
    assert await store.conversations.remove(TENANT, ID, "large")
    assert await ids(store) == ["a", "after"]


async def test_what_is_deleted_is_gone(store: Store, conversation: Conversation) -> None:
    assert await store.conversations.delete(TENANT, ID)
    assert not await store.conversations.delete(TENANT, ID)
    assert await store.conversations.get(TENANT, ID) is None
    assert await ids(store) is None
    assert not await store.conversations.append(TENANT, ID, items("b"))
    assert not await store.conversations.set_metadata(TENANT, ID, {})
    assert not await store.conversations.remove(TENANT, ID, "a")


async def test_other_tenants_and_bad_names_find_nothing(store: Store, conversation: Conversation) -> None:
    for tenant, name in (
        ("other", ID),
        (TENANT, "conv_" + "b" * 32),
        ("a#b", ID),
        (TENANT, "x#head"),
        (TENANT, ""),
    ):
        assert await store.conversations.get(tenant, name) is None
        assert await store.conversations.items(tenant, name) is None
        assert not await store.conversations.append(tenant, name, items("b"))
        assert not await store.conversations.set_metadata(tenant, name, {})
        assert not await store.conversations.remove(tenant, name, "a")
        assert not await store.conversations.delete(tenant, name)
    assert await ids(store) == ["a"]


async def test_use_renews_a_life_that_is_half_over(
    store: Store, conversation: Conversation, clock: Clock
) -> None:
    clock.now += TTL * 0.4
    await store.conversations.append(TENANT, ID, items("b"))
    found = await store.conversations.get(TENANT, ID)
    assert found and found.expires_at == NOW + TTL
    clock.now += TTL * 0.2
    await store.conversations.append(TENANT, ID, items("c"))
    found = await store.conversations.get(TENANT, ID)
    assert found and abs(found.expires_at - (clock.now + TTL)) <= 1
    clock.now += TTL * 0.9
    assert await ids(store) == ["a", "b", "c"]
    clock.now += TTL * 0.2
    assert await ids(store) is None


async def test_many_at_once_lose_nothing(store: Store, conversation: Conversation) -> None:
    await asyncio.gather(*(store.conversations.append(TENANT, ID, items(f"i{n}")) for n in range(40)))
    found = await ids(store)
    assert found and set(found) == {"a", *(f"i{n}" for n in range(40))}
