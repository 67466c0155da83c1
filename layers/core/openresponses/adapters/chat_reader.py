"""The answers of Chat Completions servers: their chunks, or a whole completion, as deltas.

Servers agree on the outline only. Known to differ, and read here: tool calls without an index, whole, or with their
name repeated; reasoning as `reasoning_content`, `reasoning`, `reasoning_details` or content parts, often under several
of these names at once; usage in a chunk without choices, in the last one, or in `x_groq`; citations as annotations or
as a list of sources; fields that are there but empty; a finish_reason in every chunk that ends a part of the answer, as
in one for each of several calls: the last one counts, and is said in `end`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from ..protocol.errors import ApiError, quoted
from .base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    ItemEnd,
    Json,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    Usage,
    usage_of,
)
from .failures import failure
from .messages import dump, logprobs_of
from .think_tags import ThinkTags
from .tools import CallReader, ToolTable

# finish_reason -> the reason of an incomplete answer; others are the model's own end.
REASONS = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "sensitive": "content_filter",
}
# finish_reason -> our error: the server stopped, not the model.
FAILURES = {
    "error": "provider_error",
    "abort": "provider_error",
    "network_error": "provider_error",
    "insufficient_system_resource": "server_is_overloaded",
    "function_call_filter": "model_error",
    "malformed_function_call": "model_error",
}
REASONING_FIELDS = ("reasoning_content", "reasoning")
SOURCE_MARK = re.compile(r"\[(\d{1,3})\]")


class ChatReader:
    """Reads one answer.

    replay        names of the message's fields that are kept as provider state
    answer_tool   a tool whose arguments are the answer's text
    think_tags    reasoning stands in the text, in tags
    """

    def __init__(
        self, table: ToolTable, replay: Sequence[str], answer_tool: str | None, think_tags: bool = False
    ) -> None:
        self._tags = ThinkTags() if think_tags else None
        self._calls = _Calls(table, answer_tool)
        self._replay = replay
        self._state: Json = {}
        self._text: list[str] = []
        self._sources: list[Json] = []
        self._images = 0
        self._started = False
        self._finish: str | None = None

    @property
    def stopped(self) -> bool:
        return self._finish is not None

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        # Nearly all chunks are a piece of text and nothing else.
        if self._text and not self._state and (text := _only_text(data)):
            self._text.append(text)
            return (TextDelta(text),)
        return self._read(event, data)

    def _read(self, event: str, data: Json) -> Iterator[Delta]:
        if data.get("error") or data.get("object") == "error" or event == "error":
            yield from self._error(data)
            return
        choices = data.get("choices")
        if not self._started and (choices or data.get("model")):  # Azure's first chunk has neither
            self._started = True
            yield Started(data.get("model"), data.get("service_tier"))
        self._note_sources(data)
        for choice in choices or ():
            if not choice.get("index"):  # others are other answers
                yield from self._choice(choice)
        usage = (
            data.get("usage")
            or (data.get("x_groq") or {}).get("usage")
            or (choices and choices[0].get("usage"))
        )
        if usage:
            yield usage_of(read_usage, usage)

    def whole(self, data: Any) -> Iterator[Delta]:
        choices = data.get("choices") if isinstance(data, dict) else None
        if isinstance(data, dict) and (data.get("error") or data.get("object") == "error"):
            yield Failed(failure(200, data))
        elif not choices:
            yield unreadable("something else than a chat completion")
        else:
            choice = choices[0]
            message = dict(choice.get("message") or {})
            calls = message.get("tool_calls") or ()
            message["tool_calls"] = [{**call, "index": n} for n, call in enumerate(calls)]
            finish = choice.get("finish_reason") or "stop"
            yield from self.frame(
                "", {**data, "choices": [{**choice, "delta": message, "finish_reason": finish}]}
            )
            yield from self.end()

    def end(self) -> Iterator[Delta]:
        if self._finish is None:
            return
        if self._tags:
            yield from self._untagged(self._tags.end())
        yield from self._thought()
        yield from self._cite_sources()
        reason = REASONS.get(self._finish)
        if reason is None:
            yield from self._calls.end()
        yield Finished(reason)

    # ---------------------------------------------------------------- a chunk

    def _choice(self, choice: Json) -> Iterator[Delta]:
        # A `message` beside the delta, as Perplexity's, says all of it again.
        delta = (choice["delta"] if "delta" in choice else choice.get("message")) or {}
        yield from self._reasoning(delta)
        if content := delta.get("content"):
            yield from self._content(content, choice.get("logprobs"))
        if refusal := delta.get("refusal"):
            yield from self._thought()
            yield RefusalDelta(refusal)
        for call in _tool_calls(delta):
            yield from self._thought()
            yield from self._calls.piece(call)
        for image in delta.get("images") or ():
            yield from self._thought()
            yield from self._image(image)
        for annotation in delta.get("annotations") or ():
            yield from self._annotation(annotation)
        if any((delta.get("audio") or {}).values()):
            yield unreadable("audio")
        elif finish := choice.get("finish_reason"):
            yield from self._stop(str(finish).lower(), choice)

    def _error(self, data: Json) -> Iterator[Delta]:
        """An error ends the answer, but OpenRouter's "Token limit reached": that says a finish_reason again."""
        error = failure(200, data)
        if error.code == "invalid_value" and REASONS.get(self._finish or "") == "max_output_tokens":
            if usage := data.get("usage"):
                yield usage_of(read_usage, usage)
        else:
            yield Failed(error)

    def _content(self, content: Any, logprobs: Any) -> Iterator[Delta]:
        if isinstance(content, str):
            yield from self._say(content, logprobs)
        elif isinstance(content, dict):  # Cloudflare's JSON mode: the JSON itself
            yield from self._say(dump(content), None)
        else:
            for part in content:
                yield from self._part(part)

    def _reasoning(self, delta: Json) -> Iterator[Delta]:
        text = ""
        for field in REASONING_FIELDS:
            value = delta.get(field)
            if value and isinstance(value, str):
                text = text or value  # some give the same text under both names
                self._keep(field, value)
        told = ""
        for detail in delta.get("reasoning_details") or ():
            self._keep_detail(detail)
            told += detail.get("text") or detail.get("summary") or ""
        if text := text or told:
            yield ReasoningDelta(text, raw=True)

    def _part(self, part: Json | str) -> Iterator[Delta]:
        """A part of a content list: text, Mistral's thinking; references to tool results are not shown."""
        if isinstance(part, str):
            yield from self._say(part, None)
            return
        kind = part.get("type")
        if kind == "text":
            yield from self._say(part.get("text") or "", None)
        elif kind == "thinking":
            inner = part.get("thinking") or ()
            text = inner if isinstance(inner, str) else "".join(piece.get("text") or "" for piece in inner)
            self._keep_chunk(text, part)
            if text:
                yield ReasoningDelta(text, raw=True)
        elif kind == "image_url":
            yield from self._image(part)
        elif kind != "reference":
            yield unreadable(f"a part of a type {quoted(str(kind))}")

    def _say(self, text: str, logprobs: Any) -> Iterator[Delta]:
        if not text:
            return
        yield from self._thought()
        if self._tags and not self._tags.done:
            yield from self._untagged(self._tags.feed(text))
        else:
            self._text.append(text)
            listed = logprobs.get("content") if isinstance(logprobs, dict) else None
            yield TextDelta(text, logprobs_of(listed))

    def _untagged(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if isinstance(delta, TextDelta):
                self._text.append(delta.text)
            yield delta

    def _image(self, image: Json) -> Iterator[Delta]:
        url = (image.get("image_url") or {}).get("url") or ""
        head, _, data = url.partition(";base64,")
        if not data:
            yield unreadable("an image that is not base64")
            return
        item = {
            "type": "image_generation_call",
            "status": "completed",
            "output_format": head.rpartition("/")[2],
            "result": data,
        }
        self._images += 1
        yield HostedItemEnded(f"image {self._images}", item)

    # ---------------------------------------------------------------- provider state

    def _keep(self, field: str, text: str) -> None:
        if field in self._replay:
            self._state[field] = self._state.get(field, "") + text

    def _keep_detail(self, detail: Json) -> None:
        """OpenRouter's: pieces with the same index and type are one detail, its texts joined."""
        if "reasoning_details" not in self._replay:
            return
        details = self._state.setdefault("reasoning_details", [])
        last = details[-1] if details else {}
        apart = any(last.get(key) != detail.get(key) for key in ("type", "index"))
        apart = apart or bool(last.get("id") and detail.get("id") and last["id"] != detail["id"])
        if apart or "index" not in detail:
            details.append(dict(detail))
            return
        for key, value in detail.items():
            if key in ("text", "summary", "data") and last.get(key) and value:
                last[key] += value
            elif value is not None:
                last[key] = value

    def _keep_chunk(self, text: str, part: Json) -> None:
        if "content" not in self._replay:
            return
        chunks = self._state.setdefault("content", [])
        if not chunks:
            chunks.append({"type": "thinking", "thinking": [{"type": "text", "text": ""}]})
        chunks[0]["thinking"][0]["text"] += text
        chunks[0] |= {key: value for key, value in part.items() if key not in ("type", "thinking")}

    def _thought(self) -> Iterator[Delta]:
        """The reasoning is complete."""
        if self._state:
            yield ProviderState(self._state)
            self._state = {}

    # ---------------------------------------------------------------- citations

    def _annotation(self, annotation: Json) -> Iterator[Delta]:
        kind = annotation.get("type")
        inner = annotation.get(kind) if isinstance(kind, str) else None
        cited = inner if isinstance(inner, dict) else annotation
        if kind == "url_citation" and cited.get("url"):
            start, end = cited.get("start_index"), cited.get("end_index")
            if start is None or end is None:
                start, end = 0, len("".join(self._text))
            yield _citation(cited, start, end)

    def _note_sources(self, data: Json) -> None:
        """Perplexity's and others': the sources of the whole answer, beside the choices."""
        if sources := data.get("search_results") or data.get("citations"):
            self._sources = [{"url": source} if isinstance(source, str) else source for source in sources]

    def _cite_sources(self) -> Iterator[Delta]:
        """A source is cited where the text marks it, as [1]; one without a mark is cited by the whole text."""
        text = "".join(self._text)
        if not self._sources or not text:
            return
        marked = set()
        for mark in SOURCE_MARK.finditer(text):
            number = int(mark.group(1))
            if 1 <= number <= len(self._sources):
                marked.add(number)
                yield _citation(self._sources[number - 1], mark.start(), mark.end())
        for number, source in enumerate(self._sources, 1):
            if number not in marked:
                yield _citation(source, 0, len(text))

    # ---------------------------------------------------------------- the end

    def _stop(self, finish: str, choice: Json) -> Iterator[Delta]:
        reason, _, _ = finish.partition(":")  # Gemini's server: "content_filter: PROHIBITED_CONTENT"
        if code := FAILURES.get(reason):
            error = choice.get("error")
            fallback = ApiError(code, f"The provider ended its answer with a reason {quoted(finish)}.")
            yield Failed(failure(200, {"error": error}) if error else fallback)
        else:
            # OpenRouter ends calls that a limit cut with "tool_calls"; what the model's server said stands beside it.
            native = str(choice.get("native_finish_reason") or "").lower()
            self._finish = reason if reason in REASONS or native not in REASONS else native


def _only_text(data: Json) -> str | None:
    """The text of a chunk that holds nothing else."""
    choices = data.get("choices")
    if (
        not choices
        or data.get("usage")
        or data.get("error")
        or data.get("citations")
        or data.get("search_results")
    ):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if not delta or choice.get("index") or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    for key, value in delta.items():
        if value and key != "content" and key != "role":
            return None
    text = delta.get("content")
    return text if type(text) is str else None


def _citation(source: Json, start: int, end: int) -> Annotation:
    return Annotation(
        {
            "type": "url_citation",
            "url": source.get("url") or "",
            "title": source.get("title") or source.get("url") or "",
            "start_index": start,
            "end_index": end,
        }
    )


def _tool_calls(delta: Json) -> Sequence[Json]:
    if calls := delta.get("tool_calls"):
        found: Sequence[Json] = calls
        return found
    if function := delta.get("function_call"):  # the form before tools
        return [{"index": 0, "function": function}]
    return ()


def read_usage(usage: Json) -> Usage:
    """Ours counts reasoning as output. Some leave it out of `completion_tokens`; their total tells."""
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    prompt_details = usage.get("prompt_tokens_details") or {}
    details = usage.get("completion_tokens_details") or {}
    cached = (
        prompt_details.get("cached_tokens")
        or usage.get("cached_tokens")
        or usage.get("prompt_cache_hit_tokens")
    )
    reasoning = details.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0
    if prompt < 0 or completion < 0:
        raise ValueError("negative counts")
    left_out = max((usage.get("total_tokens") or 0) - prompt - completion, 0)
    written = prompt_details.get("cache_write_tokens") or 0
    return Usage(prompt, completion + left_out, cached or 0, max(reasoning, left_out), written)


def unreadable(what: str) -> Failed:
    """Content that the client would miss, and that has no place in its protocol."""
    return Failed(ApiError("provider_invalid_response", f"The provider answered with {what}."))


class _Call:
    """`ended`: the client was told of its end; `native`: its text is no JSON; `waiting`: what came before its name."""

    __slots__ = ("ended", "id", "key", "name", "native", "pieces", "waiting")

    def __init__(self, key: int, call_id: str | None) -> None:
        self.key = key
        self.id = call_id
        self.name: str | None = None
        self.native = self.ended = False
        self.pieces: list[str] = []
        self.waiting = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing can follow its arguments any more."""
        if self.native or not self.pieces or not self.pieces[-1].rstrip().endswith("}"):
            return False
        try:
            return isinstance(orjson.loads("".join(self.pieces)), dict)
        except orjson.JSONDecodeError:
            return False


class _Calls:
    """The tool calls of an answer, told apart: by index, else by id, else by a name that comes again."""

    def __init__(self, table: ToolTable, answer_tool: str | None) -> None:
        self._reader = CallReader(table)
        self._answer_tool = answer_tool
        self._all: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def piece(self, piece: Json) -> Iterator[Delta]:
        custom = piece.get("custom") or {}
        custom = custom if any(custom.values()) else None
        function = custom or piece.get("function") or {}
        name = function.get("name")
        call = self._find(piece.get("index"), piece.get("id") or None, name)
        given = function.get("input" if custom else "arguments") or ""
        text = given if isinstance(given, str) else dump(given)
        if call.name is None:
            call.waiting += text
            if not name:
                return
            call.name, text = name, call.waiting
            if name != self._answer_tool:
                yield from self._end_what_is_whole()
                call.native = bool(custom)
                yield self._reader.start(call.key, name, call.id, native=call.native)
        if text and call.ended:
            if text.strip():
                yield unreadable("more arguments of a call that was whole")
        elif text:
            call.pieces.append(text)
            yield from self._arguments(call, text)

    def _end_what_is_whole(self) -> Iterator[Delta]:
        """Before a new call: some clients know one call at a time, so only calls that are interleaved overlap."""
        for call in self._all:
            if call.name != self._answer_tool and not call.ended and call.is_whole:
                call.ended = True
                yield from self._reader.end(call.key)

    def _arguments(self, call: _Call, text: str) -> Iterator[Delta]:
        if call.name == self._answer_tool:
            yield TextDelta(text)
        else:
            yield from self._reader.arguments(call.key, text)

    def _find(self, index: int | None, call_id: str | None, name: str | None) -> _Call:
        if index is not None:
            call = self._by_index.get(index)
        elif call_id:
            call = next((call for call in self._all if call.id == call_id), None)
        else:
            call = self._all[-1] if self._all else None
            if call and name and call.pieces:
                call = None
        # One index for all calls is told by another id with a name.
        if call is None or (name and call_id and call.id and call_id != call.id):
            call = _Call(len(self._all), call_id)
            self._all.append(call)
            if index is not None:
                self._by_index[index] = call
        return call

    def end(self) -> Iterator[Delta]:
        for call in self._all:
            if call.name is None:
                if call.waiting:
                    yield unreadable("a call of a tool without a name")
            elif call.name == self._answer_tool:
                yield ItemEnd()
            elif not call.ended:
                yield from self._reader.end(call.key)
