"""Deltas in, legal events out: the one place that knows the grammar of the stream.

The assembler owns ids, `sequence_number`, `output_index`, `content_index`, `summary_index`, the life of parts and
items, statuses, and the one terminal event. Whatever an adapter says, the events are legal:

    response.created → response.in_progress → for each item: output_item.added → its parts and deltas →
    output_item.done → response.completed | response.incomplete | error, response.failed

An item is closed when the next one begins or the answer ends, not when the provider says that it is whole: only then is
it known whether it was cut (`incomplete`). Tool calls that a provider interleaves are open at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable
from typing import Any

from ..adapters import base
from ..protocol.errors import ApiError
from ..protocol.ids import LONGEST_CALL_ID, hex_of
from .context import visible
from .faults import without_text
from .items import (
    CallBuilder,
    HostedBuilder,
    ItemBuilder,
    McpCallBuilder,
    MessageBuilder,
    ReasoningBuilder,
    SearchBuilder,
)

Json = dict[str, Any]
Event = dict[str, Any]
log = logging.getLogger(__name__)

TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Assembler:
    """Builds one response out of one or several samples.

    response        the snapshot that every event shows; changed in place, copied into events
    output          the items as they are stored, provider state included
    events          what has happened since the last take()
    include         the request's `include`: what the client wants to see
    error_event     whether a failure is said by an `error` event too, before `response.failed`
    """

    def __init__(
        self,
        response: Json,
        *,
        provider: str,
        include: Collection[str],
        reasoning_events: str = "summary",
        error_event: bool = True,
        clock: Callable[[], float],
    ) -> None:
        self.response = response
        self.owner = hex_of(response["id"])
        self.provider = provider
        self.include = include
        self.reasoning_events = reasoning_events
        self.error_event = error_event
        self.output: list[Json] = []
        self.events: list[Event] = []
        self.finish: base.Finished | None = None
        self.error: ApiError | None = None
        self.started = False
        self._clock = clock
        self._sequence = 0
        self._open: MessageBuilder | ReasoningBuilder | None = None
        self._tools: dict[Hashable, CallBuilder | McpCallBuilder | HostedBuilder] = {}
        self._calls: list[CallBuilder | McpCallBuilder] = []  # those since take_calls()
        self._call_ids: set[str] = set()
        self._spent = base.Usage(0, 0)  # of the samples before this one
        self._usage: base.Usage | None = None

    # ---------------------------------------------------------------- what the turn calls

    def apply(self, delta: base.Delta) -> None:
        """Takes one delta; the events it makes are in `events`."""
        _HANDLERS[type(delta)](self, delta)

    def start(self) -> None:
        """Says created and in_progress; does nothing if they were said."""
        if self.started:
            return
        self.started = True
        self.emit("response.created", response={**self.response, "output": []})
        self.response["status"] = "in_progress"
        self.emit("response.in_progress", response={**self.response, "output": []})

    def take(self) -> list[Event]:
        """The events since the last call."""
        events, self.events = self.events, []
        return events

    def take_calls(self) -> list[CallBuilder | McpCallBuilder]:
        """The items of the calls since the last call of this, in their order, but for those that have their result."""
        calls, self._calls = self._calls, []
        return [call for call in calls if not (isinstance(call, McpCallBuilder) and call.ended)]

    @property
    def unanswered(self) -> set[str]:
        """The ids of the calls of functions that have no output, complete or begun. None where the last item was cut:
        nothing follows that."""
        if self.output and self.output[-1].get("status") == "incomplete":
            return set()
        begun = [item.item for item in self._tools.values() if isinstance(item, HostedBuilder)]
        ids: dict[str, set[str]] = {"function_call": set(), "function_call_output": set()}
        for item in (*self.output, *begun):
            if (kind := item.get("type", "")) in ids:
                ids[kind].add(item["call_id"])
        return ids["function_call"] - ids["function_call_output"]

    @property
    def spent(self) -> int:
        """Tokens of the samples that have ended, in and out."""
        return self._spent.input_tokens + self._spent.output_tokens

    @property
    def sample_usage(self) -> base.Usage | None:
        """Of the sample that has not been ended."""
        return self._usage

    def end_sample(self) -> None:
        """Closes what is open after a sample that was not the last one, but for calls that run on MCP servers, and
        keeps its usage."""
        running = {key: item for key, item in self._tools.items() if isinstance(item, McpCallBuilder)}
        for key, item in running.items():
            item.end()
            del self._tools[key]
        self._close_all(incomplete=False)
        self._tools |= running
        if self._usage:
            self._spent += self._usage
        self._usage = self.finish = None

    def cut(self) -> None:
        """Closes what is open, as cut where it is: the answer ends here, but for whole items that may follow."""
        self.start()
        self._close_all(incomplete=True)

    def end(self, reason: str | None = None) -> Event:
        """Closes everything; the terminal event, completed or (with a reason) incomplete. Not yet in `events`."""
        self.start()
        self._close_all(incomplete=reason is not None)
        if reason is None:
            return self._terminal("completed", completed_at=int(self._clock()))
        return self._terminal("incomplete", incomplete_details={"reason": reason})

    def fail(self, error: ApiError) -> Event:
        """Closes everything and says the error; the terminal event. Not yet in `events`."""
        self.start()
        self._close_what_can_be()
        if self.error_event:
            self.emit("error", error=error.body())
        return self._terminal("failed", error=error.in_response())

    def cancel(self) -> Event:
        """Closes everything where it is; the terminal event. There is no event type of its own for this: the snapshot
        of `response.incomplete` has status `cancelled`. Not yet in `events`."""
        self.start()
        self._close_all(incomplete=True)
        return {**self._terminal("cancelled"), "type": "response.incomplete"}

    def stored(self) -> Json:
        """The response as it is kept: as the client was told, with provider state."""
        return {**self.response, "output": self.output}

    # ---------------------------------------------------------------- what the builders call

    def emit(self, kind: str, /, **fields: Any) -> None:
        self.events.append({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def next_index(self) -> int:
        """The place of a new item; holds it until the item is done."""
        self.output.append({})
        self.response["output"].append({})
        return len(self.output) - 1

    def done(self, index: int, item: Json) -> None:
        """An item is complete: keeps it, and shows it."""
        shown = visible(item, self.include)
        self.output[index] = item
        self.response["output"][index] = shown
        self.emit("response.output_item.done", output_index=index, item=shown)

    # ---------------------------------------------------------------- deltas

    def _on_started(self, delta: base.Started) -> None:
        if delta.model:
            self.response["model"] = delta.model
        if delta.service_tier:
            self.response["service_tier"] = delta.service_tier

    def _on_message_started(self, delta: base.MessageStarted) -> None:
        self._settle(calls=True)
        self._open = MessageBuilder(self, delta.phase)

    def _on_text(self, delta: base.TextDelta) -> None:
        if not delta.text:
            return
        opened = self._open
        if type(opened) is not MessageBuilder or opened.ended:
            opened = self._message()
        opened.text(delta.text, delta.logprobs)

    def _on_refusal(self, delta: base.RefusalDelta) -> None:
        if delta.text:
            self._message().refusal(delta.text)

    def _on_annotation(self, delta: base.Annotation) -> None:
        self._message(reopen=True).annotate(delta.annotation)

    def _on_reasoning(self, delta: base.ReasoningDelta) -> None:
        if delta.text:
            self._reasoning().text(delta.text, delta.raw)

    def _on_state(self, delta: base.ProviderState) -> None:
        self._reasoning().set_state(self.provider, delta.payload)

    def _on_part_end(self, _: base.PartEnd) -> None:
        if self._open:
            self._open.whole_part()

    def _on_item_end(self, delta: base.ItemEnd) -> None:
        item: ItemBuilder | None = self._open if delta.key is None else self._tools.get(delta.key)
        if item:
            item.end()

    def _on_call_started(self, delta: base.ToolCallStarted) -> None:
        self._settle(key=delta.key)
        if delta.kind == "mcp":
            self._tools[delta.key] = mcp_call = McpCallBuilder(self, delta)
            self._calls.append(mcp_call)
            return
        call_id = delta.call_id
        if not call_id or len(call_id) > LONGEST_CALL_ID or call_id in self._call_ids:
            call_id = f"call_{self.owner}_{len(self.output)}"
        self._call_ids.add(call_id)
        builder = SearchBuilder if delta.kind == "search" else CallBuilder
        self._tools[delta.key] = call = builder(self, delta, call_id)
        self._calls.append(call)

    def _on_call_delta(self, delta: base.ToolCallDelta) -> None:
        call = self._tools.get(delta.key)
        if isinstance(call, CallBuilder | McpCallBuilder):
            call.text(delta.text)

    def _on_hosted_started(self, delta: base.HostedItemStarted) -> None:
        self._settle(key=delta.key)
        self._tools[delta.key] = HostedBuilder(self, delta.item)

    def _on_hosted_event(self, delta: base.HostedItemEvent) -> None:
        item = self._tools.get(delta.key)
        if isinstance(item, HostedBuilder):
            item.event(delta.type, delta.fields)

    def _on_hosted_ended(self, delta: base.HostedItemEnded) -> None:
        item = self._tools.get(delta.key)
        if isinstance(item, McpCallBuilder):
            item.complete(delta.item)
            del self._tools[delta.key]
            return
        if not isinstance(item, HostedBuilder):
            self._settle(key=delta.key)
            item = self._tools[delta.key] = HostedBuilder(self, delta.item)
        item.complete(delta.item)

    def _on_usage(self, delta: base.Usage) -> None:
        self._usage = None if delta is base.UNKNOWN_USAGE else delta

    def _on_finished(self, delta: base.Finished) -> None:
        self.finish = delta

    def _on_failed(self, delta: base.Failed) -> None:
        self.error = self.error or delta.error

    # ---------------------------------------------------------------- open items

    def _message(self, *, reopen: bool = False) -> MessageBuilder:
        """The open message; a new one if there is none, or if it ended (an annotation may still join that one)."""
        if isinstance(self._open, MessageBuilder) and (reopen or not self._open.ended):
            return self._open
        self._settle(calls=True)
        self._open = opened = MessageBuilder(self, None)
        return opened

    def _reasoning(self) -> ReasoningBuilder:
        if isinstance(self._open, ReasoningBuilder) and not self._open.ended:
            return self._open
        self._settle(calls=True)
        self._open = opened = ReasoningBuilder(self)
        return opened

    def _settle(self, *, calls: bool = False, key: Hashable = None) -> None:
        """Before a new item: the open message or reasoning item is complete, and so is every other one that ended.

        `calls`: those of the client's tools are over in any case; a hosted tool may go on beside what follows. An item
        that has the new one's `key` is over, too.
        """
        self.start()
        if self._open:
            self._open.close("completed")
            self._open = None
        for known, item in list(self._tools.items()):
            if item.ended or known == key or (calls and isinstance(item, CallBuilder)):
                item.close("completed")
                del self._tools[known]

    def _close_all(self, *, incomplete: bool) -> None:
        """The answer has ended; where it was cut, the last item is the one that was."""
        items: list[ItemBuilder] = [*self._tools.values(), *([self._open] if self._open else [])]
        items.sort(key=lambda item: item.index)
        for item in items:
            last = item.index == len(self.output) - 1
            item.close("incomplete" if incomplete and last and self._was_cut(item) else "completed")
        self._open = None
        self._tools.clear()

    def _close_what_can_be(self) -> None:
        """After a fault that may have left an item half made: what has no end by then is left out."""
        try:
            self._close_all(incomplete=True)
        except Exception as error:
            log.error("an item cannot be closed", exc_info=without_text(error))
            self._open = None
            self._tools.clear()
        self.output = [item for item in self.output if item]
        self.response["output"] = [item for item in self.response["output"] if item]

    def _was_cut(self, item: ItemBuilder) -> bool:
        """A limit cuts the last item even where the provider closed it; a broken stream cuts what was not closed."""
        return self.finish is not None or not item.ended

    # ---------------------------------------------------------------- the end

    def _terminal(self, status: str, **fields: Any) -> Event:
        self.response |= {"status": status, "usage": self.usage(), **fields}
        event = {"type": f"response.{status}", "sequence_number": self._sequence, "response": self.response}
        self._sequence += 1
        return event

    def usage(self) -> Json | None:
        """The tokens of all samples so far, as the response tells them."""
        if self._usage is None and not any(self._spent.counts):
            return None
        used = self._spent + self._usage if self._usage else self._spent
        return {
            "input_tokens": used.input_tokens,
            "input_tokens_details": {
                "cached_tokens": used.cached_tokens,
                "cache_write_tokens": used.cache_write_tokens,
            },
            "output_tokens": used.output_tokens,
            "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
            "total_tokens": used.input_tokens + used.output_tokens,
        }


_HANDLERS: dict[type, Callable[[Assembler, Any], None]] = {
    base.Started: Assembler._on_started,
    base.MessageStarted: Assembler._on_message_started,
    base.TextDelta: Assembler._on_text,
    base.RefusalDelta: Assembler._on_refusal,
    base.Annotation: Assembler._on_annotation,
    base.ReasoningDelta: Assembler._on_reasoning,
    base.ProviderState: Assembler._on_state,
    base.PartEnd: Assembler._on_part_end,
    base.ItemEnd: Assembler._on_item_end,
    base.ToolCallStarted: Assembler._on_call_started,
    base.ToolCallDelta: Assembler._on_call_delta,
    base.HostedItemStarted: Assembler._on_hosted_started,
    base.HostedItemEvent: Assembler._on_hosted_event,
    base.HostedItemEnded: Assembler._on_hosted_ended,
    base.Usage: Assembler._on_usage,
    base.Finished: Assembler._on_finished,
    base.Failed: Assembler._on_failed,
}
