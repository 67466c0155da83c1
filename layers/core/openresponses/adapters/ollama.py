"""Ollama's own API, `/api/chat`: newline-delimited JSON, both ways.

Model options read here (`[[model]]` rows):

    think        "levels": takes a level of effort; "switch": thinks or not; absent: cannot think
    num_ctx      context length to load the model with, in tokens; Ollama's own default is small
    keep_alive   how long the model stays loaded, as "5m" or seconds
    think_tags   true: it leaves its reasoning in the text, as <think>…</think>
    options      further runtime options, as Ollama names them

It has no tool_choice: a forced tool is refused, "none" leaves the tools out, the engine enforces the rest.
Source: Ollama's docs/api.md and api/types.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ..protocol.errors import ApiError
from ..protocol.state import Shape
from .base import (
    Delta,
    Failed,
    Finished,
    Json,
    ProviderState,
    ReasoningDelta,
    Started,
    TextDelta,
    Turn,
    UpstreamRequest,
    Usage,
)
from .failures import failure, read_failure
from .messages import (
    Message,
    Part,
    arguments_of,
    chat_messages,
    check_hosted,
    described_schema,
    details_of,
    dump,
    given_knobs,
    image_url,
    inline_text,
    logprobs_of,
    read_data_url,
    read_file,
    schema_format,
    text_of,
    unsupported,
    wants_logprobs,
)
from .think_tags import ThinkTags
from .tools import CallReader, ToolTable

RUNTIME_OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "max_output_tokens": "num_predict",
}
LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
ROLES = {"developer": "system"}
# `done_reason`s that are not an end by the model's own will; the others are.
REASONS = {"length": "max_output_tokens"}


class OllamaAdapter:
    state_shape: ClassVar[Shape] = {"thinking?": str}

    def build(self, turn: Turn) -> UpstreamRequest:
        ignored: list[str] = []
        quirks = turn.profile.options
        messages = chat_messages(turn)
        ignored += details_of(messages)
        body: Json = {"model": turn.model, "messages": [_message(message) for message in messages]}
        if tools := _tools(turn, ignored):
            body["tools"] = tools
        if form := schema_format(turn.request):
            body["format"] = described_schema(form) if form["type"] == "json_schema" else "json"
        options: Json = {**quirks.get("options", {})}
        if "num_ctx" in quirks:
            options["num_ctx"] = quirks["num_ctx"]
        for path, value in given_knobs(turn.request):
            if name := RUNTIME_OPTIONS.get(path):
                options[name] = value
            elif (
                path == "reasoning.effort" and (think := _think(str(value), quirks.get("think"))) is not None
            ):
                body["think"] = think
            elif path != "top_logprobs":
                ignored.append(path)
        if wants_logprobs(turn.request):
            body["logprobs"] = True
            body["top_logprobs"] = turn.request.get("top_logprobs", 0)
        if options:
            body["options"] = options
        if "keep_alive" in quirks:
            body["keep_alive"] = quirks["keep_alive"]
        body["truncate"] = (
            False  # an error instead of a conversation without its beginning: the engine shortens it
        )
        body["stream"] = True
        return UpstreamRequest("/chat", body, framing="ndjson", ignored=ignored)

    def reader(self, turn: Turn) -> OllamaReader:
        return OllamaReader(ToolTable(turn.tools), bool(turn.profile.options.get("think_tags")))

    def explain(self, status: int, body: bytes) -> ApiError:
        return read_failure(status, body)


# --------------------------------------------------------------------------- the request


def _think(effort: str, ability: str | None) -> bool | str | None:
    """The value of `think`; None where the model is not known to think, for then Ollama would refuse the request."""
    if effort == "none":
        return False
    if ability == "levels":
        return LEVELS.get(effort)
    return True if ability == "switch" else None


def _message(message: Message) -> Json:
    texts: list[str] = []
    images: list[str] = []
    for part in message.parts:
        if part.part["type"] == "input_image":
            images.append(_image(part))
        else:
            texts.append(_text(part))
    separator = "" if message.role == "assistant" else "\n\n"
    written: Json = {"role": ROLES.get(message.role, message.role), "content": separator.join(texts)}
    if images:
        written["images"] = images
    for state in message.state:
        if thinking := state.get("thinking"):
            written["thinking"] = written.get("thinking", "") + thinking
    if message.calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.name, "arguments": arguments_of(call)},
            }
            for call in message.calls
        ]
    if message.role == "tool":
        written["tool_name"] = message.name
        written["tool_call_id"] = message.call_id
    return written


def _text(part: Part) -> str:
    text = text_of(part.part)
    if text is not None:
        return text
    if part.part["type"] != "input_file":
        raise unsupported(part.path, f"an {part.part['type']!r} part")
    file = read_file(part)
    if file is None:
        raise unsupported(f"{part.path}.file_url", "a file by URL; send it as 'file_data'")
    if not file.is_text:
        raise unsupported(part.path, f"a file of type {file.mime!r}, only text")
    return inline_text(file, part.path)


def _image(part: Part) -> str:
    """Raw base64: Ollama fetches nothing."""
    path = f"{part.path}.image_url"
    found = read_data_url(image_url(part), path)
    if found is None:
        raise unsupported(path, "an image by URL; send it as a data URL")
    return found.data


def _tools(turn: Turn, ignored: list[str]) -> list[Json]:
    table = ToolTable(turn.tools)
    for path, tool in table.hosted:
        check_hosted(path, tool, turn, ignored)
    if turn.tool_choice == "none":
        return []
    if turn.tool_choice != "auto":
        raise ApiError("unsupported_value", "Ollama cannot be made to call a tool.", param="tool_choice")
    written = []
    for offered in table.functions.values():
        function: Json = {"name": offered.name}
        if offered.description:
            function["description"] = offered.description
        function["parameters"] = offered.parameters
        written.append({"type": "function", "function": function})
        if offered.tool.get("strict"):
            ignored.append(f"{offered.path}.strict")
    return written


# --------------------------------------------------------------------------- the answer


class OllamaReader:
    """Every line holds a piece of the message; the last one has `done`. Tool calls come whole."""

    def __init__(self, table: ToolTable, think_tags: bool = False) -> None:
        self._tags = ThinkTags() if think_tags else None
        self._calls = CallReader(table)
        self._call_count = 0
        self._started = False
        self._thinking: list[str] = []
        self._done = False

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        # Nearly all lines are a piece of text and nothing else.
        message = data.get("message")
        if (
            self._started
            and message
            and not data.get("done")
            and not data.get("error")
            and not self._thinking
            and "logprobs" not in data
            and (self._tags is None or self._tags.done)
        ):
            content = message.get("content")
            if content and len(message) == 2 and "role" in message:
                return (TextDelta(content),)
        return self._read(data)

    def _read(self, data: Json) -> Iterator[Delta]:
        if error := data.get("error"):
            yield Failed(failure(200, error))
            return
        if not self._started:
            self._started = True
            yield Started(data.get("model"))
        message = data.get("message") or {}
        if thinking := message.get("thinking"):
            self._thinking.append(thinking)
            yield ReasoningDelta(thinking, raw=True)
        if content := message.get("content"):
            yield from self._thought()
            if self._tags and not self._tags.done:
                yield from self._tags.feed(content)
            else:
                yield TextDelta(content, logprobs_of(data.get("logprobs")))
        for call in message.get("tool_calls") or ():
            yield from self._thought()
            yield from self._call(call)
        if data.get("done"):
            yield from self._thought()
            yield from self._end(data)

    def whole(self, data: Any) -> Iterator[Delta]:
        if not isinstance(data, dict) or not (data.get("done") or data.get("error")):
            yield Failed(ApiError("provider_invalid_response", "Ollama's answer is not a chat response."))
            return
        yield from self.frame("", data)

    def end(self) -> Iterator[Delta]:
        yield from ()

    def _thought(self) -> Iterator[Delta]:
        """The thoughts are complete: kept as they were, for Ollama wants them back with the calls they led to."""
        if self._thinking:
            yield ProviderState({"thinking": "".join(self._thinking)})
            self._thinking.clear()

    def _call(self, call: Json) -> Iterator[Delta]:
        function = call.get("function") or {}
        key, self._call_count = self._call_count, self._call_count + 1
        yield self._calls.start(key, function.get("name") or "", call.get("id"))
        arguments = function.get("arguments") or {}
        yield from self._calls.arguments(key, arguments if isinstance(arguments, str) else dump(arguments))
        yield from self._calls.end(key)

    def _end(self, data: Json) -> Iterator[Delta]:
        if self._tags:
            yield from self._tags.end()
        # Absent where the prompt was cached whole, or nothing was said.
        yield Usage(data.get("prompt_eval_count") or 0, data.get("eval_count") or 0)
        yield Finished(REASONS.get(data.get("done_reason") or ""))
