"""What hosted items, their events and annotations must hold: their kinds are a closed set, as are their events' names.

Source: OpenAI's Responses API, "Items" and "Streaming events".
"""

from __future__ import annotations

# Delta event → its done event, and the field of that one that holds the whole text.
TEXTS: dict[str, tuple[str, str]] = {
    "response.code_interpreter_call_code.delta": ("response.code_interpreter_call_code.done", "code"),
    "response.mcp_call_arguments.delta": ("response.mcp_call_arguments.done", "arguments"),
    "response.apply_patch_call_operation_diff.delta": (
        "response.apply_patch_call_operation_diff.done",
        "diff",
    ),
}

Shape = dict[str, tuple[type, ...]]

MAYBE = (str, type(None))
# Kinds of items that a provider runs or keeps itself → fields that clients rely on. Source: OpenAI's Responses API.
ITEMS: dict[str, Shape] = {
    "reasoning": {"summary": (list,)},
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
# Events of hosted items' own lives → their fields. Others than these are not told.
PLAIN_EVENTS = {
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
    **{delta: {"delta": (str,)} for delta in TEXTS},
    **{done: {field: (str,)} for done, field in TEXTS.values()},
    "response.image_generation_call.partial_image": {"partial_image_b64": (str,), "partial_image_index": (int,)},
}
