"""Turns for adapter tests, and deltas put together to what a client would see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openresponses.adapters.base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    ItemEnd,
    ModelProfile,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    Usage,
)
from openresponses.protocol.state import seal

Json = dict[str, Any]


def make_turn(
    items: list[Json] | str = "Hi",
    *,
    options: Json | None = None,
    tools: Iterable[Json] = (),
    choice: str | Json = "auto",
    allowed: Iterable[str] | None = None,
    provider: str = "p",
    model: str = "m",
    instructions: str | None = None,
    **request: Any,
) -> Turn:
    given = [user(items)] if isinstance(items, str) else items
    profile = ModelProfile(options=options or {})
    names = None if allowed is None else frozenset(allowed)
    return Turn(
        provider, model, profile, {"input": given, **request}, instructions, given, list(tools), choice, names
    )


def message(role: str, *parts: str | Json) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    return {"type": "message", "role": role, "content": content}


def user(*parts: str | Json) -> Json:
    return message("user", *parts)


def call(call_id: str, name: str = "look", arguments: str = "{}", **more: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **more}


def output(call_id: str, value: str | list[Json] = "done") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def reasoning(state: Any, provider: str = "p") -> Json:
    return {"type": "reasoning", "summary": [], "encrypted_content": seal(provider, state)}


def function(name: str = "look", **more: Any) -> Json:
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **more}


def told(deltas: Iterable[Delta]) -> list[Any]:
    """The deltas with neighbours of a kind joined: ("text", "…"), ("call", name, id, kind, arguments, ended), …"""
    found: list[Any] = []
    calls: dict[Any, list[Any]] = {}
    for delta in deltas:
        match delta:
            case TextDelta(text) | RefusalDelta(text) | ReasoningDelta(text):
                kind = {TextDelta: "text", RefusalDelta: "refusal", ReasoningDelta: "reasoning"}[type(delta)]
                if found and found[-1][0] == kind:
                    text = found.pop()[1] + text
                found.append((kind, text))
            case ProviderState(payload):
                found.append(("state", payload))
            case ToolCallStarted(key, name, call_id, kind, namespace):
                calls[key] = ["call", f"{namespace}/{name}" if namespace else name, call_id, kind, "", False]
                found.append(calls[key])
            case ToolCallDelta(key, text):
                calls[key][4] += text
            case ItemEnd(key) if key is not None:
                calls[key][5] = True
            case Annotation(annotation):
                found.append(("annotation", annotation))
            case HostedItemEnded(_, item):
                found.append(("hosted", item))
            case Usage(given, made, cached, thought):
                found.append(("usage", given, made, cached, thought))
            case Finished(reason):
                found.append(("finished", reason))
            case Failed(error):
                found.append(("failed", error.code))
    return [tuple(each) for each in found]
