"""What OpenAI's API has in a request and the specification has not: a provider without it refuses or ignores it.

An adapter that can send some of these fields names them in `openai_fields`; no other adapter need know of them.
Source: OpenAI's Responses API, "Create a model response".
"""

from __future__ import annotations

from typing import Any

from ..protocol.errors import ApiError
from .base import Adapter, Json, Turn, UpstreamRequest

# What a client counts on: a prompt kept at OpenAI, a verdict on what is said.
FEATURES = ("prompt", "moderation")
# Items that only OpenAI can run or heed.
ITEMS = frozenset({"compaction_trigger", "configuration_update"})
# What tunes the answer or its cost.
KNOBS = (
    "access_programs",
    "background_options",
    "context_management",
    "image",
    "prompt_cache_options",
    "reasoning.context",
    "reasoning.mode",
)
# Values that ask for nothing.
UNTURNED: dict[str, Any] = {"reasoning.context": "auto", "reasoning.mode": "standard"}


def build(adapter: Adapter, turn: Turn) -> UpstreamRequest:
    """The adapter's request for this turn, those fields accounted for. Raises ApiError as the adapter does."""
    taken = getattr(adapter, "openai_fields", ())
    for name in FEATURES:
        if name in turn.request and name not in taken:
            message = f"{turn.provider} has no '{name}': it is kept and run by OpenAI."
            raise ApiError("unsupported_parameter", message, param=name)
    for index, item in enumerate(turn.input):
        if item["type"] in ITEMS and f"input[].{item['type']}" not in taken:
            message = f"{turn.provider} cannot be given a {item['type']!r} item."
            raise ApiError("unsupported_value", message, param=f"input[{index}]")
    request = adapter.build(turn)
    request.ignored += [path for path in KNOBS if path not in taken and _is_turned(turn.request, path)]
    return request


def _is_turned(request: Json, path: str) -> bool:
    value: Any = request
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return bool(value) and value != UNTURNED.get(path)
