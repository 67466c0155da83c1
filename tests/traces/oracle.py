"""What a provider said, read from its bytes alone: the measure of the gateway's answer.

One reader a wire format, written from the providers' own documentation, not from the gateway's adapters. `heard`
takes a whole or a truncated body and says what a client must have been told of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

COMPLETED, INCOMPLETE, FAILED = "completed", "incomplete", "failed"


@dataclass
class Said:
    """The content of one answer in the gateway's terms.

    status   None until the provider's own terminal marker: such an answer was cut, and is to fail
    usage    (input, output, cached, reasoning) tokens; None if the provider said nothing of it
    citations  (url, the text that it supports)
    hosted   the items that must stand for what the provider ran itself, by their types in OpenAI's names
    """

    status: str | None = None
    reason: str | None = None
    model: str | None = None
    text: str = ""
    refused: bool = False
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    custom_calls: list[tuple[str, str]] = field(default_factory=list)
    usage: tuple[int, int, int, int] | None = None
    state: bool = False
    citations: set[tuple[str, str]] = field(default_factory=set)
    hosted: list[str] = field(default_factory=list)
    paused: bool = False
    malformed: bool = False

    def end(self, status: str, reason: str | None = None) -> None:
        self.status, self.reason = status, reason


# --------------------------------------------------------------------------- framing


def sse(body: bytes, *, ragged: bool) -> Iterator[Any]:
    """JSON of each record's data; `ragged` also takes a last record that lacks its empty line."""
    text = body.decode("utf-8", "replace").replace("\r\n", "\n")
    records = text.split("\n\n")
    for n, record in enumerate(records):
        if n == len(records) - 1 and not ragged:
            return
        if record.lstrip().startswith("{"):  # Gemini's way to fail in mid-stream: bare JSON
            yield from _json(record)
            continue
        lines = [line[5:].removeprefix(" ") for line in record.split("\n") if line.startswith("data:")]
        yield from _json("\n".join(lines))


def ndjson(body: bytes, *, ragged: bool) -> Iterator[Any]:
    lines = body.decode("utf-8", "replace").split("\n")
    for line in lines if ragged else lines[:-1]:
        yield from _json(line)


def _json(text: str) -> Iterator[Any]:
    if text.strip() and text.strip() != "[DONE]":
        try:
            yield json.loads(text)
        except ValueError:
            return


# --------------------------------------------------------------------------- Anthropic Messages

ANTHROPIC_STOPS = {
    "max_tokens": (INCOMPLETE, "max_output_tokens"),
    "model_context_window_exceeded": (INCOMPLETE, "max_output_tokens"),
}


