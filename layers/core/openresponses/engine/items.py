"""One builder a kind of output item: its opening, its parts and deltas, its closing. Used by the assembler alone.

A builder emits its item's events through the assembler and gives it the finished item. `ended` says that the provider
finished the item; it is closed later, by the assembler, which knows whether it was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ..adapters.base import ToolCallStarted
from ..protocol.ids import item_id
from ..protocol.state import seal
from ..protocol.texts import CALLS, PARTS, RAW_REASONING
from .hosted_texts import HostedTexts

if TYPE_CHECKING:
    from .assembler import Assembler

Json = dict[str, Any]


class ItemBuilder:
    """What all items share: a place, an id, an end."""

    __slots__ = ("ended", "id", "index", "out")

    def __init__(self, out: Assembler, kind: str) -> None:
        self.out = out
        self.index = out.next_index()
        self.id = item_id(kind, out.owner, self.index)
        self.ended = False

    def added(self, item: Json) -> None:
        self.out.emit("response.output_item.added", output_index=self.index, item=item)

    def end(self) -> None:
        """The provider has said all of it."""
        self.ended = True

    def close(self, status: str) -> None:
        raise NotImplementedError


class MessageBuilder(ItemBuilder):
    """An assistant message: text and refusal parts. `phase` is OpenAI's label of commentary and final answer."""

    __slots__ = ("_annotations", "_logprobs", "_parts", "_pieces", "_type", "_whole", "phase", "place")

    def __init__(self, out: Assembler, phase: str | None) -> None:
        super().__init__(out, "message")
        self.phase = phase
        self._parts: list[Json] = []
        self._type: str | None = None
        self._whole = False
        self._pieces: list[str] = []
        self._logprobs: list[Json] = []
        self._annotations: list[Json] = []
        self.added(self._item("in_progress", []))

    def text(self, text: str, logprobs: list[Json] | None) -> None:
        if self._type != "output_text" or self._whole:
            self._open_text()
        self._pieces.append(text)
        if logprobs:
            self._logprobs += logprobs
        self.out.emit("response.output_text.delta", **self.place, delta=text, logprobs=logprobs or [])

    def refusal(self, text: str) -> None:
        if self._type != "refusal" or self._whole:
            self._open_part("refusal", {"type": "refusal", "refusal": ""})
        self._pieces.append(text)
        self.out.emit("response.refusal.delta", **self.place, delta=text)

    def annotate(self, annotation: Json) -> None:
        if self._type != "output_text":
            self._open_text()
        place = len(self._annotations)
        self._annotations.append(annotation)
        self.out.emit(
            "response.output_text.annotation.added",
            **self.place,
            annotation_index=place,
            annotation=annotation,
        )

    def whole_part(self) -> None:
        """The provider has said all of the part's text; citations may still join it."""
        self._whole = True

    def _open_text(self) -> None:
        self._open_part("output_text", {"type": "output_text", "text": "", "annotations": [], "logprobs": []})

    def _open_part(self, kind: str, part: Json) -> None:
        self.end_part()
        self._type, self._whole = kind, False
        self.place = {"item_id": self.id, "output_index": self.index, "content_index": len(self._parts)}
        self.out.emit("response.content_part.added", **self.place, part=part)

    def end_part(self) -> None:
        if self._type is None:
            return
        text = "".join(self._pieces)
        part: Json
        if self._type == "refusal":
            self.out.emit("response.refusal.done", **self.place, refusal=text)
            part = {"type": "refusal", "refusal": text}
        else:
            self.out.emit("response.output_text.done", **self.place, text=text, logprobs=self._logprobs)
            part = {
                "type": "output_text",
                "text": text,
                "annotations": self._annotations,
                "logprobs": self._logprobs,
            }
        self.out.emit("response.content_part.done", **self.place, part=part)
        self._parts.append(part)
        self._type, self._pieces, self._logprobs, self._annotations = None, [], [], []

    def close(self, status: str) -> None:
        self.end_part()
        self.out.done(self.index, self._item(status, self._parts))

    def _item(self, status: str, content: list[Json]) -> Json:
        item = {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}
        return {**item, "phase": self.phase} if self.phase else item


