"""The answers of Bedrock's Converse API as deltas: its stream's events, or a whole answer.

Source: Amazon Bedrock API reference, ConverseStreamOutput, ContentBlock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from ..protocol.errors import ApiError
from .base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    ItemEnd,
    Json,
    ProviderState,
    ReasoningDelta,
    Started,
    TextDelta,
    Turn,
    Usage,
    provider_error,
    usage_of,
)
from .messages import dump, schema_format
from .tools import CallReader, ToolTable

FINAL_ANSWER = "final_answer"
FINISHED: dict[str, str | None] = {
    "end_turn": None,
    "tool_use": None,
    "stop_sequence": None,
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# Exceptions of the stream -> our codes. Source: ConverseStreamOutput.
EXCEPTIONS = {
    "throttlingException": "rate_limit_exceeded",
    "serviceUnavailableException": "server_is_overloaded",
    "modelTimeoutException": "provider_timeout",
    "validationException": "invalid_value",
}
TOO_LONG = re.compile(r"too long|too many (input )?tokens|context (length|window)", re.IGNORECASE)
NO_MODEL = re.compile(
    r"model identifier is invalid|isn't supported|could not resolve the foundation model", re.IGNORECASE
)


def error_of(status: int, message: str, code: str | None = None) -> ApiError:
    if code in (None, "invalid_value") and status == 400:
        code = "context_length_exceeded" if TOO_LONG.search(message) else code
        code = "model_not_found" if NO_MODEL.search(message) else code
    return provider_error(status, message, code=code)


class AnswerPlan(NamedTuple):
    """How a JSON answer is asked for: `native`, the form of the text itself; else the tool's `description` and
    `schema`, whose one property `value` is the answer where it is `wrapped`."""

    native: Json | None
    description: str = ""
    schema: Json | None = None
    wrapped: bool = False


def answer_plan(turn: Turn) -> AnswerPlan | None:
    """What `text.format` asks for; None for plain text. Request and reader make the same plan."""
    from .anthropic.schema import answer_schema, enforceable

    if (form := schema_format(turn.request)) is None:
        return None
    schema = form.get("schema") or {"type": "object"}
    native = form["type"] == "json_schema" and turn.profile.options.get("structured_outputs")
    if native and (plain := enforceable(schema)) is not None:
        told = {key: form[key] for key in ("name", "description") if form.get(key)}
        definition = {"schema": orjson.dumps(plain).decode(), **told}
        return AnswerPlan({"type": "json_schema", "structure": {"jsonSchema": definition}})
    inner, wrapped = answer_schema(schema)
    described = form.get("description") or "Gives the final answer. Call it once no other tool is needed."
    return AnswerPlan(None, described, inner, wrapped)


class BedrockReader:
    """Reads one stream; blocks are named by their index."""

    def __init__(self, turn: Turn) -> None:
        self._model = turn.model
        self._calls = CallReader(ToolTable(turn.tools))
        self._open: set[int] = set()  # blocks that are tool calls
        self._answers: set[int] = set()  # calls of final_answer: their arguments are the text
        plan = answer_plan(turn)
        # The text in its wrapper, so far.
        self._wrapped: list[str] | None = [] if plan and plan.wrapped else None
        self._thoughts: dict[int, Json] = {}
        self._length = 0  # of the open text, in characters
        self._cited: dict[int, tuple[int, list[Json]]] = {}  # where a block's text begins, and its citations

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        if event.endswith("Exception"):
            message = str(data.get("message", ""))
            status = 400 if event == "validationException" else 500
            return [Failed(error_of(status, message, EXCEPTIONS.get(event, "provider_error")))]
        handler = HANDLERS.get(event)
        return handler(self, data) if handler else ()

    def whole(self, data: Any) -> Iterable[Delta]:
        """The answer of Converse, unstreamed."""
        yield Started(self._model)
        for index, block in enumerate(data["output"]["message"]["content"]):
            yield from self._whole_block(index, block)
        yield from self._on_metadata(data)
        yield from self._on_stop({"stopReason": data.get("stopReason", "end_turn")})

    def end(self) -> Iterable[Delta]:
        return ()

    def _whole_block(self, index: int, block: Json) -> Iterator[Delta]:
        place = {"contentBlockIndex": index}
        if "toolUse" in block:
            yield from self._on_block_start({**place, "start": block})
            text = orjson.dumps(block["toolUse"].get("input") or {}).decode()
            yield from self._on_delta({**place, "delta": {"toolUse": {"input": text}}})
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]
            yield from self._on_delta(
                {**place, "delta": {"reasoningContent": thought.get("reasoningText", thought)}}
            )
        elif "citationsContent" in block:
            cited = block["citationsContent"]
            for part in cited.get("content") or ():
                yield from self._on_delta({**place, "delta": part})
            for citation in cited.get("citations") or ():
                yield from self._on_delta({**place, "delta": {"citation": citation}})
        else:
            yield from self._on_delta({**place, "delta": block})
        yield from self._on_block_stop(place)

    def _on_start(self, _: Json) -> Iterator[Delta]:
        yield Started(self._model)

    def _on_block_start(self, data: Json) -> Iterator[Delta]:
        index, start = data["contentBlockIndex"], data.get("start") or {}
        if (call := start.get("toolUse")) is None:
            if start:
                yield _formless(start)
            return
        if call["name"] == FINAL_ANSWER:
            self._answers.add(index)
            return
        self._length = 0
        self._open.add(index)
        yield self._calls.start(index, call["name"], call["toolUseId"])

    def _on_delta(self, data: Json) -> Iterator[Delta]:
        index, delta = data["contentBlockIndex"], data["delta"]
        if "text" in delta:
            self._cited.setdefault(index, (self._length, []))
            self._length += len(delta["text"])
            yield TextDelta(delta["text"])
        elif "toolUse" in delta:
            text = delta["toolUse"].get("input", "")
            if index in self._answers and self._wrapped is not None:
                self._wrapped.append(text)
            elif index in self._answers:
                yield TextDelta(text)
            else:
                yield from self._calls.arguments(index, text)
        elif "reasoningContent" in delta:
            yield from self._thought(index, delta["reasoningContent"])
        elif "citation" in delta:
            self._cited.setdefault(index, (self._length, []))[1].append(delta["citation"])
        else:
            yield _formless(delta)

    def _thought(self, index: int, delta: Json) -> Iterator[Delta]:
        thought = self._thoughts.setdefault(index, {})
        self._length = 0
        for key in ("text", "signature", "redactedContent"):
            if key in delta:
                thought[key] = thought.get(key, "") + delta[key]
        if delta.get("text"):
            yield ReasoningDelta(delta["text"])

    def _on_block_stop(self, data: Json) -> Iterator[Delta]:
        index = data["contentBlockIndex"]
        if thought := self._thoughts.pop(index, None):
            redacted = thought.pop("redactedContent", None)
            block = {"redactedContent": redacted} if redacted else {"reasoningText": {"text": "", **thought}}
            yield ProviderState({"model": self._model, "blocks": [block]})
            yield ItemEnd()
        elif index in self._answers and self._wrapped:
            yield TextDelta(_unwrapped("".join(self._wrapped)))
        elif index in self._open:
            self._open.discard(index)
            yield from self._calls.end(index)
        start, citations = self._cited.pop(index, (0, []))
        for citation in citations:
            yield from _cite(citation, start, self._length)

    def _on_stop(self, data: Json) -> Iterator[Delta]:
        reason = data.get("stopReason")
        if reason in FINISHED:
            yield Finished(FINISHED[reason])
        else:
            yield Failed(ApiError("model_error", f"The model stopped: {reason!s:.100}."))

    def _on_metadata(self, data: Json) -> Iterator[Delta]:
        if used := data.get("usage"):
            yield usage_of(_usage, used)


def _formless(block: Json) -> Failed:
    message = f"The model answered with {', '.join(block)}, which has no form here."
    return Failed(ApiError("model_error", message))


def _unwrapped(text: str) -> str:
    """The answer out of its wrapper; the text itself where the model cut or forgot that."""
    try:
        return dump(orjson.loads(text)["value"])
    except (ValueError, LookupError, TypeError):
        return text


def _cite(citation: Json, start: int, end: int) -> Iterator[Delta]:
    """A citation of a web page; one into a document has no annotation in the protocol."""
    web = (citation.get("location") or {}).get("web") or {}
    if url := web.get("url"):
        title = citation.get("title") or web.get("domain") or url
        yield Annotation(
            {"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end}
        )


def _usage(used: Json) -> Usage:
    cached, written = used.get("cacheReadInputTokens") or 0, used.get("cacheWriteInputTokens") or 0
    total = used.get("inputTokens", 0) + cached + written
    return Usage(total, used.get("outputTokens", 0), cached, cache_write_tokens=written)


HANDLERS = {
    "messageStart": BedrockReader._on_start,
    "contentBlockStart": BedrockReader._on_block_start,
    "contentBlockDelta": BedrockReader._on_delta,
    "contentBlockStop": BedrockReader._on_block_stop,
    "messageStop": BedrockReader._on_stop,
    "metadata": BedrockReader._on_metadata,
}
