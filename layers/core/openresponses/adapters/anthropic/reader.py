"""Anthropic's answer → deltas. The stream's events drive the open blocks; a whole message is read as its stream.

    text             TextDelta; citations become annotations over their block's text once it ends
    thinking         ReasoningDelta; the block itself is provider state, once it is signed
    tool_use         a call of the client's tool, or the structured answer, which is text
    server_tool_use and results   items of hosted tools; the blocks are provider state
    any other block  a failure: the client would miss it

Provider state is `{"blocks": [...]}`, the blocks as they must come back, in order. Blocks of hosted tools wait for the
next thinking, or for the next content, and then travel together.

Citations of web pages and of search results with a web address are `url_citation`; citations into documents are left
out: the specification has no annotation for them, and a request of ours never asks for them.
Source: Anthropic's pages "Streaming messages", "Handling stop reasons", "Citations".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from ...protocol.errors import ApiError
from ..base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    ItemEnd,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    Usage,
    usage_of,
)
from . import errors, hosted, schema, unwrap
from .request import answer_plan
from .tools import Callee, toolbox

Json = dict[str, Any]

FINISH = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "pause_turn": "pause",
}
SERVICE_TIERS = {"standard": "default", "priority": "priority"}
REFUSED = "The model declined to answer this request."
STATE_TYPES = frozenset({"compaction"})
SILENT_TYPES = frozenset(
    {"container_upload", "fallback"}
)  # files that stay in the container; a change of model
USAGE_KEYS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class MessageReader:
    """Reads one answer. Frames that are no event of the Messages API are skipped."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        box = toolbox(turn)
        self.callees = box.callees
        self.answer = answer_plan(turn, box)
        self.offset = 0  # characters in the open text part
        self.held: list[Json] = []  # blocks of hosted tools, not yet given out as provider state
        self.running: dict[str, tuple[int, Json]] = {}  # hosted calls without a result: key and block, by id
        self.container = ""
        self._message: Json | None = None
        self._blocks: dict[int, Block] = {}
        self._usage: dict[str, int] = {}
        self._stop: str | None = None
        self._refused = REFUSED
        self._keys = 0

    # ---------------------------------------------------------------- what the engine calls

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        kind: str = data.get("type") or event
        if kind == "content_block_delta":  # the hot path
            return self._blocks[data["index"]].delta(data["delta"])
        handler = HANDLERS.get(kind)
        return handler(self, data) if handler else ()

    def whole(self, data: Any) -> Iterable[Delta]:
        if isinstance(data, dict) and data.get("type") == "error":
            return self.frame("error", data)
        if not isinstance(data, dict) or not isinstance(data.get("content"), list):
            return (Failed(ApiError("provider_invalid_response", "Anthropic's answer is no message.")),)
        deltas: list[Delta] = [*self.frame("message_start", {"message": {**data, "content": []}})]
        for index, block in enumerate(data["content"]):
            deltas += self.frame("content_block_start", {"index": index, "content_block": block})
            deltas += self.frame("content_block_stop", {"index": index})
        deltas += self.frame("message_delta", {"delta": data, "usage": data.get("usage")})
        return [*deltas, *self.frame("message_stop", {})]

    def end(self) -> Iterable[Delta]:
        return ()  # only message_stop ends a message; without it the engine fails the turn

    # ---------------------------------------------------------------- events

    def _message_start(self, data: Json) -> Iterator[Delta]:
        message = data["message"]
        if self._message is not None:
            # The event may come twice; another message's is a proxy that began again: its blocks would mix with ours.
            if message.get("id") != self._message.get("id"):
                yield Failed(
                    ApiError("provider_invalid_response", "Anthropic began a second message in its answer.")
                )
            return
        self._message = message
        self._stop = message.get("stop_reason")
        usage = message.get("usage")
        tier = usage.get("service_tier") if isinstance(usage, dict) else None
        self._container(message)
        yield Started(message.get("model"), SERVICE_TIERS.get(str(tier)))
        yield usage_of(self._count, usage or {})
        # A continued code execution says its calls here, and in no block of their own.
        for index, block in enumerate(message.get("content") or ()):
            yield from self._block_start({"index": index, "content_block": block})
            yield from self._block_stop({"index": index})

    def _block_start(self, data: Json) -> Iterator[Delta]:
        block = data["content_block"]
        opened = BLOCKS.get(block["type"], RawBlock)(self, block)
        self._blocks[data["index"]] = opened
        yield from opened.start()

    def _block_stop(self, data: Json) -> Iterator[Delta]:
        block = self._blocks.pop(data["index"], None)
        if block:
            yield from block.stop()

    def _message_delta(self, data: Json) -> Iterator[Delta]:
        delta = data.get("delta") or {}
        self._stop = delta.get("stop_reason") or self._stop
        self._container(delta)
        self._refused = (delta.get("stop_details") or {}).get("explanation") or self._refused
        yield usage_of(self._count, data.get("usage") or {})

    def _message_stop(self, _: Json) -> Iterator[Delta]:
        for key, block in self.running.values():
            yield from hosted.answered(key, block, None, self.turn, self.container)
        self.running = {}
        yield from self.give_state()
        if self._stop == "refusal":
            yield RefusalDelta(self._refused)
        yield Finished(FINISH.get(self._stop or ""))

    def _error(self, data: Json) -> Iterator[Delta]:
        yield Failed(errors.from_object(data))

    # ---------------------------------------------------------------- shared by the blocks

    def new_key(self) -> int:
        self._keys += 1
        return self._keys

    def give_state(self, *signed: Json) -> Iterator[Delta]:
        """The held blocks, and this signed one, as the state of one reasoning item; that item is then complete."""
        blocks, self.held = [*self.held, *signed], []
        self.offset = 0 if blocks else self.offset
        if blocks:
            yield ProviderState({"blocks": blocks})
            yield ItemEnd()

    def call_of(self, result: Json) -> tuple[int, Json]:
        """The hosted call of this result: of this sample, of an earlier one, or, where it is lost, one of its kind."""
        call_id = result.get("tool_use_id", "")
        if call_id in self.running:
            return self.running.pop(call_id)
        states = (self.turn.state(item) for item in self.turn.input if item.get("type") == "reasoning")
        blocks = (block for state in states if state for block in state["blocks"])
        found = next((block for block in blocks if block.get("id") == call_id), None)
        name = result["type"].removesuffix("_tool_result")
        kind = "mcp_tool_use" if name == "mcp" else "server_tool_use"
        return self.new_key(), found or {"type": kind, "id": call_id, "name": name, "input": {}}

    def _container(self, said: Json) -> None:
        self.container = (said.get("container") or {}).get("id") or self.container

    def _count(self, usage: Json) -> Usage:
        """Usage is cumulative; what an event does not say stays as it was."""
        for key in USAGE_KEYS:
            if usage.get(key) is not None:
                self._usage[key] = usage[key]
        thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
        if thought is not None:
            self._usage["thinking_tokens"] = thought
        counts = self._usage
        cached = counts.get("cache_read_input_tokens", 0)
        written = counts.get("cache_creation_input_tokens", 0)
        total = counts.get("input_tokens", 0) + cached + written
        return Usage(total, counts.get("output_tokens", 0), cached, counts.get("thinking_tokens", 0), written)


