"""What hosted items, their events and annotations must hold. Kinds that are not known yet are told as they come, under
names that cannot be taken for anything of ours.

Source: OpenAI's Responses API, "Items" and "Streaming events".
"""

from __future__ import annotations

import re
from typing import Any

from ..protocol.texts import HOSTED

Json = dict[str, Any]
Shape = dict[str, tuple[type, ...]]

MAYBE = (str, type(None))
# Kinds of items that a provider runs or keeps itself → fields that clients rely on. Source: OpenAI's Responses API.
ITEMS: dict[str, Shape] = {
    "reasoning": {"summary": (list,), "encrypted_content": MAYBE},
    "compaction": {"encrypted_content": (str,)},
    "function_call_output": {"call_id": (str,), "output": (str, list)},
    "custom_tool_call_output": {"call_id": (str,), "output": (str, list)},
    "web_search_call": {},
    "file_search_call": {"queries": (list,)},
    "code_interpreter_call": {"code": MAYBE, "container_id": MAYBE},
    "image_generation_call": {"result": MAYBE},
    "computer_call": {"call_id": (str,)},
    "local_shell_call": {"call_id": (str,), "action": (dict,)},
    "shell_call": {"call_id": (str,), "action": (dict,)},
    "shell_call_output": {"call_id": (str,), "output": (list,)},
    "apply_patch_call": {"call_id": (str,), "operation": (dict,)},
    "apply_patch_call_output": {"call_id": (str,)},
    "tool_search_call": {},
    "tool_search_output": {"tools": (list,)},
    "mcp_call": {"server_label": (str,), "name": (str,), "arguments": (str,)},
    "mcp_list_tools": {"server_label": (str,), "tools": (list,)},
    "mcp_approval_request": {"server_label": (str,), "name": (str,), "arguments": (str,)},
    "program": {"call_id": (str,), "code": (str,), "fingerprint": (str,)},
    "program_output": {"call_id": (str,), "result": (str,)},
}
ANNOTATIONS: dict[str, Shape] = {
    "url_citation": {"url": (str,), "title": (str,), "start_index": (int,), "end_index": (int,)},
    "file_citation": {"file_id": (str,), "index": (int,)},
    "container_file_citation": {
        "file_id": (str,),
        "container_id": (str,),
        "start_index": (int,),
        "end_index": (int,),
    },
    "file_path": {"file_id": (str,), "index": (int,)},
}
# Events of hosted items' own lives → their fields.
PLAIN_EVENTS = {
    "compaction": ("compacting",),
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_call": ("in_progress", "completed", "failed"),
    "mcp_list_tools": ("in_progress", "completed", "failed"),
    "shell_call_command": ("added", "delta", "done"),
    "shell_call_output_content": ("delta", "done"),
}
EVENTS: dict[str, Shape] = {
    **{f"response.{name}.{step}": {} for name, steps in PLAIN_EVENTS.items() for step in steps},
    **{text.delta: {"delta": (str,)} for text in HOSTED},
    **{text.done: {text.field: (str,)} for text in HOSTED},
    "response.image_generation_call.partial_image": {
        "partial_image_b64": (str,),
        "partial_image_index": (int,),
    },
}

# The beginnings of what only the gateway says: no item may be named so that its events could be taken for them.
OWN = (
    *(
        "created",
        "queued",
        "in_progress",
        "completed",
        "incomplete",
        "failed",
        "cancelled",
        "error",
        "output_item",
    ),
    *("content_part", "output_text", "refusal", "reasoning", "message", "function_call", "custom_tool_call"),
)
NEW_ITEM = re.compile(r"[a-z][a-z0-9_]{0,63}")
NEW_EVENT = re.compile(r"response\.[a-z][a-z0-9_.]{0,127}")


def is_item(item: Any) -> bool:
    """Whether this is an item that a provider may run or keep itself."""
    kind = item.get("type") if type(item) is dict else None
    if type(kind) is not str:
        return False
    if kind in ITEMS:
        return _fits(item, ITEMS[kind])
    return bool(NEW_ITEM.fullmatch(kind)) and not any(
        own.startswith(kind) or kind.startswith(own) for own in OWN
    )


def is_event(kind: Any, fields: Any) -> bool:
    """Whether this is an event of such an item's life; which item's, its name says."""
    if type(kind) is not str or type(fields) is not dict:
        return False
    return _fits(fields, EVENTS[kind]) if kind in EVENTS else bool(NEW_EVENT.fullmatch(kind))


def is_annotation(annotation: Any) -> bool:
    kind = annotation.get("type") if type(annotation) is dict else None
    if type(kind) is not str:
        return False
    return _fits(annotation, ANNOTATIONS[kind]) if kind in ANNOTATIONS else bool(NEW_ITEM.fullmatch(kind))


def _fits(value: Json, shape: Shape) -> bool:
    return all(type(value.get(name)) in kinds for name, kinds in shape.items())
