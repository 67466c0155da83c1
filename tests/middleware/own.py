"""Middlewares of an operator's own, for the tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from openresponses.adapters.base import Delta, Finished, TextDelta, ToolCallDelta, ToolCallStarted, Turn
from openresponses.engine.middleware import TurnContext
from openresponses.protocol.errors import ApiError

# Tenant, response's id, status and usage of every turn that ended.
ENDS: list[tuple[str, str, str, dict[str, Any] | None]] = []
# Which of Noter's hooks were called.
NOTES: list[str] = []


class Recorder:
    """Notes every end."""

    async def after_turn(self, turn: TurnContext) -> None:
        ENDS.append((turn.caller.tenant, turn.response["id"], turn.status, turn.usage))


class Noter:
    """Notes its hooks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def note(self, hook: str) -> None:
        NOTES.append(f"{self.name} {hook}")

    async def before_turn(self, turn: TurnContext) -> None:
        self.note("before_turn")

    async def before_sample(self, turn: TurnContext, sample: Turn) -> None:
        self.note(f"before_sample {len(sample.input)}")

    def on_event(self, turn: TurnContext, delta: Delta) -> Delta:
        if isinstance(delta, TextDelta):
            self.note("on_event")
            return replace(delta, text=delta.text + self.name)
        return delta

    async def after_sample(self, turn: TurnContext) -> None:
        assert turn.usage
        self.note(f"after_sample {turn.usage['total_tokens']}")

    async def after_turn(self, turn: TurnContext) -> None:
        self.note(f"after_turn {turn.status}")


class Shouter:
    """Uses every hook, with an option of its own."""

    def __init__(self, greeting: str, model: str = "echo") -> None:
        self.greeting = greeting
        self.model = model

    async def before_turn(self, turn: TurnContext) -> None:
        turn.request["model"] = self.model
        turn.request["metadata"] = {"greeting": self.greeting}
        turn.headers["x-greeting"] = self.greeting

    async def before_sample(self, turn: TurnContext, sample: Turn) -> None:
        said = {"type": "input_text", "text": self.greeting}
        sample.input = [*sample.input, {"type": "message", "role": "user", "content": [said]}]

    def on_event(self, turn: TurnContext, delta: Delta) -> Delta | None:
        if isinstance(delta, TextDelta):
            return None if "drop" in delta.text else replace(delta, text=delta.text.upper())
        return delta

    async def after_sample(self, turn: TurnContext) -> None:
        assert turn.usage and turn.route
        text = {"type": "output_text", "text": "by shouter"}
        turn.add({"type": "web_search_call", "action": {"type": "search", "query": "shouters"}})
        turn.add({"type": "message", "role": "assistant", "content": [text]})


class Censor:
    """Keeps some calls from the client, by their numbers in `metadata`, and changes the sevens in others."""

    def on_event(self, turn: TurnContext, delta: Delta) -> Delta | None:
        if isinstance(delta, ToolCallStarted):
            number = turn.state["calls"] = turn.state.get("calls", -1) + 1
            return None if str(number) in turn.request["metadata"]["without"] else delta
        return (
            replace(delta, text=delta.text.replace("7", "8")) if isinstance(delta, ToolCallDelta) else delta
        )


class Broken:
    """Fails in the hook that it is told to fail in, in the way that it is told."""

    def __init__(self, hook: str, way: str) -> None:
        self.way = way
        setattr(self, hook, self.fail_at_once if hook == "on_event" else self.fail)

    async def fail(self, *_: Any) -> None:
        if self.way == "hangs":
            await asyncio.sleep(60)
        self.fail_at_once()

    def fail_at_once(self, *_: Any) -> Delta:
        if self.way == "stops":
            return Finished("content_filter")
        if self.way == "typed":
            raise ApiError("permission_denied", "Not today.")
        if self.way == "cancels":
            raise asyncio.CancelledError
        raise ValueError("yranac-a-fo"[::-1])


def not_a_class() -> None:
    """What a row may not name."""
