"""What a model says, in each provider's wire format: text, reasoning and tool calls as a streamed answer.

Written by hand from the providers' documentation; small, but complete streams with usage and terminal marker.
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .provider import NDJSON, SSE, Answer

Json = dict[str, Any]
Call = tuple[str, Json | str]  # name, arguments; a text is what a custom tool is given

EVENT_STREAM = "application/vnd.amazon.eventstream"

# The gateway's model names that lead to each wire format; Bedrock, which is asked with a signature, is not among them:
# where a gateway has its settings (gateway.with_bedrock), WITH_BEDROCK is.
MODELS = {
    "openai": "openai/gpt-test",
    "anthropic": "anthropic/claude-test",
    "gemini": "gemini/gemini-test",
    "ollama": "ollama/llama-test",
    "chat": "vllm/test-model",
}
WITH_BEDROCK = {**MODELS, "bedrock": "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"}
USAGE = (11, 7)  # input and output tokens of every answer

CALL_IDS = ("call_a1", "call_b2", "call_c3", "call_d4")


def says(dialect: str, text: str = "", *, calls: Sequence[Call] = (), reasoning: str = "") -> Answer:
    """A streamed answer of the provider with this content. Tools of a namespace are named `namespace__name`, and custom
    tools are functions with one text, `input`, but at OpenAI, which has both."""
    made = [
        (name, {"input": given} if isinstance(given, str) and dialect != "openai" else given)
        for name, given in calls
    ]
    body = DIALECTS[dialect](text, made, reasoning)
    return Answer(body, content_type=CONTENT_TYPES.get(dialect, SSE))


def pieces(text: str) -> list[str]:
    """The text in pieces of some characters, as models stream it."""
    return [text[i : i + 5] for i in range(0, len(text), 5)]


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def data(*events: Any) -> bytes:
    return "".join(
        f"data: {event if isinstance(event, str) else dumps(event)}\n\n" for event in events
    ).encode()


def named(*events: Json) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {dumps(event)}\n\n" for event in events).encode()


# --------------------------------------------------------------------------- Anthropic


def anthropic(text: str, calls: list[Call], reasoning: str) -> bytes:
    blocks: list[tuple[Json, list[Json]]] = []
    if reasoning:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(reasoning)]
        signature = {"type": "signature_delta", "signature": "c2lnbmF0dXJl"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]))
    if text:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(text)]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for (name, arguments), call_id in zip(calls, CALL_IDS, strict=False):
        deltas = [
            {"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(dumps(arguments))]
        ]
        blocks.append(({"type": "tool_use", "id": f"toolu_{call_id}", "name": name, "input": {}}, deltas))
    usage = {"input_tokens": USAGE[0], "output_tokens": 1}
    message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    events: list[Json] = [{"type": "message_start", "message": message}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": USAGE[1]}})
    return named(*events, {"type": "message_stop"})


# --------------------------------------------------------------------------- Gemini


def gemini(text: str, calls: list[Call], reasoning: str) -> bytes:
    parts: list[Json] = [{"text": piece, "thought": True} for piece in pieces(reasoning)]
    parts += [{"text": piece} for piece in pieces(text)]
    made: list[Json] = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
    if reasoning and made:
        made[0]["thoughtSignature"] = "c2lnbmF0dXJl"
    parts += made
    usage = {"promptTokenCount": USAGE[0], "candidatesTokenCount": USAGE[1], "totalTokenCount": sum(USAGE)}
    chunks: list[Json] = [
        {"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}], "usageMetadata": usage,
         "modelVersion": "gemini-test"}
        for part in parts or [{"text": ""}]
    ]  # fmt: skip
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return data(*chunks).replace(b"\n\n", b"\r\n\r\n")


# --------------------------------------------------------------------------- Ollama


def ollama(text: str, calls: list[Call], reasoning: str) -> bytes:
    messages: list[Json] = [
        {"role": "assistant", "content": "", "thinking": piece} for piece in pieces(reasoning)
    ]
    messages += [{"role": "assistant", "content": piece} for piece in pieces(text)]
    functions = [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    if functions:
        messages.append({"role": "assistant", "content": "", "tool_calls": functions})
    lines: list[Json] = [
        {"model": "llama-test", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}
        for message in messages
    ]
    end = {"role": "assistant", "content": ""}
    lines.append({"model": "llama-test", "created_at": "2026-01-01T00:00:01Z", "message": end, "done": True,
                  "done_reason": "stop", "prompt_eval_count": USAGE[0], "eval_count": USAGE[1]})  # fmt: skip
    return "".join(dumps(line) + "\n" for line in lines).encode()


# --------------------------------------------------------------------------- Chat Completions


def chat(text: str, calls: list[Call], reasoning: str) -> bytes:
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in pieces(reasoning)]
    deltas += [{"content": piece} for piece in pieces(text)]
    for index, ((name, arguments), call_id) in enumerate(zip(calls, CALL_IDS, strict=False)):
        function = {"name": name, "arguments": ""}
        deltas.append(
            {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}
        )
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                   for piece in pieces(dumps(arguments))]  # fmt: skip
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test-model"}
    chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": sum(USAGE)}
    return data(*chunks, {**frame, "choices": [end]}, {**frame, "choices": [], "usage": usage}, "[DONE]")


# --------------------------------------------------------------------------- OpenAI


def openai(text: str, calls: list[Call], reasoning: str) -> bytes:
    response: Json = {"id": "resp_up", "object": "response", "created_at": 1, "status": "in_progress", "error": None,
                      "incomplete_details": None, "model": "gpt-test", "output": [], "usage": None, "tools": [],
                      "parallel_tool_calls": True, "tool_choice": "auto", "metadata": {}}  # fmt: skip
    output: list[Json] = []
    events: list[Json] = [
        {"type": f"response.{kind}", "response": response} for kind in ("created", "in_progress")
    ]
    if reasoning:
        events += openai_reasoning(len(output), reasoning, output)
    if text:
        events += openai_message(len(output), text, output)
    for (name, arguments), call_id in zip(calls, CALL_IDS, strict=False):
        events += openai_call(len(output), name, arguments, call_id, output)
    usage = {
        "input_tokens": USAGE[0],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": USAGE[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(USAGE),
    }
    done = {**response, "status": "completed", "output": output, "usage": usage}
    events.append({"type": "response.completed", "response": done})
    return named(*({**event, "sequence_number": number} for number, event in enumerate(events)))


def openai_item(index: int, begun: Json, inner: list[Json], done: Json, output: list[Json]) -> Iterator[Json]:
    output.append(done)
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for event in inner:
        yield {"item_id": begun["id"], "output_index": index, **event}
    yield {"type": "response.output_item.done", "output_index": index, "item": done}


def openai_reasoning(index: int, text: str, output: list[Json]) -> Iterator[Json]:
    item = {"id": f"rs_{index}", "type": "reasoning", "summary": [], "encrypted_content": "b3BhcXVl"}
    part = {"type": "summary_text", "text": text}
    name = "response.reasoning_summary"
    inner: list[Json] = [{"type": f"{name}_part.added", "part": {**part, "text": ""}}]
    inner += [{"type": f"{name}_text.delta", "delta": piece} for piece in pieces(text)]
    inner += [{"type": f"{name}_text.done", "text": text}, {"type": f"{name}_part.done", "part": part}]
    inner = [{"summary_index": 0, **event} for event in inner]
    return openai_item(index, item, inner, {**item, "summary": [part]}, output)


def openai_message(index: int, text: str, output: list[Json]) -> Iterator[Json]:
    item = {
        "id": f"msg_{index}",
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    inner: list[Json] = [{"type": "response.content_part.added", "part": {**part, "text": ""}}]
    inner += [
        {"type": "response.output_text.delta", "delta": piece, "logprobs": []} for piece in pieces(text)
    ]
    inner += [{"type": "response.output_text.done", "text": text, "logprobs": []}]
    inner += [{"type": "response.content_part.done", "part": part}]
    inner = [{"content_index": 0, **event} for event in inner]
    return openai_item(index, item, inner, {**item, "status": "completed", "content": [part]}, output)


def openai_call(index: int, name: str, given: Json | str, call_id: str, output: list[Json]) -> Iterator[Json]:
    kind, field, event = ("function_call", "arguments", "response.function_call_arguments")
    if isinstance(given, str):
        kind, field, event = ("custom_tool_call", "input", "response.custom_tool_call_input")
    namespace, _, own = name.rpartition("__")
    item = {"id": f"fc_{index}", "type": kind, "status": "in_progress", "name": own, "call_id": call_id, field: "",
            **({"namespace": namespace} if namespace else {})}  # fmt: skip
    told = given if isinstance(given, str) else dumps(given)
    inner: list[Json] = [{"type": f"{event}.delta", "delta": piece} for piece in pieces(told)]
    inner += [{"type": f"{event}.done", "name": own, field: told}]
    return openai_item(index, item, inner, {**item, "status": "completed", field: told}, output)


# --------------------------------------------------------------------------- Bedrock


def message(
    kind: str, payload: Json, *, exception: bool = False, names: dict[str, str] | None = None
) -> bytes:
    """One message of AWS's event stream; `names`: its headers, if they are others."""
    family = "exception" if exception else "event"
    names = names or {f":{family}-type": kind, ":message-type": family}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in names.items()
    )
    return enveloped(headers, dumps(payload).encode())


