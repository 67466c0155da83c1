"""What every store must do, run against each of them."""

from __future__ import annotations

import asyncio
import base64
import random
from dataclasses import replace
from typing import Any

import pytest
from openresponses.store.base import ChainNotFound, Store, StoredResponse
from openresponses.store.conversations import Conversation

from .records import NOW, TENANT, TTL, Clock, Words, chat, turn

HALF = TTL // 2

BAD_NAMES = [
    "",
    " ",
    "#",
    "resp_1#head",
    "resp_1\n",
    "\nresp_1",
    "resp_1\x00",
    "../resp_1",
    "' OR 1=1 --",
    "%",
    "résp",
    "resp_" + "a" * 10_000,
]
BAD_TENANTS = ["", "ACME", "acme#R", "acme\n", "a" * 65, "acme/other", "T#acme", "ünï"]


# --------------------------------------------------------------------------- one turn


async def test_a_turn_comes_back_as_it_was(store: Store) -> None:
    nested: dict[str, Any] = {"a": [{"b": {"c": [[], {}, [None, True, False, 0, -1, 2**53, 1e-9, 0.1]]}}]}
    record = turn(
        words=Words('snow ❄ 雪 שלג \U0001f3d4 \u2028 \x00 \\ "', "tab\tnewline\n"),
        metadata=nested,
        temperature=0.30000000000000004,
        top_p=1e300,
        incomplete_details={"reason": "max_output_tokens"},
        status="incomplete",
    )
    await store.put(TENANT, record)
    assert await store.get(TENANT, record.id) == record
    assert await store.chain(TENANT, record.id) == [record]


@pytest.mark.parametrize("text", ["easily compressed ", None], ids=["repeated", "random"])
async def test_a_turn_of_2_mb(store: Store, text: str | None) -> None:
    noise = base64.b64encode(random.Random(7).randbytes(1_600_000)).decode()
    first = turn(words=Words(user="x" * 3, model=(text * 120_000 if text else noise)[:2_000_000]))
    await store.put(TENANT, first)
    second = turn(first.id)
    await store.put(TENANT, second)
    assert await store.get(TENANT, first.id) == first
    assert await store.chain(TENANT, second.id) == [first, second]
    assert await store.delete(TENANT, first.id)
    assert await store.get(TENANT, first.id) is None


async def test_the_last_write_of_an_id_counts(store: Store) -> None:
    first = turn(words=Words(model="first"))
    second = turn(id=first.id, words=Words(model="second"), status="incomplete")
    await store.put(TENANT, first)
    await store.put(TENANT, second)
    assert await store.get(TENANT, first.id) == second
    assert await store.chain(TENANT, first.id) == [second]


async def test_what_was_never_stored_is_not_there(store: Store) -> None:
    assert await store.get(TENANT, "resp_unknown") is None
    assert await store.delete(TENANT, "resp_unknown") is False
    with pytest.raises(ChainNotFound) as raised:
        await store.chain(TENANT, "resp_unknown")
    assert raised.value.args[0] == "resp_unknown"


async def test_a_deleted_turn_is_gone(store: Store) -> None:
    (record,) = await chat(store, 1)
    assert await store.delete(TENANT, record.id) is True
    assert await store.get(TENANT, record.id) is None
    assert await store.delete(TENANT, record.id) is False
    with pytest.raises(ChainNotFound):
        await store.chain(TENANT, record.id)


async def test_another_tenants_turn_is_not_there(store: Store) -> None:
    (record,) = await chat(store, 1)
    assert await store.get("other", record.id) is None
    assert await store.delete("other", record.id) is False
    with pytest.raises(ChainNotFound):
        await store.chain("other", record.id)
    mine = turn(id=record.id, words=Words(model="the other tenant's own"))
    await store.put("other", mine)
    assert await store.get(TENANT, record.id) == record
    assert await store.get("other", record.id) == mine


# --------------------------------------------------------------------------- chains


@pytest.mark.parametrize(
    "length", [1, 2, 65, *(pytest.param(n, marks=pytest.mark.slow) for n in (30, 63, 64, 129))]
)
async def test_a_chain_is_oldest_first_and_whole(store: Store, length: int) -> None:
    turns = await chat(store, length)
    assert await store.chain(TENANT, turns[-1].id) == turns