HANDLERS = {
    "message_start": MessageReader._message_start,
    "content_block_start": MessageReader._block_start,
    "content_block_stop": MessageReader._block_stop,
    "message_delta": MessageReader._message_delta,
    "message_stop": MessageReader._message_stop,
    "error": MessageReader._error,
}

# --------------------------------------------------------------------------- blocks


class Block:
    """An open content block; `raw` is the block as it began."""

    __slots__ = ("raw", "reader")

    def __init__(self, reader: MessageReader, raw: Json) -> None:
        self.reader = reader
        self.raw = raw

    def start(self) -> Iterator[Delta]:
        yield from ()

    def delta(self, delta: Json) -> Iterable[Delta]:
        return ()

    def stop(self) -> Iterator[Delta]:
        yield from ()


class TextBlock(Block):
    __slots__ = ("_begin", "_citations")

    def start(self) -> Iterator[Delta]:
        yield from self.reader.give_state()
        self._begin = self.reader.offset
        self._citations: list[Json] = list(self.raw.get("citations") or ())
        yield from self.delta({"type": "text_delta", "text": self.raw.get("text") or ""})

    def delta(self, delta: Json) -> Iterable[Delta]:
        text = delta.get("text")
        if text:
            self.reader.offset += len(text)
            return (TextDelta(text),)
        if "citation" in delta:
            self._citations.append(delta["citation"])
        return ()

    def stop(self) -> Iterator[Delta]:
        if self.reader.offset == self._begin:
            return  # an annotation needs text to stand on
        for citation in self._citations:
            url = citation.get("url") or citation.get("source") or ""
            if url.startswith(("https://", "http://")):
                yield Annotation(
                    {
                        "type": "url_citation",
                        "start_index": self._begin,
                        "end_index": self.reader.offset,
                        "url": url,
                        "title": citation.get("title") or "",
                    }
                )


