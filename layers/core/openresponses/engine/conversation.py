"""A turn within a conversation: its items are the context, and what the turn adds is appended to them."""

from __future__ import annotations

from typing import Any

from ..protocol.errors import ApiError, quoted
from ..protocol.ids import CONVERSATION_ID
from ..store.base import StoreUnavailable
from ..store.conversations import Conversations
from .faults import store_unreachable

Json = dict[str, Any]


def conversation_id(request: Json) -> str | None:
    """The id in the request's `conversation`, which is a string or an object with an id. Raises ApiError."""
    given = request.get("conversation")
    found = given.get("id") if isinstance(given, dict) else given
    if found is None and given is None:
        return None
    if not isinstance(found, str):
        raise ApiError(
            "invalid_type", "'conversation' must be an id, or an object with an id.", param="conversation"
        )
    return found


def conversation_not_found(wanted: str, param: str = "conversation") -> ApiError:
    return ApiError(
        "conversation_not_found", f"Conversation with id {quoted(wanted)} not found.", param=param
    )


async def conversation_items(conversations: Conversations, tenant: str, wanted: str) -> list[Json]:
    """What the conversation holds. Raises ApiError."""
    try:
        items = await conversations.items(tenant, wanted) if CONVERSATION_ID.fullmatch(wanted) else None
    except StoreUnavailable:
        raise store_unreachable() from None
    if items is None:
        raise conversation_not_found(wanted)
    return items