@pytest.mark.parametrize("longest", [193, pytest.param(500, marks=pytest.mark.slow)])
async def test_a_long_chain_from_any_of_its_turns(store: Store, longest: int) -> None:
    turns = await chat(store, longest)
    checkpoint = longest // 64 * 64
    for length in longest, checkpoint + 1, checkpoint, 1:
        assert await store.chain(TENANT, turns[length - 1].id) == turns[:length]


async def test_forks_share_what_they_have_in_common(store: Store) -> None:
    trunk = await chat(store, 70)
    left, right = await chat(store, 3, trunk[60].id), await chat(store, 6, trunk[60].id)
    assert await store.chain(TENANT, left[-1].id) == trunk[:61] + left
    assert await store.chain(TENANT, right[-1].id) == trunk[:61] + right
    assert await store.chain(TENANT, trunk[-1].id) == trunk


@pytest.mark.parametrize(
    "position", [0, 64, *(pytest.param(at, marks=pytest.mark.slow) for at in (1, 63, 79))]
)
async def test_a_deleted_turn_ends_its_descendants_and_not_its_ancestors(store: Store, position: int) -> None:
    turns = await chat(store, 80)
    assert await store.delete(TENANT, turns[position].id)
    for broken in {turns[position].id, turns[-1].id}:
        with pytest.raises(ChainNotFound):
            await store.chain(TENANT, broken)
    if position:
        assert await store.chain(TENANT, turns[position - 1].id) == turns[:position]


async def test_a_turn_after_a_deleted_one_is_kept_but_has_no_chain(store: Store) -> None:
    first, second = await chat(store, 2)
    await store.delete(TENANT, second.id)
    third = turn(second.id)
    await store.put(TENANT, third)
    assert await store.get(TENANT, third.id) == third
    with pytest.raises(ChainNotFound):
        await store.chain(TENANT, third.id)
    assert await store.chain(TENANT, first.id) == [first]


async def test_a_chain_does_not_cross_tenants(store: Store) -> None:
    (first,) = await chat(store, 1)
    second = turn(first.id)
    await store.put("other", second)
    with pytest.raises(ChainNotFound):
        await store.chain("other", second.id)


@pytest.mark.parametrize("length", [1, 2, 5])
async def test_a_loop_is_no_chain(store: Store, length: int) -> None:
    ids = [f"resp_loop{n}" for n in range(length)]
    for n, id in enumerate(ids):
        await store.put(TENANT, turn(ids[n - 1], id=id))
    for n, id in enumerate(ids):  # and again, when each parent is known
        await store.put(TENANT, turn(ids[n - 1], id=id))
    for id in ids:
        with pytest.raises(ChainNotFound):
            await asyncio.wait_for(store.chain(TENANT, id), 5)


# --------------------------------------------------------------------------- time


async def test_an_expired_turn_is_not_there(store: Store, clock: Clock) -> None:
    record = turn(expires_at=NOW + 100)
    await store.put(TENANT, record)
    clock.now = NOW + 99.9
    assert await store.get(TENANT, record.id) == record
    clock.now = NOW + 100
    assert await store.get(TENANT, record.id) is None
    with pytest.raises(ChainNotFound):
        await store.chain(TENANT, record.id)
    assert await store.delete(TENANT, record.id) is False


async def test_a_chain_with_an_expired_turn_is_no_shorter_chain(store: Store, clock: Clock) -> None:
    first = turn()
    middle = turn(first.id, expires_at=NOW + 10)
    last = turn(middle.id)
    for record in first, middle, last:
        await store.put(TENANT, record)
    assert await store.get(TENANT, middle.id) == middle
    clock.now = NOW + 11
    with pytest.raises(ChainNotFound):
        await store.chain(TENANT, last.id)
    assert await store.chain(TENANT, first.id) == [first]


async def test_get_renews_nothing(store: Store, clock: Clock) -> None:
    (record,) = await chat(store, 1)
    clock.now = NOW + TTL - 1
    assert await store.get(TENANT, record.id) == record
    clock.now = NOW + TTL
    assert await store.get(TENANT, record.id) is None


def lives(records: list[StoredResponse]) -> list[int]:
    return [record.expires_at for record in records]


