"""Tools that a provider ran itself: Anthropic's blocks → items in OpenAI's shapes, and those items → content.

    server_tool_use web_search, web_fetch          web_search_call (action search, open_page)
    server_tool_use *code_execution                code_interpreter_call with its code and logs
    server_tool_use tool_search_*                  tool_search_call, and tool_search_output with the tools it found
    mcp_tool_use                                   mcp_call
    any other                                      no item; the blocks are kept as provider state

The blocks themselves travel as provider state, so our own items are not translated back. Those of other providers are
told to the model as text where they hold content (code and its output, a call and its result), and left out where they
hold none (a search query without results).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ..base import Delta, HostedItemEnded, HostedItemEvent, HostedItemStarted, Turn
from . import content

Json = dict[str, Any]

ITEM_TYPES = frozenset(
    {
        *(
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
            "image_generation_call",
            "mcp_call",
        ),
        *("mcp_list_tools", "tool_search_call", "tool_search_output"),
    }
)
KINDS = {
    "web_search": "web_search_call",
    "web_fetch": "web_search_call",
    "code_execution": "code_interpreter_call",
    "bash_code_execution": "code_interpreter_call",
    "text_editor_code_execution": "code_interpreter_call",
    "tool_search_tool_bm25": "tool_search_call",
    "tool_search_tool_regex": "tool_search_call",
}
# What is told while the tool runs, between in_progress and completed.
RUNNING = {"web_search_call": "searching", "code_interpreter_call": "interpreting"}
SILENT = frozenset({"tool_search_call"})  # items whose life has no events of its own
SOURCES = "web_search_call.action.sources"


def is_server(block: Json) -> bool:
    """Whether a block is of a tool that Anthropic runs: the call, or its result."""
    kind = block.get("type", "")
    return kind in ("server_tool_use", "mcp_tool_use") or kind.endswith("_tool_result")


def item_type(block: Json) -> str | None:
    """The type of the item for a call's block; None if it has none."""
    return "mcp_call" if block["type"] == "mcp_tool_use" else KINDS.get(block.get("name", ""))


# --------------------------------------------------------------------------- blocks → deltas


def started(key: Any, block: Json) -> Iterator[Delta]:
    """The call has begun; its input is not known yet."""
    kind = item_type(block)
    if kind is None:
        return
    yield HostedItemStarted(key, _item(kind, {**block, "input": {}}, None, "in_progress", ""))
    if kind not in SILENT:
        yield HostedItemEvent(key, f"response.{kind}.in_progress")


def asked(key: Any, block: Json) -> Iterator[Delta]:
    """The call's input is complete."""
    kind = item_type(block)
    if kind == "code_interpreter_call" and (code := _code(block["input"])):
        yield HostedItemEvent(key, "response.code_interpreter_call_code.delta", {"delta": code})
        yield HostedItemEvent(key, "response.code_interpreter_call_code.done", {"code": code})
    if kind == "mcp_call":
        arguments = orjson.dumps(block["input"]).decode()
        yield HostedItemEvent(key, "response.mcp_call_arguments.delta", {"delta": arguments})
        yield HostedItemEvent(key, "response.mcp_call_arguments.done", {"arguments": arguments})
    if kind in RUNNING:
        yield HostedItemEvent(key, f"response.{kind}.{RUNNING[kind]}")


def answered(key: Any, block: Json, result: Json | None, turn: Turn, container: str) -> Iterator[Delta]:
    """The call's result has come; None: it comes with the next sample (the provider paused)."""
    kind = item_type(block)
    if kind is None:
        return
    failed = result is not None and _error(result) is not None
    include = SOURCES in (turn.request.get("include") or ())
    item = _item(kind, block, result, "failed" if failed else "completed", container, sources=include)
    if kind not in SILENT:
        told = "failed" if failed and kind == "mcp_call" else "completed"
        yield HostedItemEvent(key, f"response.{kind}.{told}")
    yield HostedItemEnded(key, item)
    if kind == "tool_search_call" and result is not None:
        yield HostedItemEnded(("output", key), _found_tools(result, turn))


def _item(
    kind: str, block: Json, result: Json | None, status: str, container: str, *, sources: bool = False
) -> Json:
    given = block.get("input") or {}
    item: Json = {"type": kind, "status": status}
    if kind == "web_search_call":
        item["action"] = _action(block, given, result if sources else None)
    elif kind == "code_interpreter_call":
        item |= {"code": _code(given), "container_id": container, "outputs": _logs(result)}
    elif kind == "mcp_call":
        item |= {"server_label": block.get("server_name", ""), "name": block.get("name", "")}
        item["arguments"] = orjson.dumps(given).decode() if status != "in_progress" else ""
        told = _text(result) if result is not None else None
        is_error = result is not None and bool(result.get("is_error"))
        item |= {"output": None if is_error else told, "error": told if is_error else None}
    else:
        item |= {"execution": "server", "call_id": None, "arguments": given}
    return item


