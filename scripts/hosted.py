"""Hosted tools, their options, and the items that they leave in a conversation: what each provider does with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from openresponses.protocol.errors import ApiError
from openresponses.routing import Router
from openresponses.settings import Settings

from .features import HERE, PIXEL, runs_here
from .fields import SAID, Case, built, outcome

Json = dict[str, Any]

PROVIDERS = {
    "openai": "gpt-5.4",
    "anthropic": "claude-opus-4-6",
    "gemini": "gemini-3.5-flash",
    "ollama": "qwen3",
    "openrouter": "openrouter/openai/gpt-5.4",
    "vllm": "vllm/Qwen/Qwen3-8B",
    "bedrock": "bedrock/anthropic.claude-opus-4-6-v1",
}

# A tool of each kind, with no more than it needs.
TOOLS: dict[str, Json] = {
    "web_search": {},
    "code_interpreter": {"container": {"type": "auto"}},
    "file_search": {"vector_store_ids": ["vs_1"]},
    "file_search (Gemini's stores)": {"vector_store_ids": ["fileSearchStores/docs"]},
    "image_generation": {},
    "mcp": {"server_label": "docs", "server_url": "https://example.com/mcp", "require_approval": "never"},
    "tool_search": {},
    "computer_use_preview": {"display_width": 800, "display_height": 600, "environment": "linux"},
    "shell": {},
    "local_shell": {},
    "apply_patch": {},
    "programmatic_tool_calling": {},
}
# What can be said of them: the tool with the option, and without it.
OPTIONS: dict[str, tuple[str, Json]] = {
    "web_search.user_location": ("web_search", {"user_location": {"type": "approximate", "country": "NO"}}),
    "web_search.search_context_size": ("web_search", {"search_context_size": "high"}),
    "web_search.filters.allowed_domains": ("web_search", {"filters": {"allowed_domains": ["example.com"]}}),
    "code_interpreter.container (its id)": ("code_interpreter", {"container": "cntr_1"}),
    "code_interpreter.container.file_ids": (
        "code_interpreter", {"container": {"type": "auto", "file_ids": ["file-1"]}},
    ),
    "code_interpreter.container.memory_limit": (
        "code_interpreter", {"container": {"type": "auto", "memory_limit": "4g"}},
    ),
    "file_search.max_num_results": ("file_search (Gemini's stores)", {"max_num_results": 3}),
    "file_search.ranking_options": ("file_search (Gemini's stores)", {"ranking_options": {"score_threshold": 0.5}}),
    "file_search.filters": ("file_search (Gemini's stores)", {"filters": {"type": "eq", "key": "a", "value": "b"}}),
    "mcp.allowed_tools": ("mcp", {"allowed_tools": ["find"]}),
    "mcp.authorization": ("mcp", {"authorization": "token"}),
    "mcp.headers": ("mcp", {"headers": {"x-team": "a"}}),
    "mcp.connector_id": ("mcp", {"connector_id": "connector_dropbox", "server_url": None}),
    "mcp.require_approval": ("mcp", {"require_approval": "always"}),
    "mcp.server_description": ("mcp", {"server_description": "Docs."}),
}  # fmt: skip
# The items that such tools leave: what they hold, and the item behind it that belongs to it.
ITEMS: dict[str, Json] = {
    "web_search_call": {"action": {"type": "search", "query": "news"}},
    "file_search_call": {
        "queries": ["a"],
        "results": [{"filename": "a.txt", "text": "Words", "file_id": "f"}],
    },
    "code_interpreter_call": {"code": "1+1", "container_id": "c", "outputs": [{"type": "logs", "logs": "2"}]},
    "image_generation_call": {"result": PIXEL.partition(",")[2]},
    "mcp_call": {"server_label": "docs", "name": "find", "arguments": "{}", "output": "found"},
    "mcp_list_tools": {"server_label": "docs", "tools": []},
    "mcp_approval_request": {"server_label": "docs", "name": "find", "arguments": "{}"},
    "mcp_approval_response": {"approval_request_id": "mcpr_1", "approve": True},
    "tool_search_call": {"arguments": {"query": "a"}, "execution": "server", "call_id": None},
    "tool_search_output": {"tools": [], "execution": "server", "call_id": None},
    "program": {"call_id": "c1", "code": "find()", "fingerprint": "f"},
    "program_output": {"call_id": "c1", "result": "found"},
    "computer_call": {"call_id": "c1", "action": {"type": "click", "x": 1, "y": 2}},
    "local_shell_call": {"call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
    "shell_call": {"call_id": "c1", "action": {"commands": ["ls"]}},
    "apply_patch_call": {"call_id": "c1", "operation": {"type": "delete_file", "path": "a"}},
    "configuration_update": {"reasoning": {"effort": "low"}},
    "compaction_trigger": {},
}
OUTPUTS: dict[str, Any] = {
    "computer_call": {"type": "computer_screenshot", "image_url": PIXEL},
    "local_shell_call": "a b",
    "shell_call": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    "apply_patch_call": "done",
}
# Not sent, and why nothing is lost.
NO_CONTENT = {
    "web_search_call": "what was found stands in the answer",
    "file_search_call": "what was found stands in the answer",
    "mcp_list_tools": "the tools are offered",
    "mcp_approval_request": "the call that it led to tells it",
    "mcp_approval_response": "the call that it led to tells it",
    "tool_search_call": "the tools are offered",
    "tool_search_output": "the tools are offered",
    "program": "the calls that it made stand beside it",
    "program_output": "what came out stands in the answer",
}


def kinds() -> Iterator[list[str]]:
    """A row for each kind of tool; a cell names the provider's own tool."""
    router = Router(Settings.load({}))
    for name in TOOLS:
        yield [name, *(own_tool(router, model, tool_of(name)) for model in PROVIDERS.values())]


