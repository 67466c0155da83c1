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
from ..adapters.tools import wire_name
from ..protocol.errors import ApiError
from .local_tools import LocalCall, LocalTool
from .reports import watched_call
from .services import Services
from .tools import Toolset

Json = dict[str, Any]

CALL_DELTAS = frozenset({ToolCallStarted, ToolCallDelta, ItemEnd})
MAX_REFUSED_ROUNDS = 2
LIMIT = "max_tool_calls"  # why a turn that had its calls ends incomplete

NOT_ALLOWED = "This tool may not be called now."
ONE_AT_A_TIME = "Only one tool call at a time is allowed; call it again if it is still needed."
LIMIT_REACHED = "The limit of tool calls for this answer is reached; answer without calling tools."


@dataclass(slots=True)
class Heard:
    """A call that is not the client's: `tool` answers it, or it is refused, for a `reason`. `shown` is what the client
    sees of its beginning, None if nothing."""

    call: ToolCallStarted
    shown: ToolCallStarted | None = None
    tool: LocalTool | None = None
    reason: str = ""
    pieces: list[str] = field(default_factory=list)


class Calls:
    """The calls of one turn, sample by sample. `toolset` may be changed between samples."""

    def __init__(self, services: Services, request: Json, toolset: Toolset) -> None:
        self._services = services
        self.toolset = toolset
        self._one_at_a_time = request.get("parallel_tool_calls") is False
        self._left: int | None = request.get("max_tool_calls")
        self._rounds_left = services.settings.max_tool_rounds
        self._refused_rounds = 0
        self._for_client = 0  # calls of this sample that wait for the client
        self.goes_on = False  # whether the model is to be sampled again: no call waits for the client
        self._all: list[Heard] = []  # this sample's, but for the client's own
        self._heard: dict[Hashable, Heard] = {}  # the last one of each key

    def shown(self, delta: Delta) -> Delta | None:
        """What the client may see of the delta; None: it belongs to a call that is refused, or to be approved."""
        if isinstance(delta, ToolCallStarted):
            return self._started(delta)
        if not isinstance(delta, ToolCallDelta | ItemEnd):
            return delta
        heard = self._heard.get(delta.key)
        if heard is None:
            return delta
        if isinstance(delta, ToolCallDelta):
            heard.pieces.append(delta.text)
        return delta if heard.shown else None

    def _started(self, call: ToolCallStarted) -> ToolCallStarted | None:
        over = self._heard.get(call.key)  # a key used again
        if over and over.shown and over.shown.kind == "mcp":
            self._all.remove(over)
        tool = self._local(call)
        reason = self._refusal(call, tool)
        if reason:
            self._hear(Heard(call, reason=reason))
            return None
        self._for_client += tool is None or tool.waits
        if tool is None:
            return call
        shown = tool.shown(call)
        self._hear(Heard(call, shown, tool))
        return shown

    def _hear(self, heard: Heard) -> None:
        self._heard[heard.call.key] = heard
        self._all.append(heard)

    def _local(self, call: ToolCallStarted) -> LocalTool | None:
        """The tool, if it runs here. A model may take the label in its name for a namespace."""
        name = wire_name(call.name, call.namespace) if call.namespace else call.name
        return self.toolset.local.get(name) if call.kind == "function" else None

    def _refusal(self, call: ToolCallStarted, tool: LocalTool | None) -> str | None:
        if self.toolset.allowed is not None:
            names = {call.name, wire_name(call.name, call.namespace)} if tool else {call.name}
            if names.isdisjoint(self.toolset.allowed):
                return NOT_ALLOWED
        if self._one_at_a_time and (self._for_client or any(heard.tool for heard in self._all)):
            return ONE_AT_A_TIME
        return None if tool is None or tool.waits or self.spend() else LIMIT_REACHED

    def spend(self) -> bool:
        """Counts a call that runs here; whether it still may."""
        if self._left == 0:
            return False
        self._left = None if self._left is None else self._left - 1
        return True

    @property
    def pending(self) -> bool:
        """Whether the sample called anything that is answered here."""
        return bool(self._all)

    async def run(self, said: list[Json]) -> AsyncGenerator[list[Delta]]:
        """Answers the calls of a sample, side by side, in their order. `said`: the sample's items, where they have
        their ids."""
        functions = (item for item in said if item.get("type") == "function_call")
        local = (
            item for item in functions if item["name"] in self.toolset.local and not item.get("namespace")
        )
        running = []
        for heard in self._all:
            if heard.tool:
                is_function = heard.shown is not None and heard.shown.kind == "function"
                call_id = next(local)["call_id"] if is_function else None
                call = LocalCall(heard.call.key, "".join(heard.pieces), call_id)
                running.append(asyncio.ensure_future(self._answered(heard.tool, call)))
        try:
            for answer in running:
                yield [await answer]
        finally:
            for answer in running:
                answer.cancel()

    async def _answered(self, tool: LocalTool, call: LocalCall) -> HostedItemEnded:
        answering = tool.answer(call)
        if tool.waits:
            return await answering
        return await watched_call(self._services, tool, call.call_id, answering, lambda _: call.error)

    def next_round(self) -> tuple[list[Json], str | None]:
        """Ends a sample: the hidden items that the next one sees, and why there must be none, or None.

        Raises ApiError "model_error" when the model keeps calling what it may not.
        """
        refusals = [heard for heard in self._all if heard.reason]
        self.goes_on, self._for_client, self._heard, self._all = not self._for_client, 0, {}, []
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


def _hidden_items(refusal: Heard) -> list[Json]:
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
