"""Lists in pages: `limit`, `order`, `after`, `before`, in OpenAI's list object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ApiError

Json = dict[str, Any]
DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def page(items: list[Json], query: Mapping[str, str]) -> Json:
    """The page of `items` (oldest first, each with an id) that the query asks for; newest first by default.

    Raises ApiError naming the query parameter.
    """
    limit = _limit(query.get("limit"))
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise ApiError("invalid_value", "'order' must be 'asc' or 'desc'.", param="order")
    ordered = items if order == "asc" else items[::-1]
    start = _place(ordered, query["after"], "after") + 1 if "after" in query else 0
    end = _place(ordered, query["before"], "before") if "before" in query else len(ordered)
    data = ordered[start:end][:limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": end - start > limit,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise ApiError("invalid_value", f"'limit' must be a number from 1 to {MAX_LIMIT}.", param="limit")
    return int(text)


def _place(items: list[Json], item_id: str, name: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == item_id:
            return place
    raise ApiError("invalid_value", f"'{name}' names no item of this list.", param=name)
