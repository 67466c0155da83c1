"""OpenAI's Responses API, `POST /responses`: the protocol the gateway itself speaks, so nearly a pass-through.

What changes on the way: nothing is stored upstream and none of our ids go there, so every item is sent whole, and
encrypted reasoning is always asked for; what comes back is taken apart into deltas, because ids and numbering are ours.
Tools, items and events that this file does not know pass through as they are.

Model options read here:
    encrypted_reasoning    false: the model does not reason, and refuses `include` and reasoning items. Default true.
    additional_tools       true: takes tools in mid-conversation, which keeps the cached prompt before them. Default
                           false: they are offered with the others.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from ..protocol.errors import ApiError, quoted
from ..protocol.state import UNTAGGED_PROVIDER, Shape, seal
from . import openai_fields
from .base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    HostedItemEvent,
    HostedItemStarted,
    ItemEnd,
    Json,
    MessageStarted,
    PartEnd,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    UpstreamRequest,
    Usage,
    usage_of,
)
from .failures import failure, read_failure
from .messages import logprobs_of

ENCRYPTED_REASONING = "reasoning.encrypted_content"


class OpenAIAdapter:
    places_tools = True
    state_shape: ClassVar[Shape] = (str, {})
    openai_fields = frozenset(
        {
            "access_programs",
            "context_management",
            "image",
            "prompt",
            "prompt_cache_options",
            "reasoning.context",
            "reasoning.mode",
            *(f"input[].{kind}" for kind in openai_fields.ITEMS),
        }
    )

    def build(self, turn: Turn) -> UpstreamRequest:
        return UpstreamRequest(
            "/responses", _body(turn), ignored=[name for name in IGNORED if turn.request.get(name)]
        )

    def reader(self, turn: Turn) -> ResponsesReader:
        return ResponsesReader(turn.provider)

    def count(self, turn: Turn) -> UpstreamRequest:
        body = _body(turn)
        return UpstreamRequest(
            "/responses/input_tokens", {name: body[name] for name in COUNTED if name in body}
        )

    def counted(self, body: Json) -> int:
        return int(body["input_tokens"])

    def runs_mcp(self, tool: Json) -> bool:
        return any(tool.get(place) for place in ("server_url", "connector_id", "tunnel_id"))

    def explain(self, status: int, body: bytes) -> ApiError:
        error, param = read_failure(status, body), _param(body)
        if error.code == "model_not_found" and param not in (None, "model"):
            error = ApiError("not_found", error.message)  # a file, a prompt, a vector store
        error.param = param
        return error


def _param(body: bytes) -> str | None:
    """The parameter that OpenAI names: it is the client's own, but for a place in `input`, which holds the history."""
    try:
        param = orjson.loads(body)["error"]["param"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(param, str):
        return None
    return "input" if param.startswith("input[") else param


# --------------------------------------------------------------------------- the request

# `metadata` belongs to stored responses, and those are ours; `truncation` is the engine's.
PASSED = (
    "prompt",
    "reasoning",
    "text",
    "temperature",
    "top_p",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "top_logprobs",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "context_management",
    "access_programs",
    "image",
)
IGNORED = ("presence_penalty", "frequency_penalty")
# What the endpoint that counts tokens takes of a request.
COUNTED = (
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
)

# What is sent of the items that the gateway knows: no ids, because nothing is stored there to be found by them.
ITEM_FIELDS = {
    "function_call": ("type", "call_id", "name", "arguments", "namespace", "caller"),
    "function_call_output": ("type", "call_id", "output", "caller"),
    "custom_tool_call": ("type", "call_id", "name", "input", "namespace", "caller"),
    "custom_tool_call_output": ("type", "call_id", "output", "caller"),
}
# Other items go as they are; these are refused without an id, or another item refers to it.
ITEMS_WITH_ID = frozenset(
    {
        "code_interpreter_call",
        "computer_call",
        "file_search_call",
        "image_generation_call",
        "mcp_approval_request",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
    }
)
# OpenAI's own have none; ours all do.
ITEMS_WITHOUT_STATUS = frozenset({"mcp_approval_request", "mcp_list_tools", "program"})


def _body(turn: Turn) -> Json:
    reasons = turn.profile.options.get("encrypted_reasoning", True)
    body: Json = {"model": turn.model}
    if turn.instructions:
        body["instructions"] = turn.instructions
    placed, tools = _tools(turn)
    sent = [
        sent
        for item in turn.input
        if (item["type"] != "additional_tools" or item in placed)
        and (sent := _item(turn, item, reasons)) is not None
    ]
    if sent or "prompt" not in turn.request:
        body["input"] = sent
    if tools:
        body["tools"] = tools
    if turn.tools:
        body |= _tool_choice(turn)
    for name in PASSED:
        if name in turn.request:
            body[name] = _without_nulls(turn.request[name])
    wanted = [name for name in turn.request.get("include", ()) if name != ENCRYPTED_REASONING]
    if reasons:
        wanted.insert(0, ENCRYPTED_REASONING)
    if wanted:
        body["include"] = wanted
    return body | {"truncation": "disabled", "store": False, "stream": True}


def _tools(turn: Turn) -> tuple[list[Json], list[Json]]:
    """The items whose tools go in their place, and the tools that go with the request: all others, and what the gateway
    has made of those that it runs itself."""
    offered = {id(tool) for tool in turn.tools}
    placed = [
        item
        for item in turn.input
        if item["type"] == "additional_tools" and offered.issuperset(map(id, item["tools"]))
    ]
    if not placed or not turn.profile.options.get("additional_tools"):
        return [], turn.tools
    within = {id(tool) for item in placed for tool in item["tools"]}
    return placed, [tool for tool in turn.tools if id(tool) not in within]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner is not None}
    return value


