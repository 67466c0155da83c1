"""What a store keeps of a conversation: an object of its own that turns append to, item by item.

Unlike a chain of responses it has one line, can be edited, and outlives the responses that filled it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation without its items. Times are Unix seconds; from `expires_at` on it does not exist.

    `lifetime` is in seconds: what its life is renewed to, when it is used; None: the store's own.
    """

    id: str
    metadata: Json
    created_at: int
    expires_at: int
    lifetime: int | None = None


class Conversations(Protocol):
    """The conversations of a store. Every method may raise StoreUnavailable; unknown, expired and other tenants'
    conversations are not there. Items are dicts with an id, in the order in which they were appended."""

    async def create(self, tenant: str, conversation: Conversation, items: list[Json]) -> None: ...

    async def get(self, tenant: str, conversation_id: str) -> Conversation | None: ...

    async def set_metadata(self, tenant: str, conversation_id: str, metadata: Json) -> bool:
        """False: it is not there."""
        ...

    async def items(self, tenant: str, conversation_id: str) -> list[Json] | None:
        """All items, oldest first; None: it is not there."""
        ...

    async def append(self, tenant: str, conversation_id: str, items: list[Json]) -> bool:
        """Adds the items after all others, all or none, and renews the life of the conversation once half of it has
        passed. False: it is not there."""
        ...

    async def remove(self, tenant: str, conversation_id: str, item_id: str) -> bool:
        """False: there is no such item."""
        ...

    async def delete(self, tenant: str, conversation_id: str) -> bool:
        """Removes the conversation and its items; False: it was not there."""
        ...