class ThinkingBlock(Block):
    __slots__ = ("_signature", "_text")

    def start(self) -> Iterator[Delta]:
        self.reader.offset = 0
        self._text: list[str] = []
        self._signature: list[str] = []
        yield from self.delta({"thinking": self.raw.get("thinking"), "signature": self.raw.get("signature")})

    def delta(self, delta: Json) -> Iterable[Delta]:
        if signature := delta.get("signature"):
            self._signature.append(signature)
        if text := delta.get("thinking"):
            self._text.append(text)
            return (ReasoningDelta(text),)
        return ()

    def stop(self) -> Iterator[Delta]:
        if not self._signature:
            yield ItemEnd()  # cut: it may not come back
            return
        signature = "".join(self._signature)
        yield from self.reader.give_state(
            {**self.raw, "thinking": "".join(self._text), "signature": signature}
        )


class RedactedThinkingBlock(Block):
    __slots__ = ()

    def start(self) -> Iterator[Delta]:
        yield from self.reader.give_state(self.raw)
        self.reader.offset = 0


class InputBlock(Block):
    """A block whose input is streamed as JSON text, or comes whole at its start."""

    __slots__ = ("_json", "key")

    def start(self) -> Iterator[Delta]:
        self.key = self.reader.new_key()
        self._json: list[str] = []
        self.reader.offset = 0
        yield from ()

    def delta(self, delta: Json) -> Iterable[Delta]:
        piece = delta.get("partial_json")
        if not piece:
            return ()
        self._json.append(piece)
        return self.piece(piece)

    def piece(self, piece: str) -> Iterable[Delta]:
        return ()

    def rest(self) -> Iterable[Delta]:
        """The input, if it came whole: as one piece."""
        if self._json:
            return ()
        self._json.append(orjson.dumps(self.raw.get("input") or {}).decode())
        return self.piece(self._json[0])

    def value(self) -> Any:
        """The input; None if it was cut."""
        try:
            return orjson.loads("".join(self._json))
        except orjson.JSONDecodeError:
            return None

    def unwrapped(self) -> str:
        """The JSON text of the input's one property; where it was cut, what there is of the JSON."""
        value = self.value()
        if not isinstance(value, dict):
            return "".join(self._json)
        return orjson.dumps(value.get(schema.WRAPPER, value)).decode()


class CallBlock(InputBlock):
    """A call of the client's function: its arguments as they come."""

    __slots__ = ("callee",)

    def start(self) -> Iterator[Delta]:
        yield from self.reader.give_state()
        yield from super().start()
        name = self.raw["name"]
        self.callee = self.reader.callees.get(name) or Callee(name)
        yield ToolCallStarted(self.key, self.callee.name, self.raw["id"], self._kind(), self.callee.namespace)

    def _kind(self) -> Any:
        return self.callee.kind

    def piece(self, piece: str) -> Iterable[Delta]:
        return (ToolCallDelta(self.key, piece),)

    def stop(self) -> Iterator[Delta]:
        yield from self.rest()
        yield ItemEnd(self.key)