def _tool_choice(turn: Turn) -> Json:
    """The choice as the client made it; "auto" is the default and not sent."""
    choice = turn.tool_choice
    asked = turn.request.get("tool_choice")
    if isinstance(asked, dict) and asked["type"] == "allowed_tools" and choice in ("auto", "required"):
        return {"tool_choice": {"type": "allowed_tools", "mode": choice, "tools": asked["tools"]}}
    return {} if choice == "auto" else {"tool_choice": choice}


def _item(turn: Turn, item: Json, reasons: bool) -> Json | None:
    """An input item as OpenAI takes it; None for one that only another provider could read."""
    kind = item["type"]
    if kind == "message":
        return _message(item)
    if fields := ITEM_FIELDS.get(kind):
        return {name: item[name] for name in fields if item.get(name) is not None}
    if kind == "additional_tools":
        return {"type": kind, "role": item.get("role") or "developer", "tools": item["tools"]}
    if "encrypted_content" in item:
        return _sealed_item(turn, item, reasons)
    if kind == "reasoning":
        return None
    kept = {name: value for name, value in item.items() if value is not None}
    if kind not in ITEMS_WITH_ID:
        kept.pop("id", None)
    if kind in ITEMS_WITHOUT_STATUS:
        kept.pop("status", None)
    return kept


def _message(item: Json) -> Json:
    role = item["role"]
    message: Json = {"type": "message", "role": role}
    if item.get("phase"):
        message["phase"] = item["phase"]
    text_type = "output_text" if role == "assistant" else "input_text"
    message["content"] = [_part(part, text_type) for part in item["content"]]
    return message


def _part(part: Json, text_type: str) -> Json:
    if "text" not in part:
        return {name: value for name, value in part.items() if value is not None}
    more = {name: part[name] for name in ("annotations", "prompt_cache_breakpoint") if part.get(name)}
    return {"type": text_type, "text": part["text"], **more}