def anthropic_usage(said: Said, usage: Json, seen: Json) -> None:
    seen.update({key: value for key, value in usage.items() if value is not None})
    cached = seen.get("cache_read_input_tokens", 0)
    total = seen.get("input_tokens", 0) + cached + seen.get("cache_creation_input_tokens", 0)
    thinking = (seen.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    said.usage = (total, seen.get("output_tokens", 0), cached, thinking)


def anthropic_stop(said: Said, reason: str) -> None:
    said.refused = reason == "refusal"
    said.paused = reason == "pause_turn"
    said.end(*ANTHROPIC_STOPS.get(reason, (COMPLETED, None)))


ANTHROPIC_HOSTED = {
    "web_search_tool_result": "web_search_call",
    "code_execution_tool_result": "code_interpreter_call",
    "bash_code_execution_tool_result": "code_interpreter_call",
    "mcp_tool_use": "mcp_call",
}


def anthropic_block(said: Said, block: Json) -> None:
    kind = block["type"]
    if kind == "text":
        said.text += block["text"]
        sources = [cited.get("url") or cited.get("source") or "" for cited in block.get("citations") or ()]
        said.citations |= {(source, block["text"]) for source in sources if source.startswith("http")}
    elif kind == "thinking":
        said.reasoning += block["thinking"]
        said.state = said.state or bool(block.get("signature"))
    elif kind == "redacted_thinking":
        said.state = True
    elif kind == "tool_use":
        said.calls.append((block["name"], block["input"]))
    elif kind in ANTHROPIC_HOSTED:
        said.hosted.append(ANTHROPIC_HOSTED[kind])


def anthropic_whole(body: Json) -> Said:
    said = Said(model=body["model"])
    for block in body["content"]:
        anthropic_block(said, block)
    anthropic_usage(said, body["usage"], {})
    anthropic_stop(said, body["stop_reason"])
    return said


def anthropic_stream(events: Iterator[Json], said: Said) -> None:
    blocks: dict[int, Json] = {}
    usage: Json = {}
    stop: str | None = None
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            said.model, stop = event["message"]["model"], event["message"].get("stop_reason")
            for block in event["message"]["content"]:  # an answer that comes whole in its first event
                anthropic_block(said, block)
            anthropic_usage(said, event["message"]["usage"], usage)
        elif kind == "content_block_start":
            blocks[event["index"]] = {"json": "", **event["content_block"]}
            if event["content_block"]["type"] == "fallback":
                said.model = None
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            for name, into in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                if name in delta:
                    block[into] += delta[name]
            block.update({"signature": delta["signature"]} if "signature" in delta else {})
            if "citation" in delta:
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind == "message_delta":
            stop = event["delta"].get("stop_reason") or stop
            anthropic_usage(said, event["usage"], usage)
        elif kind == "message_stop" and stop:
            anthropic_stop(said, stop)
        elif kind == "error":
            said.end(FAILED, anthropic_error(event["error"]["type"]))
            break
    for _, block in sorted(blocks.items()):
        if block["type"] == "tool_use":
            block["input"] = partial_json(block["json"]) if block["json"] else block["input"]
        anthropic_block(said, block)


def anthropic_error(kind: str) -> str:
    return {"overloaded_error": "server_is_overloaded", "rate_limit_error": "rate_limit_exceeded"}.get(
        kind, "provider_error"
    )


def partial_json(text: str) -> Any:
    """The arguments of a call; of a call that was cut, nothing is expected."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return None


# --------------------------------------------------------------------------- Gemini generateContent

GEMINI_FILTERS = {
    "SAFETY",
    "PROHIBITED_CONTENT",
    "RECITATION",
    "BLOCKLIST",
    "SPII",
    "IMAGE_SAFETY",
    "MODEL_ARMOR",
}
GEMINI_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


def gemini(chunks: Iterator[Json], said: Said) -> None:
    streamed: Json | None = None  # the arguments of a call that comes in pieces
    cited: list[Json] = []
    for chunk in chunks:
        if "error" in chunk:
            said.end(FAILED)
            return
        said.model = chunk.get("modelVersion", said.model)
        if usage := chunk.get("usageMetadata"):
            gemini_usage(said, usage)
        if (chunk.get("promptFeedback") or {}).get("blockReason"):
            said.end(INCOMPLETE, "content_filter")
        for candidate in chunk.get("candidates", [])[:1]:
            for part in (candidate.get("content") or {}).get("parts", []):
                streamed = gemini_part(said, part, streamed)
            gemini_grounding(said, candidate.get("groundingMetadata") or {})
            cited += (candidate.get("citationMetadata") or {}).get("citations") or ()
            if reason := candidate.get("finishReason"):
                gemini_finish(said, reason)
    for source in cited:  # by bytes of the whole text
        if "uri" in source:
            place = slice(source.get("startIndex", 0), source.get("endIndex", 0))
            said.citations.add((source["uri"], said.text.encode()[place].decode("utf-8", "ignore")))


def gemini_usage(said: Said, usage: Json) -> None:
    if "promptTokenCount" not in usage and "candidatesTokenCount" not in usage:
        return

    def count(name: str) -> int:
        return usage.get(name) or 0

    thoughts = count("thoughtsTokenCount")
    said.usage = (
        count("promptTokenCount") + count("toolUsePromptTokenCount"),
        count("candidatesTokenCount") + thoughts,
        count("cachedContentTokenCount"),
        thoughts,
    )


def gemini_part(said: Said, part: Json, streamed: Json | None) -> Json | None:
    said.state = said.state or bool(part.get("thoughtSignature"))
    if "functionCall" in part:
        call = part["functionCall"]
        if "name" in call:
            streamed = call.get("args") or {}
            said.calls.append((call["name"], streamed))
        for piece in call.get("partialArgs", []):
            assert streamed is not None
            place(streamed, piece)
        return streamed
    if part.get("thought"):
        said.reasoning += part.get("text", "")
    elif "text" in part:
        said.text += part["text"]
    elif "executableCode" in part:
        said.hosted.append("code_interpreter_call")
    elif "inlineData" in part:
        said.hosted.append("image_generation_call")
    return streamed


def gemini_grounding(said: Said, grounding: Json) -> None:
    chunks = grounding.get("groundingChunks", [])
    for support in grounding.get("groundingSupports", []):
        for index in support.get("groundingChunkIndices", []):
            if index < len(chunks) and "web" in chunks[index]:
                said.citations.add((chunks[index]["web"]["uri"], support["segment"].get("text", "")))


def place(target: Any, piece: Json) -> None:
    """Puts one partial argument at its JSON path; pieces of a string are joined."""
    steps: list[Any] = [int(index) if index else name
                        for name, index in re.findall(r"\.?([^.\[\]$]+)|\[(\d+)\]", piece["jsonPath"])]  # fmt: skip
    for step, following in pairwise(steps):
        target = child(target, step, [] if isinstance(following, int) else {})
    value = next((piece[name] for name in GEMINI_VALUES if name in piece and name != "nullValue"), None)
    last = steps[-1]
    if isinstance(value, str) and isinstance(before := child(target, last, ""), str):
        value = before + value
    target[last] = value


def child(target: Any, step: Any, empty: Any) -> Any:
    if isinstance(step, int):
        while len(target) <= step:
            target.append(empty)
    elif step not in target:
        target[step] = empty
    return target[step]


def gemini_finish(said: Said, reason: str) -> None:
    if reason == "STOP":
        if said.status is None:
            said.end(COMPLETED)
    elif reason == "MAX_TOKENS":
        said.end(INCOMPLETE, "max_output_tokens")
    elif reason in GEMINI_FILTERS:
        said.end(INCOMPLETE, "content_filter")
    else:
        said.end(FAILED, "model_error")


def gemini_whole(body: Json) -> Said:
    said = Said()
    gemini(iter([body]), said)
    return said


# --------------------------------------------------------------------------- OpenAI Responses


def openai_item(said: Said, item: Json) -> None:
    kind = item["type"]
    if kind == "message":
        for part in item["content"]:
            said.text += part.get("text", "")
            said.citations |= {
                (note["url"], part["text"][note.get("start_index", 0) : note.get("end_index")])
                for note in part.get("annotations") or () if note["type"] == "url_citation"
            }  # fmt: skip
            said.refused = said.refused or bool(part.get("refusal"))
    elif kind == "reasoning":
        parts = [*(item.get("summary") or []), *(item.get("content") or [])]
        said.reasoning += "".join(part["text"] for part in parts)
        said.state = said.state or bool(item.get("encrypted_content"))
    elif kind == "function_call":
        said.calls.append((item["name"], partial_json(item["arguments"])))
    elif kind == "custom_tool_call":
        said.custom_calls.append((item["name"], item["input"]))
    else:
        said.hosted.append(kind)


def openai_end(said: Said, response: Json) -> None:
    said.model = response["model"]
    if usage := response.get("usage"):
        said.usage = (
            usage["input_tokens"],
            usage["output_tokens"],
            (usage.get("input_tokens_details") or {}).get("cached_tokens", 0),
            (usage.get("output_tokens_details") or {}).get("reasoning_tokens", 0),
        )
    details = response.get("error") or response.get("incomplete_details") or {}
    status = response["status"] if response["status"] in (INCOMPLETE, FAILED) else COMPLETED
    said.end(status, details.get("code") or details.get("reason"))


def openai_whole(body: Json) -> Said:
    said = Said()
    for item in body["output"]:
        openai_item(said, item)
    openai_end(said, body)
    return said


def openai_stream(events: Iterator[Json], said: Said) -> None:
    items: dict[int, Json] = {}
    for event in events:
        kind = event["type"]
        if kind in ("response.output_item.added", "response.output_item.done"):
            items[event["output_index"]] = event["item"]
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            name = "text" if kind == "response.output_text.delta" else "refusal"
            parts = items[event["output_index"]].setdefault("content", [])
            while len(parts) <= event["content_index"]:
                parts.append({name: ""})
            parts[event["content_index"]][name] += event["delta"]
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            array, index = ("summary", "summary_index") if "summary" in kind else ("content", "content_index")
            parts = items[event["output_index"]].setdefault(array, [])
            while len(parts) <= event[index]:
                parts.append({"text": ""})
            parts[event[index]]["text"] += event["delta"]
        elif kind == "response.function_call_arguments.delta":
            items[event["output_index"]]["arguments"] += event["delta"]
        elif kind == "response.custom_tool_call_input.delta":
            items[event["output_index"]]["input"] += event["delta"]
        elif kind in ("response.created", "response.in_progress"):
            said.model = event["response"]["model"]
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            openai_end(said, event["response"])
            break
        elif kind == "error":
            said.end(FAILED, (event.get("error") or event).get("code"))
    for _, item in sorted(items.items()):
        openai_item(said, item)


# --------------------------------------------------------------------------- Chat Completions

CHAT_STOPS = {"length": (INCOMPLETE, "max_output_tokens"), "content_filter": (INCOMPLETE, "content_filter")}


def chat_message(said: Said, message: Json, calls: list[Json]) -> None:
    said.text += message.get("content") or ""
    said.reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
    for call in message.get("tool_calls") or []:
        function = call["function"]
        if function.get("name"):
            calls.append({"name": function["name"], "json": ""})
        calls[-1]["json"] += function.get("arguments") or ""


def chat(chunks: Iterator[Json], said: Said) -> None:
    calls: list[Json] = []
    for chunk in chunks:
        if "error" in chunk:
            said.end(FAILED)
            break
        said.model = chunk.get("model") or said.model
        if usage := chunk.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
            said.usage = (usage["prompt_tokens"], usage["completion_tokens"], cached, reasoning)
        for choice in chunk["choices"][:1]:
            chat_message(said, choice.get("delta") or choice.get("message") or {}, calls)
            if reason := choice.get("finish_reason"):
                said.end(*CHAT_STOPS.get(reason, (COMPLETED, None)))
    said.calls = [(call["name"], partial_json(call["json"])) for call in calls]


def chat_whole(body: Json) -> Said:
    said = Said()
    chat(iter([body]), said)
    return said


# --------------------------------------------------------------------------- Ollama /api/chat


def ollama(lines: Iterator[Json], said: Said) -> None:
    for line in lines:
        if "error" in line:
            said.end(FAILED)
            return
        said.model = line["model"]
        message = line.get("message") or {}
        said.text += message.get("content") or ""
        said.reasoning += message.get("thinking") or ""
        for call in message.get("tool_calls") or []:
            said.calls.append((call["function"]["name"], call["function"].get("arguments") or {}))
        if line.get("done"):
            said.usage = (line.get("prompt_eval_count", 0), line.get("eval_count", 0), 0, 0)
            length = line.get("done_reason") == "length"
            said.end(INCOMPLETE, "max_output_tokens") if length else said.end(COMPLETED)


def ollama_whole(body: Json) -> Said:
    said = Said()
    ollama(iter([body]), said)
    return said


# --------------------------------------------------------------------------- all of them

Whole = Callable[[Json], Said]
Stream = Callable[[Iterator[Json], Said], None]

FORMATS: dict[str, tuple[Whole, Stream]] = {
    "anthropic": (anthropic_whole, anthropic_stream),
    "gemini": (gemini_whole, gemini),
    "openai": (openai_whole, openai_stream),
    "chat": (chat_whole, chat),
    "ollama": (ollama_whole, ollama),
}


def heard(dialect: str, framing: str, body: bytes, *, ragged: bool = True) -> Said:
    """What was said in `body`, a provider's answer under HTTP 200; `framing` is "json", "sse" or "ndjson"."""
    whole, stream = FORMATS[dialect]
    if framing == "json":
        return whole(json.loads(body))
    said = Said()
    stream((ndjson if framing == "ndjson" else sse)(body, ragged=ragged), said)
    return said
