"""A request of Chat Completions, and of Ollama's /api/chat, in the terms of the Responses API.

    system messages at the head   instructions, then messages of role system
    content, images               input_text, input_image; the assistant's: output_text
    tool_calls, role "tool"       function_call, function_call_output
    reasoning, reasoning_content, thinking   reasoning with provider state, as the gateway gave it out
    tools, tool_choice            functions
    options, or fields beside the messages   temperature, top_p, max_output_tokens, ...
    format, response_format       text.format
    think, reasoning_effort       reasoning.effort

Sources: https://platform.openai.com/docs/api-reference/chat, Ollama's docs/api.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import items
from .items import Json

CHAT_KNOBS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "parallel_tool_calls")
OLLAMA_KNOBS = {"temperature": "temperature", "top_p": "top_p", "num_predict": "max_output_tokens"}
THOUGHTS = ("reasoning", "reasoning_content", "reasoning_details", "thinking")


def chat_as_responses(body: Json, model: str) -> Json:
    asked = conversation(body, "vllm") | {name: body.get(name) for name in CHAT_KNOBS}
    asked["max_output_tokens"] = body.get("max_completion_tokens") or body.get("max_tokens")
    given = body.get("tool_choice")
    asked["tool_choice"] = (
        {"type": "function", "name": given["function"]["name"]} if isinstance(given, dict) else given
    )
    form = body.get("response_format") or {}
    asked["text"] = {"format": form} if form.get("type") == "json_object" else None
    if form.get("type") == "json_schema":
        asked["text"] = {"format": {"type": "json_schema", **form["json_schema"]}}
    effort = body.get("reasoning_effort")
    return asked | {"reasoning": {"effort": effort} if effort else None}


def ollama_as_responses(body: Json, model: str) -> Json:
    options = body.get("options") or {}
    asked = conversation(body, "ollama")
    asked |= {ours: options.get(theirs) for theirs, ours in OLLAMA_KNOBS.items()}
    form, think = body.get("format"), body.get("think")
    asked["text"] = {"format": {"type": "json_object"}} if form == "json" else None
    if isinstance(form, dict):
        asked["text"] = items.schema_format(form)
    effort = {True: "medium", False: "none", None: None}.get(think, think)
    return asked | {"reasoning": {"effort": effort} if effort else None}


def conversation(body: Json, provider: str) -> Json:
    given: list[Json] = []
    instructions = None
    waiting: list[tuple[str, str]] = []  # name and id of calls without results
    for message in body["messages"]:
        if message["role"] in ("system", "developer") and instructions is None and not given:
            instructions = message["content"]
        else:
            given += said(message, provider, waiting)
    tools = [function(tool["function"]) for tool in body.get("tools") or ()]
    return {"instructions": instructions, "input": given, "tools": tools or None}


def function(given: Json) -> Json:
    made = items.function(given["name"], given.get("description"), given.get("parameters"))
    made["strict"] = given.get("strict")
    return made


def said(message: Json, provider: str, waiting: list[tuple[str, str]]) -> Iterator[Json]:
    role = message["role"]
    if role == "tool":
        given = message["content"]
        told = given if isinstance(given, str) else [part("user", each) for each in given]
        yield items.output(call_of(message, waiting), told)
        return
    if thoughts := {key: message[key] for key in THOUGHTS if message.get(key)}:
        yield items.state(provider, thoughts)
    parts = [part(role, each) for each in content(message)]
    parts += [items.image(items.data_url("image/png", data)) for data in message.get("images") or ()]
    if parts:
        yield items.message(role, *parts)
    for each in message.get("tool_calls") or ():
        called = each["function"]
        call_id = each.get("id") or f"call_{len(waiting)}"
        waiting.append((called["name"], call_id))
        yield items.call(call_id, called["name"], called["arguments"])


def call_of(message: Json, waiting: list[tuple[str, str]]) -> str:
    """The id of the call that a tool's message answers: by its id, or its name, or its place."""
    for n, (name, call_id) in enumerate(waiting):
        if message.get("tool_call_id") == call_id or (
            "tool_call_id" not in message and message.get("tool_name", name) == name
        ):
            return waiting.pop(n)[1]
    raise AssertionError("a result without its call")


def content(message: Json) -> list[Json]:
    given = message.get("content")
    return [{"type": "text", "text": given}] if isinstance(given, str) and given else list(given or ())


def part(role: str, given: Json) -> Json:
    if given["type"] == "text":
        return items.text(role, given["text"])
    found = given["image_url"]
    return {**items.image(found["url"]), **({"detail": found["detail"]} if "detail" in found else {})}


# --------------------------------------------------------------------------- one spelling


def spelled(body: Json) -> Json:
    """A content of one text is a string; no content is an empty one; tool_choice "auto" is none."""
    made = {**body, "messages": [one(message) for message in body["messages"]]}
    if made.get("tool_choice") == "auto":
        del made["tool_choice"]
    return {key: value for key, value in made.items() if value not in (None, [], {})}


def one(message: Json) -> Json:
    given: Any = message.get("content") or ""
    if isinstance(given, list) and len(given) == 1 and given[0]["type"] == "text":
        given = given[0]["text"]
    return {**{key: value for key, value in message.items() if value is not None}, "content": given}