def _sealed_item(turn: Turn, item: Json, reasons: bool) -> Json | None:
    """Reasoning or a compaction, with the state that this provider gave it."""
    state = turn.state(item)
    if item["type"] == "reasoning":
        if state is None or not reasons:
            return None
        summary = [{"type": "summary_text", "text": part["text"]} for part in item.get("summary") or ()]
        kept = state if isinstance(state, dict) else {"encrypted_content": state}
        return {
            "summary": summary,
            **kept,
            "type": "reasoning",
        }  # never another item, whatever a client sealed
    if state is None:
        raise ApiError(
            "invalid_value",
            f"The item '{item['type']}' in the context was made by another provider; {turn.provider} cannot read it.",
            param="input",
        )
    return {"type": item["type"], "encrypted_content": state}


def _state_of(provider: str, item: Json) -> Json | str | None:
    """What of a reasoning item has to come back; None if there is nothing that its text does not say.

    OpenAI's own is encrypted, and that is all. Others that serve the API, as DeepSeek, Bedrock's gpt-oss, OpenRouter,
    take their item back as they gave it: with its plain text, and then by its id, which names nothing that is stored.
    """
    encrypted = item.get("encrypted_content")
    if encrypted and provider == UNTAGGED_PROVIDER:
        kept: str = encrypted
        return kept
    if not encrypted and not any(part.get("text") for part in item.get("content") or ()):
        return None
    left_out = ("type", "status", "id") if encrypted else ("type", "status")
    return {name: value for name, value in item.items() if name not in left_out and value is not None}


# --------------------------------------------------------------------------- the answer


@dataclass(slots=True)
class _Part:
    """What was said so far of a content or summary part: characters, annotations, whether it is complete."""

    sent: int = 0
    annotations: int = 0
    ended: bool = False


@dataclass(slots=True)
class _Item:
    """An output item: its parts by (array, index), or the characters of its arguments said so far."""

    kind: str = ""
    parts: dict[tuple[str, int], _Part] = field(default_factory=dict)
    sent: int = 0
    done: bool = False


# Call items: the kind of tool, and the field of what is said to it.
CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}