def tool_of(name: str, more: Json | None = None) -> Json:
    return {"type": name.partition(" ")[0], **TOOLS[name], **(more or {})}


def own_tool(router: Router, model: str, tool: Json) -> str:
    """The provider's name of a tool, "ignored", "gateway" or "400"."""
    try:
        if runs_here(router, model, {"tools": [tool]}):
            return HERE
        sent = built(router, model, {"tools": [tool]})
    except ApiError:
        return "400"
    if sent.ignored:
        return "ignored"
    body = sent.body
    if servers := body.get("mcp_servers"):
        return "`mcp_servers`" if servers else ""
    if plugins := body.get("plugins"):
        return f"`plugins: {plugins[0]['id']}`"
    found = [entry.get("type") or next(iter(entry)) for entry in body.get("tools", ())]
    return f"`{found[0]}`" if found else ""


def option_cases() -> Iterator[Case]:
    for field, (name, more) in OPTIONS.items():
        yield Case(field, {"tools": [tool_of(name, more)]}, {"tools": [tool_of(name)]})


def options() -> Iterator[list[str]]:
    """A row for each option, with a cell for each provider that takes the tool."""
    router = Router(Settings.load({}))
    for case in option_cases():
        cells = []
        for model in PROVIDERS.values():
            plain = own_tool(router, model, case.beside["tools"][0])
            cells.append("" if plain in ("400", "ignored") else outcome(router, model, case, ()) or SILENT)
        yield [case.field, *cells]


SILENT = "dropped"


def item_cases() -> Iterator[Case]:
    for kind, item in ITEMS.items():
        made = [{"type": kind, "id": "x_1", "status": "completed", **item}]
        if kind in OUTPUTS:
            made.append({"type": f"{kind}_output", "call_id": "c1", "output": OUTPUTS[kind]})
        yield Case(kind, {"input": [SAID, *made, SAID]}, {"input": [SAID, SAID]})


def items() -> Iterator[list[str]]:
    """A row for each kind of item in a conversation."""
    router = Router(Settings.load({}))
    for case in item_cases():
        cells = [outcome(router, model, case, NO_CONTENT) or SILENT for model in PROVIDERS.values()]
        yield [case.field, *cells, NO_CONTENT[case.field] if "gateway" in cells else ""]
