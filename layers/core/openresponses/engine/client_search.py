"""Tool search that the client runs (`tool_search`, `execution: "client"`), for a provider that has no such thing.

The model is offered it as a function, and its call is told as the `tool_search_call` that the client waits for. What
the client found (`tool_search_output`) is offered from then on; the names are the result of the call.
Source: OpenAI's Responses API, "Tool search".
"""

from __future__ import annotations

from typing import Any

import orjson

from ..adapters.tools import wire_name
from ..protocol.request import named_tools

Json = dict[str, Any]

NAME = "tool_search"
ARGUMENTS: Json = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


def is_search(tool: Json) -> bool:
    return tool["type"] == "tool_search" and tool.get("execution") == "client"


def searches(tools: list[Json]) -> bool:
    """Whether a call of the function NAME is such a search: the client has no function of that name."""
    own = any(name is None and tool["name"] == NAME for _, name, tool in named_tools(tools))
    return not own and any(map(is_search, tools))


def as_functions(tools: list[Json], items: list[Json]) -> tuple[list[Json], list[Json]]:
    """Tools and items in terms of functions; as they are where the client has no such search."""
    if not searches(tools):
        return tools, items
    offered = [_function(tool) if is_search(tool) else tool for tool in tools]
    return [*offered, *_found(offered, items)], [_plain(item) for item in items]


def _function(tool: Json) -> Json:
    return {
        "type": "function",
        "name": NAME,
        "description": tool.get("description") or "Searches for more tools.",
        "parameters": tool.get("parameters") or ARGUMENTS,
    }


def _found(offered: list[Json], items: list[Json]) -> list[Json]:
    """The tools that searches gave, each once."""
    seen = {(namespace, tool["name"]) for _, namespace, tool in named_tools(offered)}
    made: list[Json] = []
    for item in items:
        if not _is_result(item):
            continue
        for tool in item["tools"]:
            namespace = tool["name"] if tool["type"] == "namespace" else None
            new = [each for _, _, each in named_tools([tool]) if (namespace, each["name"]) not in seen]
            seen |= {(namespace, each["name"]) for each in new}
            new = [{key: value for key, value in each.items() if key != "defer_loading"} for each in new]
            if namespace and new:
                made.append({**tool, "tools": new})
            else:
                made += new
    return made


def _is_result(item: Json) -> bool:
    return item["type"] == "tool_search_output" and bool(item.get("call_id"))


def _plain(item: Json) -> Json:
    """A search and its result as those of the function."""
    if _is_result(item):
        names = [wire_name(tool["name"], namespace) for _, namespace, tool in named_tools(item["tools"])]
        told = (
            f"Found, and offered as tools from now on: {', '.join(names)}" if names else "Nothing was found."
        )
        return {"type": "function_call_output", "id": item["id"], "call_id": item["call_id"], "output": told}
    if item["type"] == "tool_search_call" and item.get("call_id"):
        arguments = orjson.dumps(item.get("arguments") or {}).decode()
        call = {"type": "function_call", "name": NAME, "arguments": arguments}
        return {**call, "id": item["id"], "call_id": item["call_id"], "status": "completed"}
    return item
