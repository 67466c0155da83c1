"""Turns for the tests of the stores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from openresponses.store.base import Store, StoredResponse

TENANT = "acme"
TTL = 30 * 86400
NOW = 1_800_000_000

numbers = itertools.count(1)

FIELDS: dict[str, Any] = {
    "object": "response",
    "created_at": NOW,
    "completed_at": NOW + 1,
    "status": "completed",
    "incomplete_details": None,
    "model": "claude-opus-4-6",
    "instructions": None,
    "error": None,
    "tools": [],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "temperature": 1.0,
    "reasoning": None,
    "usage": {
        "input_tokens": 12,
        "output_tokens": 34,
        "total_tokens": 46,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "max_output_tokens": None,
    "max_tool_calls": None,
    "store": True,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Words:
    """What was said in a turn."""

    user: str = "What is the tallest mountain that can be seen from the sea?"
    model: str = (
        "It depends on how far out the ship is, and on whether the top has to be seen from sea level."
    )


def turn(
    previous: str | None = None,
    *,
    id: str | None = None,
    words: Words | None = None,
    expires_at: int = NOW + TTL,
    created_at: int = NOW,
    **response: Any,
) -> StoredResponse:
    words = words or Words()
    # As the gateway makes them: time-ordered, otherwise random (a fixed scramble here), 32 hex digits.
    number = next(numbers)
    name = f"{NOW + number:012x}{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**80:020x}"
    id = id or f"resp_{name}"
    output = {
        "id": f"msg_{name}_0",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": words.model, "annotations": [], "logprobs": []}],
    }
    message = {
        "id": f"msg_{name}_1",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": words.user}],
    }
    return StoredResponse(
        id=id,
        response={"id": id, **FIELDS, "previous_response_id": previous, "output": [output], **response},
        input=[message],
        model="claude-opus-4-6",
        created_at=created_at,
        expires_at=expires_at,
    )


async def chat(
    store: Store, length: int, previous: str | None = None, *, expires_at: int = NOW + TTL
) -> list[StoredResponse]:
    """`length` turns, each written after the one it continues; oldest first."""
    turns = []
    for _ in range(length):
        turns.append(turn(previous, expires_at=expires_at))
        await store.put(TENANT, turns[-1])
        previous = turns[-1].id
    return turns
