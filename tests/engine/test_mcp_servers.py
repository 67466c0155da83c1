"""Who calls an MCP server, which tools may be called and which must be approved; MCP's items as functions."""

from __future__ import annotations

from typing import Any

import pytest
from openresponses.adapters.registry import adapter_named
from openresponses.engine.mcp.history import as_functions
from openresponses.engine.mcp.servers import McpServer, matches, out_of_reach, split
from openresponses.protocol.errors import ApiError
from openresponses.settings import Settings

Json = dict[str, Any]
URL = "https://example.com/mcp"
READ: Json = {"name": "read", "annotations": {"readOnlyHint": True}}
WRITE: Json = {"name": "write", "annotations": None}
NEVER = {"require_approval": "never"}


def here(adapter: str, settings: Settings | None = None, **tool: Any) -> bool:
    tools = [{"type": "mcp", "server_label": "a", "server_url": URL, **tool}]
    others, servers = split(tools, (), [adapter_named(adapter)], settings or Settings())
    assert len(others) + len(servers) == 1
    return bool(servers)


@pytest.mark.parametrize(
    ("adapter", "tool", "expected"),
    [
        ("openai", {}, False),
        ("openai", {"headers": {"a": "b"}}, False),
        ("openai", {"server_url": None, "connector_id": "connector_gmail"}, False),
        ("anthropic", NEVER, False),
        ("anthropic", {**NEVER, "authorization": "token"}, False),
        ("anthropic", {**NEVER, "allowed_tools": ["read"]}, False),
        ("anthropic", {}, True),
        ("anthropic", {**NEVER, "headers": {"x-team": "a"}}, True),
        ("anthropic", {**NEVER, "allowed_tools": {"read_only": True}}, True),
        *[(adapter, NEVER, True) for adapter in ("gemini", "ollama", "chat", "bedrock", "echo")],
    ],
)
def test_the_provider_calls_what_it_can(adapter: str, tool: Json, expected: bool) -> None:
    assert here(adapter, **tool) is expected


@pytest.mark.parametrize("url", ["http://example.com/", "https://127.0.0.1/", "https://mcp.internal/"])
def test_the_gateway_calls_what_no_provider_reaches(url: str) -> None:
    assert here("openai", Settings(mcp_allow_private=True), server_url=url)


def test_the_gateway_calls_all_where_it_is_told_to() -> None:
    assert here("openai", Settings(mcp="gateway"))


async def test_names_with_private_addresses_are_out_of_reach() -> None:
    tools = [{"type": "mcp", "server_label": "a", "server_url": "https://localhost/mcp"}]
    assert await out_of_reach(tools, Settings(mcp_allow_private=True)) == {"https://localhost/mcp"}
    assert await out_of_reach(tools, Settings()) == set()


@pytest.mark.parametrize("adapter", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://127.0.0.1/", "https://2130706433/", "nonsense"]
)
def test_a_url_that_may_not_be_used_is_named(adapter: str, url: str) -> None:
    with pytest.raises(ApiError) as refused:
        here(adapter, server_url=url)
    assert (refused.value.status, refused.value.param) == (400, "tools[0].server_url")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["read"], ["read"]),
        ({"tool_names": ["write"]}, ["write"]),
        ({"read_only": True}, ["read"]),
        ({"read_only": False}, ["write"]),
        ({"read_only": True, "tool_names": ["write"]}, []),
        ({}, ["read", "write"]),
        ([], []),
    ],
)
def test_filters(wanted: Any, names: list[str]) -> None:
    assert [tool["name"] for tool in (READ, WRITE) if matches(wanted, tool, empty=True)] == names


@pytest.mark.parametrize(
    ("approval", "names"),
    [
        ("always", ["read", "write"]),
        ("never", []),
        ({"never": {"read_only": True}}, ["write"]),
        ({"never": {"tool_names": ["write"]}}, ["read"]),
        ({"always": {"tool_names": ["write"]}}, ["write"]),
        ({"always": {"tool_names": ["write"]}, "never": {"tool_names": ["write"]}}, ["read", "write"]),
        ({"never": {}}, ["read", "write"]),
        ({}, ["read", "write"]),
    ],
)
def test_approvals(approval: Any, names: list[str]) -> None:
    server = McpServer("a", URL, None, approval=(approval,))
    assert [tool["name"] for tool in (READ, WRITE) if server.asks(tool)] == names


def call(place: str, **fields: Any) -> Json:
    return {"type": "mcp_call", "id": place, "server_label": "a", "name": "read", "arguments": "{}", **fields}


def test_a_call_stands_where_it_was_asked_for() -> None:
    asked = {**call("mcpr_1"), "type": "mcp_approval_request"}
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    user = {"type": "message", "role": "user", "content": []}
    made, places = as_functions(
        [asked, answer, user, call("mcp_1", approval_request_id="mcpr_1", output="text")],
        ["a"],
        lambda label, tool: f"{label}__{tool}",
        lambda item: item["output"],
    )
    assert [item["type"] for item in made] == ["function_call", "function_call_output", "message"]
    assert (made[0]["name"], made[1]["output"], places) == ("a__read", "text", [0, 0, 2])


def test_what_a_provider_ran_stays_its_own() -> None:
    items = [call("mcp_1", output="text"), {"type": "mcp_list_tools", "server_label": "a", "tools": []}]
    made, places = as_functions(items, ["b"], lambda label, tool: tool, lambda item: "")
    assert (made, places) == (items, [0, 1])
