"""`content_filter`: patterns that may not occur in what is asked, or in what is answered.

An input that has one is refused. An answer that comes to have one ends there: `incomplete`, `content_filter`; the piece
that completes the pattern is not told and not stored, what came before it may have been. Text is looked at in windows,
so that a pattern is found if what it matches has up to OVERLAP characters.

Python's `re` cannot be stopped: a pattern that repeats what repeats, as `(a+)+b`, may take for ever on some text, and
with it the process. WINDOW bounds what any other pattern may cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..adapters.base import (
    Annotation,
    Delta,
    Finished,
    HostedItemEnded,
    HostedItemEvent,
    HostedItemStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from ..engine.middleware import TurnContext
from ..protocol.errors import ApiError

WINDOW = 4000  # characters looked at at once
OVERLAP = 400  # characters that are looked at again with what follows
# Data, and what is said to others than the model.
NO_TEXT = frozenset(
    {
        *("image_url", "file_data", "file_url", "video_url", "data", "encrypted_content", "id"),
        *("result", "partial_image_b64", "server_url", "headers", "authorization"),
    }
)
ASKED = ("instructions", "input", "tools", "text")  # the request's fields that a model reads


@dataclass(kw_only=True)
class ContentFilter:
    """`input` and `output` are regular expressions, as Python's `re` reads them."""

    input: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._input = _compiled("input", self.input)
        self._output = _compiled("output", self.output)
        if not (self._input or self._output):
            raise ValueError("input: give patterns for this, or for output")
        if self._output:  # without it, no event costs anything
            self.on_event = self._told
        self._note = f"content_filter {id(self)}"

    async def before_turn(self, turn: TurnContext) -> None:
        for name in ASKED:
            texts = _texts(turn.request.get(name))
            if self._input and any(_found(self._input, text) for text in texts):
                message = "The input has content that this gateway does not let pass."
                raise ApiError("invalid_prompt", message, param=name)

    def _told(self, turn: TurnContext, delta: Delta) -> Delta:
        if isinstance(delta, TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta):
            piece = delta.text
        elif isinstance(delta, HostedItemEvent) and isinstance(delta.fields.get("delta"), str):
            piece = delta.fields["delta"]
        else:
            found = any(_found(self._output, text) for text in _texts(_whole(delta)))
            return Finished("content_filter") if found else delta
        tails = turn.state.setdefault(self._note, {})
        key = f"{type(delta).__name__} {getattr(delta, 'key', '')}"
        text = tails.get(key, "") + piece
        if _found(self._output, text):
            return Finished("content_filter")
        tails[key] = text[-OVERLAP:]
        return delta


def _whole(delta: Delta) -> Any:
    """What a delta says that has no pieces before it. Tools as a server lists them are nobody's answer."""
    if isinstance(delta, ToolCallStarted):
        return delta.name
    if isinstance(delta, Annotation):
        return delta.annotation
    if isinstance(delta, HostedItemEvent):
        return delta.fields
    if isinstance(delta, HostedItemStarted | HostedItemEnded) and delta.item.get("type") != "mcp_list_tools":
        return delta.item
    return None


def _compiled(name: str, patterns: Any) -> list[re.Pattern[str]]:
    """Raises ValueError."""
    if not isinstance(patterns, list) or not all(
        isinstance(pattern, str) and pattern for pattern in patterns
    ):
        raise ValueError(f"{name}: must be a list of regular expressions")
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise ValueError(f"{name}: {error.pattern!r} is no regular expression: {error.msg}") from None


def _found(patterns: list[re.Pattern[str]], text: str) -> bool:
    for start in range(0, max(1, len(text)), WINDOW - OVERLAP):
        piece = text[start : start + WINDOW]
        if any(pattern.search(piece) for pattern in patterns):
            return True
    return False


def _texts(value: Any) -> Iterator[str]:
    """Every text in a request's field, but for data and addresses."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name not in NO_TEXT:
                yield from _texts(one)