class ResponsesReader:
    """Deltas as they stream; at the end of each part, item and response, what the stream left out of it.

    So a stream that only says "done", and an answer that did not stream at all, are read by the same lines.
    The first delta waits for the first item: a failure before it keeps its HTTP status and may be retried.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._items: dict[int, _Item] = {}
        self._started: Started | None = None
        self._error: Any = None

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        kind = data.get("type") or event
        if handler := HANDLERS.get(kind):
            return handler(self, data)
        if not kind and data.get("error"):
            return self._on_error(data)
        item = self._items.get(data.get("output_index", -1))
        if item and item.kind not in OWN_KINDS:
            fields = {name: value for name, value in data.items() if name not in NUMBERING}
            return (HostedItemEvent(data["output_index"], kind, fields),)
        return ()

    def whole(self, data: Any) -> Iterable[Delta]:
        if isinstance(data, dict) and data.get("error") and not data.get("output"):
            yield Failed(failure(200, data))
            return
        if not isinstance(data, dict) or not isinstance(data.get("output"), list):
            yield Failed(
                ApiError("provider_invalid_response", f"{self._provider} sent JSON that is no response.")
            )
            return
        yield from self._on_created({"response": data})
        status = data.get("status") or "completed"
        if status in UNFINISHED:
            message = f"The answer of {self._provider} is a response with status '{status}', which is not an answer."
            yield Failed(ApiError("model_error", message))
            return
        yield from TERMINAL.get(status, ResponsesReader._on_completed)(self, {"response": data})

    def end(self) -> Iterable[Delta]:
        if self._error is not None:
            yield Failed(failure(200, {"error": self._error}))

    # ---------------------------------------------------------------- the response

    def _on_created(self, data: Json) -> Iterable[Delta]:
        response = data["response"]
        self._started = Started(response.get("model"), response.get("service_tier"))
        return ()

    def _begin(self, _: Json | None = None) -> Iterator[Delta]:
        if self._started:
            yield self._started
            self._started = None

    def _on_end(self, data: Json) -> Iterable[Delta]:
        """The end by the response's status, where the event says less of it."""
        status = str(data["response"].get("status"))
        return TERMINAL.get(status, ResponsesReader._on_completed)(self, data)

    def _on_completed(self, data: Json) -> Iterable[Delta]:
        yield from self._last_word(data["response"])
        yield Finished()

    def _on_incomplete(self, data: Json) -> Iterable[Delta]:
        yield from self._last_word(data["response"])
        details = data["response"].get("incomplete_details") or {}
        yield Finished(details.get("reason") or "max_output_tokens")

    def _on_failed(self, data: Json) -> Iterable[Delta]:
        """The error of the response; the `error` event before it says the same, if it says anything."""
        response = data["response"]
        yield from self._usage(response)
        yield Failed(failure(200, {"error": response.get("error") or self._error}))

    def _on_error(self, data: Json) -> Iterable[Delta]:
        # Nested, or flat beside `type`. Normally `response.failed` follows and knows more.
        self._error = data.get("error") or {name: data.get(name) for name in ("code", "message", "param")}
        return ()

    def _last_word(self, response: Json) -> Iterator[Delta]:
        self._on_created({"response": response})
        yield from self._begin()
        output = response.get("output") or ()
        for index, item in zip(_places(self._items, len(output)), output, strict=True):
            yield from self._end_item(index, item)
        yield from self._usage(response)

    def _usage(self, response: Json) -> Iterator[Delta]:
        if usage := response.get("usage"):
            yield usage_of(_read_usage, usage)

    # ---------------------------------------------------------------- items

    def _on_item_added(self, data: Json) -> Iterable[Delta]:
        yield from self._begin()
        yield from self._open_item(data["output_index"], data["item"])

    def _on_item_done(self, data: Json) -> Iterable[Delta]:
        yield from self._begin()
        yield from self._end_item(data["output_index"], data["item"])

    def _open_item(self, index: int, item: Json) -> Iterator[Delta]:
        kind = item["type"]
        earlier = self._items.get(index)
        if earlier is not None and earlier.done:  # a backend that gives several items the same place
            del self._items[index]
            self._items[-1 - len(self._items)] = earlier
        self._items[index] = _Item(kind)
        if kind == "message":
            phase = item.get("phase")
            yield MessageStarted(phase if phase in PHASES else None)
        elif call := CALLS.get(kind):
            more = call[0], item.get("namespace"), item.get("caller")
            yield ToolCallStarted(index, item["name"], item.get("call_id"), *more)  # type: ignore[arg-type]
        elif kind != "reasoning":
            yield HostedItemStarted(index, self._hosted(item))

    def _end_item(self, index: int, item: Json) -> Iterator[Delta]:
        if index not in self._items:
            yield from self._open_item(index, item)
        state, kind = self._items[index], item["type"]
        if state.done:
            return
        state.done = True
        if call := CALLS.get(kind):
            if rest := (item.get(call[1]) or "")[state.sent :]:
                yield ToolCallDelta(index, rest)
            yield ItemEnd(index)
        elif kind == "message":
            yield from self._end_parts(state, "content", item)
            yield ItemEnd()
        elif kind == "reasoning":
            yield from self._end_reasoning(index, state, item)
        else:
            yield HostedItemEnded(index, self._hosted(item))

    def _end_reasoning(self, index: int, state: _Item, item: Json) -> Iterator[Delta]:
        yield from self._end_parts(state, "summary", item)
        yield from self._end_parts(state, "content", item)
        # OpenRouter ends plain reasoning behind the message that it led to: an item of its own there would say nothing.
        late = not item.get("encrypted_content") and index != max(self._items)
        kept = None if late else _state_of(self._provider, item)
        if kept:
            yield ProviderState(kept)
        if kept or state.parts:
            yield ItemEnd()
        else:
            yield HostedItemEnded(index, self._hosted({**item, "summary": []}))

    def _hosted(self, item: Json) -> Json:
        hosted = {**LACKING.get(item["type"], {}), **item}
        hosted.pop("id", None)
        if encrypted := hosted.get("encrypted_content"):
            hosted["encrypted_content"] = seal(self._provider, encrypted)
        return hosted

    # ---------------------------------------------------------------- parts

    def _part(self, data: Json, array: str, index_name: str) -> _Part:
        item = self._items.get(data["output_index"])
        if item is None:
            item = self._items[data["output_index"]] = _Item("message")
        key = (array, data.get(index_name, 0))
        part = item.parts.get(key)
        if part is None:
            part = item.parts[key] = _Part()
        return part

    def _on_text(self, data: Json) -> Iterable[Delta]:
        delta = data["delta"]
        self._part(data, "content", "content_index").sent += len(delta)
        return (TextDelta(delta, logprobs_of(data.get("logprobs"))),)

    def _on_refusal(self, data: Json) -> Iterable[Delta]:
        delta = data["delta"]
        self._part(data, "content", "content_index").sent += len(delta)
        return (RefusalDelta(delta),)

    def _on_annotation(self, data: Json) -> Iterable[Delta]:
        part = self._part(data, "content", "content_index")
        part.annotations += 1
        return (_annotation(data["annotation"], part.sent),)

    def _on_summary(self, data: Json) -> Iterable[Delta]:
        delta = data["delta"]
        self._part(data, "summary", "summary_index").sent += len(delta)
        return (ReasoningDelta(delta),)

    def _on_raw_reasoning(self, data: Json) -> Iterable[Delta]:
        delta = data["delta"]
        self._part(data, "content", "content_index").sent += len(delta)
        return (ReasoningDelta(delta, raw=True),)

    def _on_part_done(self, data: Json) -> Iterable[Delta]:
        return self._end_part(self._part(data, "content", "content_index"), data["part"])

    def _on_summary_done(self, data: Json) -> Iterable[Delta]:
        return self._end_part(self._part(data, "summary", "summary_index"), data["part"])

    def _on_arguments(self, data: Json) -> Iterable[Delta]:
        delta, index = data["delta"], data["output_index"]
        self._items[index].sent += len(delta)
        return (ToolCallDelta(index, delta),)

    def _on_arguments_done(self, data: Json) -> Iterable[Delta]:
        """What the deltas left out, where neither the item nor the response tells it again."""
        index = data["output_index"]
        item = self._items.get(index)
        if item is None:
            return ()
        rest = (data.get("arguments") or data.get("input") or "")[item.sent :]
        item.sent += len(rest)
        return (ToolCallDelta(index, rest),) if rest else ()

    def _on_text_done(self, data: Json) -> Iterable[Delta]:
        part = self._part(data, "content", "content_index")
        rest = (data.get("text") or "")[part.sent :]
        part.sent += len(rest)
        return (TextDelta(rest),) if rest and not part.ended else ()

    def _end_parts(self, state: _Item, array: str, item: Json) -> Iterator[Delta]:
        parts = item.get(array) or ()
        known = [index for of, index in state.parts if of == array]
        for index, part in zip(_places(known, len(parts)), parts, strict=True):
            yield from self._end_part(state.parts.setdefault((array, index), _Part()), part)

    def _end_part(self, state: _Part, part: Json) -> Iterator[Delta]:
        if state.ended:
            yield from self._late_annotations(state, part)
            return
        state.ended = True
        kind = part.get("type")
        text = part.get("refusal" if kind == "refusal" else "text") or ""
        rest = text[state.sent :]
        if kind not in PART_DELTAS:
            message = f"{self._provider} sent content of a type {quoted(str(kind))}, which has no place in a response."
            yield Failed(ApiError("provider_invalid_response", message))
            return
        if rest or not state.sent:
            yield PART_DELTAS[kind](rest, part if not state.sent else {})
        state.sent = max(state.sent, len(text))
        yield from self._late_annotations(state, part)
        yield PartEnd()

    def _late_annotations(self, state: _Part, part: Json) -> Iterator[Delta]:
        """Those that the stream has not told."""
        annotations = part.get("annotations") or ()
        for annotation in annotations[state.annotations :]:
            yield _annotation(annotation, state.sent)
        state.annotations = max(state.annotations, len(annotations))


