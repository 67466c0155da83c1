"""The model's tool calls: which go to the client, which run here, and which are refused.

`tool_choice`, `allowed_tools`, `parallel_tool_calls` and `max_tool_calls` are hard limits, whatever the model does. A
call that breaks one is never shown to the client and never run: the model is told so, and samples again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable
from dataclasses import dataclass, field
from typing import Any

from ..adapters.base import Delta, HostedItemEnded, ItemEnd, ToolCallDelta, ToolCallStarted
from ..protocol.errors import ApiError
from .hosted_tools import HostedTools
from .tools import Toolset

Json = dict[str, Any]

CALL_DELTAS = frozenset({ToolCallStarted, ToolCallDelta, ItemEnd})
MAX_REFUSED_ROUNDS = 2
LIMIT = "max_tool_calls"  # why a turn that had its calls ends incomplete

NOT_ALLOWED = "This tool may not be called now."
ONE_AT_A_TIME = "Only one tool call at a time is allowed; call it again if it is still needed."
LIMIT_REACHED = "The limit of tool calls for this answer is reached; answer without calling tools."


@dataclass(slots=True)
class Refusal:
    """A call that was kept from the client, and why."""

    call: ToolCallStarted
    reason: str
    pieces: list[str] = field(default_factory=list)


class Calls:
    """The calls of one turn, sample by sample."""

    def __init__(self, request: Json, toolset: Toolset, hosted: HostedTools, max_rounds: int) -> None:
        self._toolset = toolset
        self._hosted = hosted
        self._one_at_a_time = request.get("parallel_tool_calls") is False
        self._left: int | None = request.get("max_tool_calls")
        self._rounds_left = max_rounds
        self._refused_rounds = 0
        self._here = 0  # calls of this sample that run here
        self._for_client = 0  # and those that wait for the client
        self.goes_on = False  # whether the model is to be sampled again: no call waits for the client
        self._refusals: dict[Hashable, Refusal] = {}

    def keeps(self, delta: Delta) -> bool:
        """Whether this delta belongs to a refused call; then nobody else may see it."""
        if isinstance(delta, ToolCallStarted):
            reason = self._refusal(delta)
            if reason:
                self._refusals[delta.key] = Refusal(delta, reason)
            return reason is not None
        if not isinstance(delta, ToolCallDelta | ItemEnd):
            return False
        refusal = self._refusals.get(delta.key)
        if refusal and isinstance(delta, ToolCallDelta):
            refusal.pieces.append(delta.text)
        return refusal is not None

    def _refusal(self, call: ToolCallStarted) -> str | None:
        if self._toolset.allowed is not None and call.name not in self._toolset.allowed:
            return NOT_ALLOWED
        if self._one_at_a_time and (self._here or self._for_client):
            return ONE_AT_A_TIME
        if call.kind != "function" or call.name not in self._toolset.hosted:
            self._for_client += 1
            return None
        if self._left == 0:
            return LIMIT_REACHED
        self._left = None if self._left is None else self._left - 1
        self._here += 1
        return None

    @property
    def pending(self) -> bool:
        """Whether the sample called anything that is answered here."""
        return bool(self._here or self._refusals)

    async def run(self, said: list[Json]) -> AsyncGenerator[list[Delta]]:
        """Runs the hosted calls among the items of a sample, side by side; their outputs, in the calls' order."""
        calls = [
            item for item in said if item["type"] == "function_call" and item["name"] in self._toolset.hosted
        ]
        running = [asyncio.ensure_future(self._run(call)) for call in calls]
        try:
            for call, result in zip(calls, running, strict=True):
                output = {"type": "function_call_output", "call_id": call["call_id"], "output": await result}
                yield [HostedItemEnded(("output", call["call_id"]), {**output, "status": "completed"})]
        finally:
            for task in running:
                task.cancel()

    async def _run(self, call: Json) -> str:
        tool = self._hosted.get(call["name"])
        assert tool is not None
        return await tool.run(call["arguments"])

    def next_round(self) -> tuple[list[Json], str | None]:
        """Ends a sample: the hidden items that the next one sees, and why there must be none, or None.

        Raises ApiError "model_error" when the model keeps calling what it may not.
        """
        refusals, self._refusals = list(self._refusals.values()), {}
        self.goes_on = not self._for_client
        self._here = self._for_client = 0
        if not self.goes_on:
            return [], None
        self._rounds_left -= 1
        self._refused_rounds += bool(refusals)
        if self._refused_rounds > MAX_REFUSED_ROUNDS:
            forbidden = next(
                (refusal.call.name for refusal in refusals if refusal.reason == NOT_ALLOWED), None
            )
            if forbidden:
                message = (
                    f"The model kept calling the tool '{forbidden}', which 'tool_choice' does not allow."
                )
                raise ApiError("model_error", message)
            return [], LIMIT
        if self._rounds_left < 0:
            return [], LIMIT
        return [item for refusal in refusals for item in _hidden_items(refusal)], None


def _hidden_items(refusal: Refusal) -> list[Json]:
    """The refused call and its answer, for the next sample alone."""
    call, text = refusal.call, "".join(refusal.pieces)
    call_id = call.call_id or f"refused_{abs(hash(call.key))}"
    kind, written = ("custom_tool_call", "input") if call.kind == "custom" else ("function_call", "arguments")
    item = {
        "type": kind,
        "call_id": call_id,
        "name": call.name,
        written: text or ("{}" if written == "arguments" else ""),
    }
    if call.namespace:
        item["namespace"] = call.namespace
    return [item, {"type": f"{kind}_output", "call_id": call_id, "output": refusal.reason}]