def enveloped(headers: bytes, body: bytes) -> bytes:
    """A message with its lengths and sums."""
    prelude = struct.pack(">II", len(headers) + len(body) + 16, len(headers))
    whole = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + body
    return whole + struct.pack(">I", binascii.crc32(whole))


def bedrock(text: str, calls: list[Call], reasoning: str) -> bytes:
    blocks: list[tuple[Json, list[Json]]] = []
    if reasoning:
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(reasoning)]
        blocks.append(({}, [*deltas, {"reasoningContent": {"signature": "c2lnbmF0dXJl"}}]))
    if text:
        blocks.append(({}, [{"text": piece} for piece in pieces(text)]))
    for (name, arguments), call_id in zip(calls, CALL_IDS, strict=False):
        deltas = [{"toolUse": {"input": piece}} for piece in pieces(dumps(arguments))]
        blocks.append(({"toolUse": {"toolUseId": call_id, "name": name}}, deltas))
    messages = [message("messageStart", {"role": "assistant"})]
    for index, (start, deltas) in enumerate(blocks):
        place = {"contentBlockIndex": index}
        if start:
            messages.append(message("contentBlockStart", {**place, "start": start}))
        messages += [message("contentBlockDelta", {**place, "delta": delta}) for delta in deltas]
        messages.append(message("contentBlockStop", place))
    usage = {"inputTokens": USAGE[0], "outputTokens": USAGE[1], "totalTokens": sum(USAGE)}
    end = message("messageStop", {"stopReason": "tool_use" if calls else "end_turn"})
    return b"".join([*messages, end, message("metadata", {"usage": usage})])


CONTENT_TYPES = {"ollama": NDJSON, "bedrock": EVENT_STREAM}
DIALECTS: dict[str, Callable[[str, list[Call], str], bytes]] = {
    "openai": openai,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
    "chat": chat,
    "bedrock": bedrock,
}