class CustomCallBlock(CallBlock):
    """A call of the client's custom tool: its text, unwrapped as it comes."""

    __slots__ = ("_text",)

    def start(self) -> Iterator[Delta]:
        self._text = unwrap.StringField()
        yield from super().start()

    def piece(self, piece: str) -> Iterable[Delta]:
        text = self._text.feed(piece)
        return (ToolCallDelta(self.key, text),) if text else ()

    def stop(self) -> Iterator[Delta]:
        yield from self.rest()
        if rest := self._text.rest():
            yield ToolCallDelta(self.key, rest)
        yield ItemEnd(self.key)


class WrappedCallBlock(CallBlock):
    """A call whose arguments are the value of one property; unwrapped when they are complete."""

    __slots__ = ()

    def piece(self, piece: str) -> Iterable[Delta]:
        return ()

    def stop(self) -> Iterator[Delta]:
        yield from self.rest()
        yield ToolCallDelta(self.key, self.unwrapped())
        yield ItemEnd(self.key)


class AnswerBlock(InputBlock):
    """The call of the structured answer's tool: its arguments are the message's text."""

    __slots__ = ()

    def start(self) -> Iterator[Delta]:
        yield from self.reader.give_state()
        yield ItemEnd()  # what was said before it is a message of its own
        yield from super().start()

    def piece(self, piece: str) -> Iterable[Delta]:
        wrapped = self.reader.answer and self.reader.answer.wrapped
        return () if wrapped else (TextDelta(piece),)

    def stop(self) -> Iterator[Delta]:
        yield from self.rest()
        if self.reader.answer and self.reader.answer.wrapped:
            yield TextDelta(self.unwrapped())


class ServerCallBlock(InputBlock):
    """A call that Anthropic runs itself."""

    __slots__ = ()

    def start(self) -> Iterator[Delta]:
        yield from super().start()
        yield from hosted.started(self.key, self.raw)

    def stop(self) -> Iterator[Delta]:
        yield from self.rest()
        block = {**self.raw, "input": self.value() or {}}
        self.reader.held.append(block)
        self.reader.running[block["id"]] = (self.key, block)
        yield from hosted.asked(self.key, block)


class RawBlock(Block):
    """A result of such a call, which comes whole: kept as state. A block that we do not know is a failure."""

    __slots__ = ()

    def delta(self, delta: Json) -> Iterable[Delta]:
        self.raw = {**self.raw, **{key: value for key, value in delta.items() if key != "type"}}
        return ()

    def stop(self) -> Iterator[Delta]:
        server = hosted.is_server(self.raw)
        if server or self.raw["type"] in STATE_TYPES:
            self.reader.held.append(self.raw)
            self.reader.offset = 0
        if server:
            key, block = self.reader.call_of(self.raw)
            yield from hosted.answered(key, block, self.raw, self.reader.turn, self.reader.container)
        elif self.raw["type"] not in STATE_TYPES | SILENT_TYPES:
            message = f"Anthropic answered with an unknown block: {self.raw['type']!s:.60}."
            yield Failed(ApiError("provider_invalid_response", message))


CALL_BLOCKS: dict[str | None, type[CallBlock]] = {
    None: CallBlock,
    unwrap.FIELD: CustomCallBlock,
    schema.WRAPPER: WrappedCallBlock,
}


def _tool_use(reader: MessageReader, raw: Json) -> Block:
    """The block for a call of a tool of the request: by what the tool is to the client."""
    if reader.answer and raw["name"] == reader.answer.tool:
        return AnswerBlock(reader, raw)
    callee = reader.callees.get(raw["name"])
    return CALL_BLOCKS[callee.field if callee else None](reader, raw)


BLOCKS = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": _tool_use,
    "server_tool_use": ServerCallBlock,
    "mcp_tool_use": ServerCallBlock,
}
