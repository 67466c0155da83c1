"""Amazon Bedrock's Converse API, `/model/{id}/converse-stream`: one form for every model that Bedrock serves.

Requests are signed by IAM (`upstream/sigv4.py`), the answer is an AWS event stream. Model options read here:

    thinking   "budget": takes Claude's extended thinking by token budget; absent: `reasoning` has no place

JSON output is a tool that the model must call, `final_answer`, whose arguments become the text.
Source: Amazon Bedrock API reference, ConverseStream; user guide, "Carry out a conversation with the Converse API".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import orjson

from ..protocol.errors import ApiError
from .base import (
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
    UpstreamRequest,
    Usage,
    provider_error,
    usage_of,
)
from .messages import (
    Message,
    Part,
    arguments_of,
    chat_messages,
    check_hosted,
    details_of,
    given_knobs,
    image_url,
    inline_text,
    read_data_url,
    read_file,
    schema_format,
    text_of,
    unsupported,
)
from .tools import CallReader, ToolTable

INFERENCE = {"temperature": "temperature", "top_p": "topP", "max_output_tokens": "maxTokens"}
SERVICE_TIERS = frozenset({"default", "flex", "priority", "reserved"})
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 49152}
IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
VIDEOS = {"mp4", "mov", "mkv", "webm", "flv", "mpeg", "mpg", "wmv", "3gp"}
NOT_IN_DOCUMENT_NAMES = re.compile(r"[^A-Za-z0-9 \-()\[\]]+")
SYSTEM = ("system", "developer")

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


class BedrockAdapter:
    def build(self, turn: Turn) -> UpstreamRequest:
        ignored: list[str] = []
        messages = chat_messages(turn)
        body: Json = {"messages": _alternating(messages)}
        if system := [{"text": _text(part)} for message in _leading(messages) for part in message.parts]:
            body["system"] = system
        if config := _tool_config(turn, messages, ignored):
            body["toolConfig"] = config
        inference: Json = {}
        for path, value in given_knobs(turn.request):
            if name := INFERENCE.get(path):
                inference[name] = value
            elif path == "service_tier" and value in SERVICE_TIERS:
                body["serviceTier"] = {"type": value}
            elif path != "reasoning.effort":
                ignored.append(path)
        _think(turn, messages, body, inference, ignored)
        ignored += details_of(messages)
        if inference:
            body["inferenceConfig"] = inference
        path = f"/model/{quote(turn.model, safe=':')}/converse-stream"
        return UpstreamRequest(path, body, framing="aws-eventstream", ignored=ignored)

    def reader(self, turn: Turn) -> BedrockReader:
        return BedrockReader(turn)

    def explain(self, status: int, body: bytes) -> ApiError:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = {}
        message = data.get("message") or data.get("Message") or "" if isinstance(data, dict) else ""
        return _error(status, str(message)[:2000])


def _error(status: int, message: str, code: str | None = None) -> ApiError:
    if code in (None, "invalid_value") and status == 400:
        code = "context_length_exceeded" if TOO_LONG.search(message) else code
        code = "model_not_found" if NO_MODEL.search(message) else code
    return provider_error(status, message, code=code)


# --------------------------------------------------------------------------- the request: messages


def _leading(messages: list[Message]) -> list[Message]:
    """The system and developer messages at the head; later ones stay in order, marked."""
    count = next((n for n, message in enumerate(messages) if message.role not in SYSTEM), len(messages))
    return messages[:count]


def _alternating(messages: list[Message]) -> list[Json]:
    """User and assistant in turns, the user first: neighbours of the same role are one message."""
    written: list[Json] = []
    for message in messages[len(_leading(messages)) :]:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if written and written[-1]["role"] == role:
            written[-1]["content"] += blocks
        elif blocks:
            written.append({"role": role, "content": blocks})
    if written and written[0]["role"] == "assistant":
        written.insert(0, {"role": "user", "content": [{"text": "(The conversation begins.)"}]})
    return written


def _blocks(message: Message) -> list[Json]:
    if message.role == "tool":
        content = [_block(part) for part in message.parts]
        return [{"toolResult": {"toolUseId": message.call_id, "content": content or [{"text": ""}]}}]
    blocks = [{"reasoningContent": block} for state in message.state for block in state["blocks"]]
    if message.role in SYSTEM:
        return [{"text": f"<{message.role}>\n{_text(part)}\n</{message.role}>"} for part in message.parts]
    blocks += [_block(part) for part in message.parts if text_of(part.part) != ""]
    for call in message.calls:
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments_of(call)}})
    return blocks


def _block(part: Part) -> Json:
    kind = part.part["type"]
    if text_of(part.part) is not None:
        return {"text": _text(part)}
    if kind == "input_image":
        return _image(part)
    if kind == "input_file":
        return _file(part)
    if kind == "input_video":
        return _video(part)
    raise unsupported(part.path, f"an {kind!r} part")


def _text(part: Part) -> str:
    text = text_of(part.part)
    if text is None:
        raise unsupported(part.path, f"an {part.part['type']!r} part here")
    return text


def _image(part: Part) -> Json:
    path, url = f"{part.path}.image_url", image_url(part)
    if url.startswith("s3://"):
        suffix = url.rpartition(".")[2].lower()
        form = IMAGES.get(f"image/{suffix}")
        if form is None:
            raise unsupported(path, "an image in S3 whose name does not end in its format")
        return {"image": {"format": form, "source": {"s3Location": {"uri": url}}}}
    found = read_data_url(url, path)
    if found is None:
        raise unsupported(path, "an image by URL; send it as a data URL")
    if found.mime not in IMAGES:
        raise unsupported(path, f"an image of type {found.mime!r}")
    return {"image": {"format": IMAGES[found.mime], "source": {"bytes": found.data}}}


def _file(part: Part) -> Json:
    file = read_file(part)
    if file is None:
        raise unsupported(f"{part.path}.file_url", "a file by URL; send it as 'file_data'")
    if file.mime in DOCUMENTS:
        name = NOT_IN_DOCUMENT_NAMES.sub(" ", file.name.rpartition(".")[0] or file.name).strip() or "document"
        return {
            "document": {"format": DOCUMENTS[file.mime], "name": name[:200], "source": {"bytes": file.data}}
        }
    if file.is_text:
        return {"text": inline_text(file, part.path)}
    raise unsupported(part.path, f"a file of type {file.mime!r}")


def _video(part: Part) -> Json:
    path, url = f"{part.path}.video_url", part.part["video_url"]
    if url.startswith("s3://") and (suffix := url.rpartition(".")[2].lower()) in VIDEOS:
        return {"video": {"format": suffix, "source": {"s3Location": {"uri": url}}}}
    found = read_data_url(url, path)
    if found is None or (form := found.mime.removeprefix("video/")) not in VIDEOS:
        raise unsupported(path, "this video; send a data URL or an s3:// URL that ends in its format")
    return {"video": {"format": form, "source": {"bytes": found.data}}}


# --------------------------------------------------------------------------- the request: tools and thinking


def _tool_config(turn: Turn, messages: list[Message], ignored: list[str]) -> Json:
    table = ToolTable(turn.tools)
    for path, tool in table.hosted:
        check_hosted(path, tool, turn, ignored)
    called = any(message.calls or message.role == "tool" for message in messages)
    form = schema_format(turn.request)
    offered = turn.tool_choice != "none" or called  # a history with calls needs their tools
    tools = [
        _tool_spec(found.name, found.description, found.parameters)
        for found in table.functions.values()
        if offered
    ]
    ignored += [
        f"{found.path}.strict" for found in table.functions.values() if offered and found.tool.get("strict")
    ]
    if form:
        schema = form.get("schema") or {"type": "object"}
        tools.append(
            _tool_spec(FINAL_ANSWER, "Gives the final answer. Call it once no other tool is needed.", schema)
        )
    if called and not tools:
        tools.append(_tool_spec("none", "Not available any more.", {"type": "object", "properties": {}}))
    if not tools:
        return {}
    return {"tools": tools, **_tool_choice(turn, table, form)}


def _tool_spec(name: str, description: str | None, schema: Json) -> Json:
    spec: Json = {"name": name}
    if description:
        spec["description"] = description
    return {"toolSpec": {**spec, "inputSchema": {"json": schema}}}


def _tool_choice(turn: Turn, table: ToolTable, form: Json | None) -> Json:
    choice = turn.tool_choice
    if isinstance(choice, dict):
        return {"toolChoice": {"tool": {"name": table.named(choice["name"])}}}
    if form:
        alone = choice == "none" or not table.functions
        return {"toolChoice": {"tool": {"name": FINAL_ANSWER}} if alone else {"any": {}}}
    return {"toolChoice": {"any": {}}} if choice == "required" else {}


def _think(turn: Turn, messages: list[Message], body: Json, inference: Json, ignored: list[str]) -> None:
    """Claude's extended thinking, where the model has it; forced tools and a lost thought exclude it."""
    effort = (turn.request.get("reasoning") or {}).get("effort")
    if effort in (None, "none"):
        return
    forced = "toolChoice" in body.get("toolConfig", {})
    lost = any(message.calls and not message.state for message in messages)
    if turn.profile.options.get("thinking") != "budget" or forced or lost:
        ignored.append("reasoning.effort")
        return
    limit = inference.setdefault("maxTokens", turn.profile.max_output_tokens or 2 * BUDGETS[effort])
    if limit <= 1024:
        ignored.append("reasoning.effort")
        return
    budget = min(BUDGETS[effort], max(1024, limit * 3 // 4))
    body["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": budget}}
    ignored += [
        path
        for path, name in INFERENCE.items()
        if name != "maxTokens" and inference.pop(name, None) is not None
    ]


# --------------------------------------------------------------------------- the answer


class BedrockReader:
    """Reads one stream; blocks are named by their index."""

    def __init__(self, turn: Turn) -> None:
        self._model = turn.model
        self._calls = CallReader(ToolTable(turn.tools))
        self._open: set[int] = set()  # blocks that are tool calls
        self._answers: set[int] = set()  # calls of final_answer: their arguments are the text
        self._thoughts: dict[int, Json] = {}

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        if event.endswith("Exception"):
            message = str(data.get("message", ""))
            status = 400 if event == "validationException" else 500
            return [Failed(_error(status, message, EXCEPTIONS.get(event, "provider_error")))]
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
        else:
            yield from self._on_delta({**place, "delta": block})
        yield from self._on_block_stop(place)

    def _on_start(self, _: Json) -> Iterator[Delta]:
        yield Started(self._model)

    def _on_block_start(self, data: Json) -> Iterator[Delta]:
        index, start = data["contentBlockIndex"], data.get("start") or {}
        if (call := start.get("toolUse")) is None:
            if start:
                yield Failed(
                    ApiError(
                        "model_error", f"The model answered with {', '.join(start)}, which has no form here."
                    )
                )
            return
        if call["name"] == FINAL_ANSWER:
            self._answers.add(index)
            return
        self._open.add(index)
        yield self._calls.start(index, call["name"], call["toolUseId"])

    def _on_delta(self, data: Json) -> Iterator[Delta]:
        index, delta = data["contentBlockIndex"], data["delta"]
        if "text" in delta:
            yield TextDelta(delta["text"])
        elif "toolUse" in delta:
            text = delta["toolUse"].get("input", "")
            if index in self._answers:
                yield TextDelta(text)
            else:
                yield from self._calls.arguments(index, text)
        elif "reasoningContent" in delta:
            yield from self._thought(index, delta["reasoningContent"])
        elif "citation" not in delta:
            yield Failed(
                ApiError(
                    "model_error", f"The model answered with {', '.join(delta)}, which has no form here."
                )
            )

    def _thought(self, index: int, delta: Json) -> Iterator[Delta]:
        thought = self._thoughts.setdefault(index, {})
        for key in ("text", "signature", "redactedContent"):
            if key in delta:
                thought[key] = thought.get(key, "") + delta[key]
        if delta.get("text"):
            yield ReasoningDelta(delta["text"])

    def _on_block_stop(self, data: Json) -> Iterator[Delta]:
        index = data["contentBlockIndex"]
        if thought := self._thoughts.pop(index, None):
            redacted = thought.pop("redactedContent", None)
            block = {"redactedContent": redacted} if redacted else {"reasoningText": thought}
            yield ProviderState({"blocks": [block]})
            yield ItemEnd()
        elif index in self._open:
            self._open.discard(index)
            yield from self._calls.end(index)

    def _on_stop(self, data: Json) -> Iterator[Delta]:
        reason = data.get("stopReason")
        if reason in FINISHED:
            yield Finished(FINISHED[reason])
        else:
            yield Failed(ApiError("model_error", f"The model stopped: {reason!s:.100}."))

    def _on_metadata(self, data: Json) -> Iterator[Delta]:
        if used := data.get("usage"):
            yield usage_of(_usage, used)


def _usage(used: Json) -> Usage:
    cached, written = used.get("cacheReadInputTokens") or 0, used.get("cacheWriteInputTokens") or 0
    return Usage(used.get("inputTokens", 0) + cached + written, used.get("outputTokens", 0), cached)


HANDLERS = {
    "messageStart": BedrockReader._on_start,
    "contentBlockStart": BedrockReader._on_block_start,
    "contentBlockDelta": BedrockReader._on_delta,
    "contentBlockStop": BedrockReader._on_block_stop,
    "messageStop": BedrockReader._on_stop,
    "metadata": BedrockReader._on_metadata,
}
