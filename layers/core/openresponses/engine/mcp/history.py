"""MCP's items in a conversation, as calls and outputs of functions: what any model understands.

A call that needed approval stands where it was asked for, so that the model's own order is kept. What is not the
gateway's own (a server that the provider runs) is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any

from ...protocol.errors import ApiError, quoted
from ..context import Context

Json = dict[str, Any]
Name = Callable[[str, str], str]  # (label, tool) → function
Output = Callable[[Json], str | list[Json]]  # the item of a call → what the model is given

REJECTED = "The user did not allow this call."


def as_functions(
    items: list[Json], labels: Iterable[str], name: Name, output: Output
) -> tuple[list[Json], list[int]]:
    """The items, those of the servers in `labels` as function calls; and each one's place among `items`."""
    ours = set(labels)
    asked = {
        item["id"]
        for item in items
        if item["type"] == "mcp_approval_request" and item["server_label"] in ours
    }
    answers = {item["approval_request_id"]: item for item in items if item["type"] == "mcp_approval_response"}
    calls = {item.get("approval_request_id"): item for item in items if item["type"] == "mcp_call"}
    made: list[Json] = []
    places: list[int] = []
    for place, item in enumerate(items):
        kind = item["type"]
        pair = [item]
        if kind == "mcp_approval_response" and item["approval_request_id"] in asked:
            pair = []
        elif kind in ("mcp_list_tools", "mcp_call", "mcp_approval_request") and item["server_label"] in ours:
            pair = []
            if kind == "mcp_call" and item.get("approval_request_id") not in asked:
                pair = _pair(item, output(item), name)
            elif kind == "mcp_approval_request":
                pair = _decided(item, calls.get(item["id"]), answers.get(item["id"]), name, output)
        made += pair
        places += [place] * len(pair)
    return made, places


def _decided(request: Json, call: Json | None, answer: Json | None, name: Name, output: Output) -> list[Json]:
    """The call that was asked for; nothing while it is open."""
    if call:
        return _pair(call, output(call), name)
    if answer and not answer["approve"]:
        reason = f" Their reason: {answer['reason']}" if answer.get("reason") else ""
        return _pair(request, REJECTED + reason, name)
    return []


def _pair(item: Json, output: str | list[Json], name: Name) -> list[Json]:
    call_id = item["id"]
    call = {
        "type": "function_call",
        "id": call_id,
        "call_id": call_id,
        "name": name(item["server_label"], item["name"]),
        "arguments": item["arguments"] or "{}",
        "status": "completed",
    }
    return [call, {"type": "function_call_output", "call_id": call_id, "output": output}]


# --------------------------------------------------------------------------- approvals


def approved(context: Context) -> list[tuple[Json, str]]:
    """The requests for approval in the context that its own input approves, and where it says so. Raises ApiError."""
    asked = {item["id"]: item for item in context.items if item["type"] == "mcp_approval_request"}
    answered = {item.get("approval_request_id") for item in context.earlier}
    own = context.own
    found = []
    for index, item in enumerate(own):
        if item["type"] == "mcp_call":
            answered.add(item.get("approval_request_id"))
        if item["type"] != "mcp_approval_response":
            continue
        param, wanted = f"input[{index}].approval_request_id", item["approval_request_id"]
        request = asked.get(wanted)
        if request is None or wanted in answered:
            problem = "There was an answer already to" if request else "There is no request for approval"
            raise ApiError("invalid_value", f"{problem} {quoted(wanted)}.", param=param)
        answered.add(wanted)
        if item["approve"] and not any(map(_is_models, own[index + 1 :])):
            found.append((request, param))
    return found


def require_servers(context: Context, labels: Container[str]) -> None:
    """Raises ApiError where the input approves a call on a server that is not among `labels`: nobody would make it."""
    for asked, param in approved(context):
        if (label := asked["server_label"]) not in labels:
            message = f"The call that is approved needs the MCP server {quoted(label)} in 'tools'."
            raise ApiError("invalid_value", message, param=param)


def _is_models(item: Json) -> bool:
    """Whether the item tells that the model went on: what stands before it is history."""
    return item.get("role") == "assistant" or item["type"] in ("mcp_call", "reasoning", "function_call")