def _places(told: Collection[int], count: int) -> list[int]:
    """The indices under which a list of so many was told as it streamed: its own; where a backend counted otherwise
    (from one, with gaps), those that it told, in their order."""
    own = range(count)
    if all(index in own for index in told):
        return list(own)
    return [*told, *(index for index in own if index not in told)][:count]


def _annotation(given: Any, end: int) -> Annotation:
    """What it lacks is made up: a web page without a place, as xAI cites it, is cited for all that has been said."""
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in ("url_citation", "file_citation", "file_path"):
        lacking = (
            {"title": "", "start_index": 0, "end_index": end} if kind == "url_citation" else {"index": 0}
        )
        given = lacking | {key: value for key, value in given.items() if value is not None}
    return Annotation(given)


# Content and summary parts: their text as a delta.
PART_DELTAS: dict[Any, Callable[[str, Json], Delta]] = {
    "output_text": lambda text, part: TextDelta(text, logprobs_of(part.get("logprobs"))),
    "refusal": lambda text, part: RefusalDelta(text),
    "summary_text": lambda text, part: ReasoningDelta(text),
    "reasoning_text": lambda text, part: ReasoningDelta(text, raw=True),
}
# What an item must have, and OpenAI leaves out while it is in progress.
LACKING: dict[str, Json] = {
    "image_generation_call": {"result": None},
    "code_interpreter_call": {"code": None, "container_id": None},
    "file_search_call": {"queries": []},
}
PHASES = ("commentary", "final_answer")
OWN_KINDS = frozenset({"message", "reasoning", *CALLS})
# What the assembler numbers and names anew; `obfuscation` only hides the length of a delta on the wire.
NUMBERING = frozenset({"type", "sequence_number", "item_id", "output_index", "obfuscation"})


