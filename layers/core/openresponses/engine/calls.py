"""The model's tool calls: which go to the client, which run here, and which are refused.

`tool_choice`, `allowed_tools`, `parallel_tool_calls` and `max_tool_calls` are hard limits, whatever the model does. A
call that breaks one is never shown to the client and never run: the model is told so, and samples again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..adapters.base import Delta, HostedItemEnded, ItemEnd, ToolCallDelta, ToolCallStarted
from ..adapters.tools import wire_name
from ..protocol.errors import ApiError, quoted
from .client_search import NAME, searches
from .context import CALL_OUTPUTS
from .items import CallBuilder, McpCallBuilder
from .local_tools import LocalCall, LocalTool
from .reports import watched_call
from .services import Services
from .tools import Toolset

Json = dict[str, Any]

CALL_DELTAS = frozenset({ToolCallStarted, ToolCallDelta, ItemEnd})
MAX_REFUSED_ROUNDS = 2
LIMIT = "max_tool_calls"  # why a turn that had its calls ends incomplete

NOT_ALLOWED = "This tool may not be called now."
UNKNOWN = "There is no tool of this name."
ONE_AT_A_TIME = "Only one tool call at a time is allowed; call it again if it is still needed."
FORBIDDEN = {NOT_ALLOWED: "which 'tool_choice' does not allow", UNKNOWN: "which there is not"}
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


@dataclass(slots=True)
class Hidden:
    """Refused calls and their answers, for the next sample alone."""

    calls: list[Json] = field(default_factory=list)
    outputs: list[Json] = field(default_factory=list)

    def beside(self, said: list[Json]) -> list[Json]:
        """The sample's items with these: a model's calls stand side by side, then what answers them."""
        place = next((n for n, item in enumerate(said) if item["type"] in CALL_OUTPUTS), len(said))
        return [*said[:place], *self.calls, *said[place:], *self.outputs]


class Calls:
    """The calls of one turn, sample by sample. `toolset` may be changed between samples."""

    def __init__(self, services: Services, request: Json, toolset: Toolset) -> None:
        self._services = services
        self.toolset = toolset
        self._one_at_a_time = request.get("parallel_tool_calls") is False
        self._left: int | None = request.get("max_tool_calls")
        self._rounds_left = services.settings.max_tool_rounds
        self._refused_rounds = 0
        self._is_answered = False  # whether any call of this sample is, or was
        self._running: list[str] = []  # ids of the calls of this sample that are being answered
        self._for_client = 0  # calls of this sample that wait for the client
        self.demand_is_met = False  # whether the call that `tool_choice` demands was made, or can be no more
        self.goes_on = False  # whether the model is to be sampled again: no call waits for the client
        self._all: list[Heard] = []  # this sample's, but for the client's own
        self._heard: dict[Hashable, Heard] = {}  # the last one of each key

    def shown(self, delta: Delta) -> Delta | None:
        """What the client may see of the delta; None: it belongs to a call that is refused, or to be approved."""
        if isinstance(delta, ToolCallStarted):
            if delta.kind == "mcp":  # the client has approved it: it is not this sample's
                return delta
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
            search = call.name == NAME and not call.namespace and searches(self.toolset.tools)
            return replace(call, kind="search") if search else call
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
        if tool is None and not self.toolset.knows(call.name, call.namespace):
            return UNKNOWN
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

    async def run(self, made: Sequence[CallBuilder | McpCallBuilder]) -> AsyncGenerator[list[Delta]]:
        """Answers the calls of a sample, side by side, in their order. `made`: the items that became of them, as the
        client was told; a call that a middleware has kept from it is not run."""
        self._running = self.begun(made)
        running = [asyncio.ensure_future(self._answered(tool, call)) for tool, call in self._to_answer(made)]
        self._is_answered = bool(running)
        try:
            for answer in running:
                yield [await answer]
        finally:
            for answer in running:
                answer.cancel()

    @property
    def are_running(self) -> bool:
        """Whether the calls of a sample that has come to its end are being answered."""
        return self._is_answered

    def begun(self, made: Sequence[CallBuilder | McpCallBuilder]) -> list[str]:
        """The ids of this sample's calls that run here, answered or not, where their items have ids. `made`: as of
        `run`; what it was given counts, too."""
        return [*self._running, *(call.call_id for _, call in self._to_answer(made) if call.call_id)]

    def _to_answer(self, made: Sequence[CallBuilder | McpCallBuilder]) -> list[tuple[LocalTool, LocalCall]]:
        left = [*made]
        found = ((heard.tool, _as_told(heard, left)) for heard in self._all if heard.tool)
        return [(tool, call) for tool, call in found if call]

    async def _answered(self, tool: LocalTool, call: LocalCall) -> HostedItemEnded:
        answering = tool.answer(call)
        if tool.waits:
            return await answering
        return await watched_call(self._services, tool, call.call_id, answering, lambda _: call.error)

    def next_round(self) -> tuple[Hidden, str | None]:
        """Ends a sample: what the next one sees beyond what the client does, and why there must be none, or None.

        Raises ApiError "model_error" when the model keeps calling what it may not.
        """
        self._running = []
        refusals = [heard for heard in self._all if heard.reason]
        self.goes_on = not self._for_client and (self._is_answered or bool(refusals))
        self.demand_is_met |= self._is_answered or self._for_client > 0
        self.demand_is_met |= any(refusal.reason == LIMIT_REACHED for refusal in refusals)
        self._for_client, self._heard, self._all, self._is_answered = 0, {}, [], False
        if not self.goes_on:
            return Hidden(), None
        self._rounds_left -= 1
        self._refused_rounds += any(refusal.reason != ONE_AT_A_TIME for refusal in refusals)
        if self._refused_rounds > MAX_REFUSED_ROUNDS:
            for refusal in refusals:
                if why := FORBIDDEN.get(refusal.reason):
                    name = refusal.call.name
                    raise ApiError("model_error", f"The model kept calling the tool {quoted(name)}, {why}.")
            return Hidden(), LIMIT
        if self._rounds_left < 0:
            return Hidden(), LIMIT
        return Hidden([*map(_call, refusals)], [*map(_output, refusals)]), None


def _as_told(heard: Heard, left: list[CallBuilder | McpCallBuilder]) -> LocalCall | None:
    """The call as the client was told it, if it was; takes its item from those that are `left`."""
    key = heard.call.key
    if heard.shown is None:
        return LocalCall(key, "".join(heard.pieces))
    item = next((item for item in left if item.call.key == key), None)
    if item is None:
        return None
    left.remove(item)
    return LocalCall(key, item.arguments, item.call_id)


def _call_id(refusal: Heard) -> str:
    return refusal.call.call_id or f"refused_{abs(hash(refusal.call.key))}"


def _call(refusal: Heard) -> Json:
    call, text = refusal.call, "".join(refusal.pieces)
    kind, written = ("custom_tool_call", "input") if call.kind == "custom" else ("function_call", "arguments")
    item = {
        "type": kind,
        "call_id": _call_id(refusal),
        "name": call.name,
        written: text or ("{}" if written == "arguments" else ""),
    }
    return {**item, "namespace": call.namespace} if call.namespace else item


def _output(refusal: Heard) -> Json:
    kind = "custom_tool_call_output" if refusal.call.kind == "custom" else "function_call_output"
    return {"type": kind, "call_id": _call_id(refusal), "output": refusal.reason}