class ReasoningBuilder(ItemBuilder):
    """Reasoning: summary parts, raw thoughts, provider state.

    Raw thoughts are shown as a summary unless the setting `reasoning_events` selects a raw form: OpenAI's
    (`response.reasoning_text.*`) or the specification's (`response.reasoning.*`).
    """

    __slots__ = ("_content", "_pieces", "_raw", "_state", "_summary", "place")

    def __init__(self, out: Assembler) -> None:
        super().__init__(out, "reasoning")
        self._summary: list[Json] = []
        self._content: list[Json] = []
        self._pieces: list[str] | None = None
        self._raw = False
        self._state: str | None = None
        self.added({"id": self.id, "type": "reasoning", "status": "in_progress", "summary": []})

    def text(self, text: str, raw: bool) -> None:
        raw = raw and self.out.reasoning_events in RAW_REASONING
        if self._pieces is None or raw != self._raw:
            self._open_part(raw)
        assert self._pieces is not None
        self._pieces.append(text)
        told = RAW_REASONING[self.out.reasoning_events] if raw else PARTS["summary_text"]
        self.out.emit(told.delta, **self.place, delta=text)

    def set_state(self, provider: str, payload: Json | str) -> None:
        self._state = seal(provider, payload)

    def whole_part(self) -> None:
        self.end_part()

    def _open_part(self, raw: bool) -> None:
        self.end_part()
        self._raw, self._pieces = raw, []
        self.place = {"item_id": self.id, "output_index": self.index}
        if raw:
            self.place["content_index"] = len(self._content)
            self.out.emit(
                "response.content_part.added", **self.place, part={"type": "reasoning_text", "text": ""}
            )
        else:
            self.place["summary_index"] = len(self._summary)
            part = {"type": "summary_text", "text": ""}
            self.out.emit("response.reasoning_summary_part.added", **self.place, part=part)

    def end_part(self) -> None:
        if self._pieces is None:
            return
        text = "".join(self._pieces)
        self._pieces = None
        if self._raw:
            self.out.emit(RAW_REASONING[self.out.reasoning_events].done, **self.place, text=text)
            part = {"type": "reasoning_text", "text": text}
            self._content.append(part)
            self.out.emit("response.content_part.done", **self.place, part=part)
        else:
            self.out.emit("response.reasoning_summary_text.done", **self.place, text=text)
            part = {"type": "summary_text", "text": text}
            self._summary.append(part)
            self.out.emit("response.reasoning_summary_part.done", **self.place, part=part)

    def close(self, status: str) -> None:
        self.end_part()
        item: Json = {"id": self.id, "type": "reasoning", "status": status, "summary": self._summary}
        if self._content:
            item["content"] = self._content
        if self._state is not None:
            item["encrypted_content"] = self._state
        self.out.done(self.index, item)


# Kind of call → the type of its item.
CALL_ITEMS = {"function": "function_call", "custom": "custom_tool_call", "search": "tool_search_call"}


class AnyCallBuilder(ItemBuilder):
    """What all calls share: `call`, the delta that began it, and its arguments as the model writes them."""

    __slots__ = ("_pieces", "call", "place")

    def __init__(self, out: Assembler, kind: str, call: ToolCallStarted) -> None:
        super().__init__(out, kind)
        self.call = call
        self.place = {"item_id": self.id, "output_index": self.index}
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        return "".join(self._pieces)


class CallBuilder(AnyCallBuilder):
    """A call of the client's tool: `function_call` with JSON arguments, or `custom_tool_call` with free text."""

    __slots__ = ("call_id",)

    def __init__(self, out: Assembler, call: ToolCallStarted, call_id: str) -> None:
        super().__init__(out, CALL_ITEMS[call.kind], call)
        self.call_id = call_id
        self.added(self._item("in_progress", ""))

    def text(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self.out.emit(CALLS[CALL_ITEMS[self.call.kind]].delta, **self.place, delta=text)

    def close(self, status: str) -> None:
        if not self._pieces and self.call.kind == "function" and status == "completed":
            self.text("{}")
        text = self.arguments
        written = CALLS[CALL_ITEMS[self.call.kind]]
        self.out.emit(written.done, **self.place, **{written.field: text})
        self.out.done(self.index, self._item(status, text))

    def _item(self, status: str, text: str) -> Json:
        kind = CALL_ITEMS[self.call.kind]
        item = {
            "id": self.id,
            "type": kind,
            "status": status,
            "call_id": self.call_id,
            "name": self.call.name,
            CALLS[kind].field: text,
        }
        more = {"namespace": self.call.namespace, "caller": self.call.caller}
        return item | {name: value for name, value in more.items() if value}


class SearchBuilder(CallBuilder):
    """A call of the tool search that the client runs: its arguments are an object, and it has no events of its own."""

    __slots__ = ()

    def text(self, text: str) -> None:
        self._pieces.append(text)

    def close(self, status: str) -> None:
        self.out.done(self.index, self._item(status, self.arguments))

    def _item(self, status: str, text: str) -> Json:
        item = {"id": self.id, "type": CALL_ITEMS["search"], "status": status, "call_id": self.call_id}
        return {**item, "execution": "client", "arguments": _object(text)}


def _object(text: str) -> Json:
    """What a model said as arguments; of what is no object, a search for it."""
    found: Json = orjson.loads(text or "{}") if _is_object(text) else {"query": text}
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text or "{}"), dict)
    except orjson.JSONDecodeError:
        return False