def _read_usage(usage: Json) -> Usage:
    details = usage.get("input_tokens_details") or {}
    return Usage(
        usage.get("input_tokens") or 0,
        usage.get("output_tokens") or 0,
        details.get("cached_tokens") or 0,
        (usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0,
        details.get("cache_write_tokens") or 0,
    )


Handler = Callable[[ResponsesReader, Json], Iterable[Delta]]
HANDLERS: dict[Any, Handler] = {
    "response.created": ResponsesReader._on_created,
    "response.completed": ResponsesReader._on_end,
    "response.incomplete": ResponsesReader._on_incomplete,
    "response.failed": ResponsesReader._on_failed,
    "error": ResponsesReader._on_error,
    # a provider that says that it is alive has taken the request
    "keepalive": ResponsesReader._begin,
    "response.output_item.added": ResponsesReader._on_item_added,
    "response.output_item.done": ResponsesReader._on_item_done,
    "response.content_part.done": ResponsesReader._on_part_done,
    "response.output_text.delta": ResponsesReader._on_text,
    "response.output_text.done": ResponsesReader._on_text_done,
    "response.output_text.annotation.added": ResponsesReader._on_annotation,
    "response.refusal.delta": ResponsesReader._on_refusal,
    "response.reasoning_summary_text.delta": ResponsesReader._on_summary,
    "response.reasoning_summary_part.done": ResponsesReader._on_summary_done,
    "response.reasoning_text.delta": ResponsesReader._on_raw_reasoning,
    "response.function_call_arguments.delta": ResponsesReader._on_arguments,
    "response.function_call_arguments.done": ResponsesReader._on_arguments_done,
    "response.custom_tool_call_input.delta": ResponsesReader._on_arguments,
    "response.custom_tool_call_input.done": ResponsesReader._on_arguments_done,
}
UNFINISHED = ("queued", "in_progress", "cancelled")
# The end of a response by its status.
TERMINAL: dict[Any, Handler] = {
    "completed": ResponsesReader._on_completed,
    "incomplete": ResponsesReader._on_incomplete,
    "failed": ResponsesReader._on_failed,
}