def _action(block: Json, given: Json, result: Json | None) -> Json:
    if block.get("name") == "web_fetch":
        return {"type": "open_page", "url": given.get("url", "")}
    query = given.get("query", "")
    action: Json = {"type": "search", "query": query, "queries": [query] if query else []}
    if result is not None:
        pages = result.get("content")
        found = [page for page in pages if isinstance(page, dict)] if isinstance(pages, list) else []
        action["sources"] = [{"type": "url", "url": page["url"]} for page in found if page.get("url")]
    return action


def _code(given: Json) -> str:
    """The code that was run; a command of the file editor, as JSON."""
    for key in ("code", "command"):
        if key in given and "path" not in given:
            return str(given[key])
    return orjson.dumps(given).decode() if given else ""


def _logs(result: Json | None) -> list[Json]:
    if result is None:
        return []
    told = _error(result) or _text(result)
    return [{"type": "logs", "logs": told}] if told else []


def _error(result: Json) -> str | None:
    found = result.get("content")
    if isinstance(found, dict) and str(found.get("type", "")).endswith("_error"):
        return str(found.get("error_code") or found["type"])
    return _text(result) if result.get("is_error") else None


def _text(result: Json) -> str:
    """What a tool's result says: output streams, file content, text blocks."""
    found = result.get("content")
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        return "".join(str(block.get("text", "")) for block in found if isinstance(block, dict))
    if not isinstance(found, dict):
        return ""
    streams = [str(found[key]) for key in ("stdout", "stderr", "text") if found.get(key)]
    return "".join(streams) or (found["content"] if isinstance(found.get("content"), str) else "")


def _found_tools(result: Json, turn: Turn) -> Json:
    found = result.get("content")
    references = found.get("tool_references", ()) if isinstance(found, dict) else ()
    names = {each.get("tool_name") for each in references}
    tools = [tool for tool in turn.tools if tool.get("name") in names]
    return {
        "type": "tool_search_output",
        "status": "completed",
        "execution": "server",
        "call_id": None,
        "tools": tools,
    }


# --------------------------------------------------------------------------- other providers' items → content


def as_content(item: Json, param: str) -> Iterator[tuple[str, list[Json]]]:
    """(role, blocks) that tell the model what an item holds; nothing for items that hold no content."""
    tell = TELL.get(item["type"])
    if tell:
        yield from tell(item, param)
    elif item["type"] in CLIENT_CALLS:
        yield "assistant", content.text(f"({item['type']}) {_bare(item)}")
    elif item["type"] in CLIENT_OUTPUTS:
        yield "user", [*content.text(f"({item['type']}) {_bare(item)}"), *_screenshot(item, param)]


def _tell_code(item: Json, param: str) -> Iterator[tuple[str, list[Json]]]:
    logs = "".join(each.get("logs", "") for each in item.get("outputs") or ())
    output = f"\nIts output:\n```\n{logs}\n```" if logs else ""
    if item.get("code"):
        yield "assistant", content.text(f"(Code that was run)\n```\n{item['code']}\n```{output}")


def _tell_mcp(item: Json, param: str) -> Iterator[tuple[str, list[Json]]]:
    call = f"{item.get('server_label', '')}.{item.get('name', '')}({item.get('arguments', '')})"
    result = item.get("output") or item.get("error")
    yield "assistant", content.text(f"(Tool that was called) {call}\nIts result: {result}")


def _tell_files(item: Json, param: str) -> Iterator[tuple[str, list[Json]]]:
    results = item.get("results") or ()
    found = "\n\n".join(f"{each.get('filename', '')}:\n{each.get('text', '')}" for each in results)
    if found:
        yield "assistant", content.text(f"(Found in files) {', '.join(item.get('queries', ()))}\n\n{found}")


def _tell_image(item: Json, param: str) -> Iterator[tuple[str, list[Json]]]:
    if data := item.get("result"):
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}
        yield "user", [*content.text("(The image that the assistant made)"), *content.blocks([image], param)]


TELL = {
    "code_interpreter_call": _tell_code,
    "mcp_call": _tell_mcp,
    "file_search_call": _tell_files,
    "image_generation_call": _tell_image,
}
CLIENT_CALLS = frozenset({"computer_call", "local_shell_call", "shell_call", "apply_patch_call"})
CLIENT_OUTPUTS = frozenset(f"{call}_output" for call in CLIENT_CALLS)


def _bare(item: Json) -> str:
    left_out = {"id", "type", "status"}
    shown = {key: value for key, value in item.items() if key not in left_out and not _is_screenshot(value)}
    return orjson.dumps(shown).decode()


def _is_screenshot(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("computer_screenshot", "input_image")


def _screenshot(item: Json, param: str) -> list[Json]:
    shot = item.get("output")
    if not isinstance(shot, dict) or not _is_screenshot(shot) or not shot.get("image_url"):
        return []
    return content.blocks([{"type": "input_image", "image_url": shot["image_url"]}], f"{param}.output")
