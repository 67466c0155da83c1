"""Reasoning that a client replayed without its state: the state is kept with the response that the item's id names.

A client that appends `response.output` to its next input gets no `encrypted_content` unless it asks for it; to OpenAI
the id alone says which reasoning is meant. So it does here, for what is stored.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..protocol.ids import owner_of
from ..store.base import Store, StoreUnavailable

Json = dict[str, Any]

MOST_OWNERS = 20  # responses that are read for one request; the latest ones


async def with_states(store: Store, tenant: str, items: list[Json], known: dict[str, Json]) -> list[Json]:
    """The items, reasoning with its state where `known` (items by id) or the store has it.

    What is not found stays as it is: the adapter knows what its provider takes in place of a state.
    """
    bare = [item["id"] for item in items if _is_bare(item)]
    if not bare:
        return items
    owners = list(
        dict.fromkeys(owner for name in reversed(bare) if name not in known and (owner := owner_of(name)))
    )
    reads = (_stored(store, tenant, owner) for owner in owners[:MOST_OWNERS])
    found = known | {item["id"]: item for stored in await asyncio.gather(*reads) for item in stored}
    return [_restored(item, found.get(item["id"], item)) if _is_bare(item) else item for item in items]


def _is_bare(item: Json) -> bool:
    return item["type"] == "reasoning" and "encrypted_content" not in item


def _restored(item: Json, stored: Json) -> Json:
    state = stored.get("encrypted_content") if stored["type"] == "reasoning" else None
    return {**item, "encrypted_content": state} if state else item


async def _stored(store: Store, tenant: str, response_id: str) -> list[Json]:
    try:
        record = await store.get(tenant, response_id)
    except StoreUnavailable:
        return []
    return [item for item in record.response["output"] if "id" in item] if record else []
