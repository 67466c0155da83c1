"""A simple request for a record: enough that its answer makes sense (tools, a forced tool), no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .oracle import Said
from .records import Record

Json = dict[str, Any]

ANY_ARGUMENTS: Json = {"type": "object", "properties": {}}


def request_for(record: Record, said: Said | None) -> Json:
    """Asks for what was said: every tool that the record's request offered or its answer calls."""
    names = dict.fromkeys([*offered(record), *(name for name, _ in said.calls)] if said else offered(record))
    custom = dict.fromkeys(name for name, _ in said.custom_calls) if said else {}
    tools: list[Json] = [
        {"type": "function", "name": name, "parameters": ANY_ARGUMENTS, "strict": False}
        for name in names if name not in custom
    ]  # fmt: skip
    tools += [{"type": "custom", "name": name} for name in custom]
    body: Json = {"model": record.model, "input": "Go on.", "include": ["reasoning.encrypted_content"]}
    if tools:
        body["tools"] = tools
        body["tool_choice"] = choice(record, names)
    return body


def offered(record: Record) -> Iterator[str]:
    """The names of the client's tools in the record's request."""
    tools = (record.request or {}).get("tools") or []
    for tool in tools if isinstance(tools, list) else [tools]:
        if record.dialect == "gemini":
            for function in tool.get("functionDeclarations") or tool.get("function_declarations") or []:
                yield function["name"]
        elif record.dialect == "anthropic":
            if tool.get("type", "custom") == "custom" and "name" in tool:
                yield tool["name"]
        elif tool.get("type") == "function":
            yield (tool.get("function") or tool)["name"]


def choice(record: Record, names: Json) -> Any:
    """The record's forced tool, in our terms; "auto" where it forced none."""
    given = (record.request or {}).get("tool_choice")
    if given == "required" or (isinstance(given, dict) and given.get("type") == "any"):
        return "required"
    if isinstance(given, dict):
        name = given.get("name") or (given.get("function") or {}).get("name")
        if name in names:
            return {"type": "function", "name": name}
    return "auto"