class McpCallBuilder(AnyCallBuilder):
    """A call that runs here, on an MCP server: open until it has its result."""

    __slots__ = ("_result", "written")

    def __init__(self, out: Assembler, call: ToolCallStarted) -> None:
        super().__init__(out, "mcp_call", call)
        self._result: Json = {"output": None, "error": None}
        self.written = False  # whether the arguments are complete
        self.added(self._item("in_progress", ""))
        self.out.emit("response.mcp_call.in_progress", **self.place)

    def text(self, text: str) -> None:
        if text and not self.written:
            self._pieces.append(text)
            self.out.emit("response.mcp_call_arguments.delta", **self.place, delta=text)

    def end(self) -> None:
        if self.written:
            return
        if not self._pieces:
            self.text("{}")
        self.written = True
        self.out.emit("response.mcp_call_arguments.done", **self.place, arguments=self.arguments)

    @property
    def call_id(self) -> None:
        """Its item has none."""

    def complete(self, result: Json) -> None:
        """`result`: the fields beyond the call, `output` or `error`."""
        self.end()
        self._result |= {key: value for key, value in result.items() if key != "type"}
        self.ended = True
        status = "completed" if self._result["error"] is None else "failed"
        self.out.emit(f"response.mcp_call.{status}", **self.place)
        self.out.done(self.index, self._item(status, self.arguments))

    def close(self, status: str) -> None:
        """The turn ends without a result. A whole call has failed: it may have been made, and the model is to know."""
        if status == "completed" or (self.written and _is_object(self.arguments)):
            error = {"type": "http_error", "code": 499, "message": "The call was not completed."}
            self.complete({"error": error})
        else:
            self.out.done(self.index, self._item(status, self.arguments))

    def _item(self, status: str, arguments: str) -> Json:
        call = self.call
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": status,
            "server_label": call.namespace,
            "name": call.name,
            "arguments": arguments,
            **self._result,
        }


# How a hosted item may end, in its provider's words.
ENDED = frozenset({"completed", "incomplete", "failed"})


class HostedBuilder(ItemBuilder):
    """An item of a tool that the provider runs: shown as the adapter gives it, under our id."""

    __slots__ = ("item", "texts", "whole")

    def __init__(self, out: Assembler, item: Json) -> None:
        super().__init__(out, item["type"])
        self.item = self._own({**item, "status": "in_progress"})
        self.texts = HostedTexts(self._tell)
        self.whole = False  # whether the adapter gave the finished item
        self.added(self.item)

    def event(self, kind: str, fields: Json) -> None:
        """Passes an event on, if it is one of this kind of item; others are left out."""
        if kind.startswith(f"response.{self.item['type']}"):
            self.texts.event(kind, fields)

    def _tell(self, kind: str, fields: Json) -> None:
        self.out.emit(kind, **{**fields, "item_id": self.id, "output_index": self.index})

    def complete(self, item: Json) -> None:
        if item["type"] != self.item["type"]:
            raise ValueError("an item became one of another type")
        self.item = self._own(item)
        self.ended = self.whole = True

    def close(self, status: str) -> None:
        told = self.item.get("status")
        if self.whole and isinstance(told, str) and told in ENDED:
            status = told
        if status != "incomplete":
            self.texts.end()
        item = self.item if self.whole else self.texts.held(self.item)
        self.out.done(self.index, {**item, "status": status})

    def _own(self, item: Json) -> Json:
        return {"id": self.id, **{key: value for key, value in item.items() if key != "id"}}