async def test_a_chain_in_use_does_not_expire(store: Store, clock: Clock) -> None:
    turns = await chat(store, 70)
    last = turns[-1].id
    clock.now = NOW + HALF  # exactly half is left: still enough
    assert lives(await store.chain(TENANT, last)) == [NOW + TTL] * 70
    clock.now = NOW + HALF + 1
    renewed = NOW + HALF + 1 + TTL
    assert lives(await store.chain(TENANT, last)) == [renewed] * 70
    clock.now = renewed - 1  # long after the first expiry
    chain = await store.chain(TENANT, last)
    assert [record.response for record in chain] == [record.response for record in turns]
    found = await store.get(TENANT, turns[0].id)
    assert found and found.expires_at == renewed - 1 + TTL


async def test_only_what_is_past_half_its_life_is_renewed(store: Store, clock: Clock) -> None:
    (first,) = await chat(store, 1, expires_at=NOW + HALF - 1)
    (second,) = await chat(store, 1, first.id, expires_at=NOW + HALF)
    (third,) = await chat(store, 1, second.id, expires_at=NOW + 2 * TTL)
    expected = [NOW + TTL, NOW + HALF, NOW + 2 * TTL]
    assert lives(await store.chain(TENANT, third.id)) == expected
    kept = [await store.get(TENANT, record.id) for record in (first, second, third)]
    assert lives([record for record in kept if record]) == expected


# --------------------------------------------------------------------------- many at once, and hostile names


async def test_200_writes_at_once(store: Store) -> None:
    (root,) = await chat(store, 1)
    turns = [turn(root.id, words=Words(model=f"answer {n}")) for n in range(200)]
    await asyncio.gather(*(store.put(TENANT, record) for record in turns))
    assert await asyncio.gather(*(store.get(TENANT, record.id) for record in turns)) == turns
    chains = await asyncio.gather(*(store.chain(TENANT, record.id) for record in turns[:40]))
    assert chains == [[root, record] for record in turns[:40]]


async def test_a_turn_can_be_continued_the_moment_put_returns(store: Store) -> None:
    async def conversation() -> None:
        previous: str | None = None
        for length in range(1, 7):
            record = turn(previous)
            await store.put(TENANT, record)
            assert len(await store.chain(TENANT, record.id)) == length
            previous = record.id

    await asyncio.gather(*(conversation() for _ in range(5)))


async def test_an_id_outside_the_grammar_is_not_there(store: Store) -> None:
    await chat(store, 1)
    for id in BAD_NAMES:
        assert await store.get(TENANT, id) is None
        assert await store.delete(TENANT, id) is False
        with pytest.raises(ChainNotFound):
            await store.chain(TENANT, id)
        for record in turn(id=id or " "), turn(id):
            with pytest.raises(ValueError, match="grammar"):
                await store.put(TENANT, record)


async def test_a_tenant_outside_the_grammar_has_nothing(store: Store) -> None:
    (record,) = await chat(store, 1)
    for tenant in BAD_TENANTS:
        assert await store.get(tenant, record.id) is None
        assert await store.delete(tenant, record.id) is False
        with pytest.raises(ChainNotFound):
            await store.chain(tenant, record.id)
        with pytest.raises(ValueError, match="grammar"):
            await store.put(tenant, record)
    assert await store.chain(TENANT, record.id) == [record]


async def test_a_turn_with_a_life_of_its_own_is_renewed_to_it(store: Store, clock: Clock) -> None:
    day = 86400
    (first,) = await chat(store, 1)
    second = replace(turn(first.id, expires_at=NOW + day), lifetime=day)
    await store.put(TENANT, second)
    assert await store.get(TENANT, second.id) == second
    clock.now = NOW + day // 2 + 1
    assert lives(await store.chain(TENANT, second.id)) == [NOW + TTL, NOW + day // 2 + 1 + day]
    found = await store.get(TENANT, second.id)
    assert found and (found.expires_at, found.lifetime) == (NOW + day // 2 + 1 + day, day)
    clock.now = found.expires_at
    with pytest.raises(ChainNotFound):
        await store.chain(TENANT, second.id)


async def test_a_conversation_with_a_life_of_its_own_is_renewed_to_it(store: Store, clock: Clock) -> None:
    day = 86400
    conversation = Conversation("conv_1", {}, NOW, NOW + day, day)
    await store.conversations.create(TENANT, conversation, [])
    assert await store.conversations.get(TENANT, "conv_1") == conversation
    clock.now = NOW + day // 2 + 1
    assert await store.conversations.append(TENANT, "conv_1", [{"id": "msg_1", "type": "message"}])
    found = await store.conversations.get(TENANT, "conv_1")
    assert found == replace(conversation, expires_at=NOW + day // 2 + 1 + day)
