"""An MCP server behind the built function: the layer has all that it takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway
from tests.support.mcp_server import McpServers
from tests.support.speech import MODELS, says


@pytest.fixture(scope="module")
def servers() -> Iterator[McpServers]:
    started = McpServers().start()
    yield started
    started.stop()


def test_a_call_runs_inside_the_turn(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("gemini", calls=[("math__add", {"first": 2})]), says("gemini", "It is 3."))
    tool = {
        "type": "mcp",
        "server_label": "math",
        "server_url": f"{servers.url}/mcp",
        "require_approval": "never",
    }
    told = gateway.ask({"model": MODELS["gemini"], "input": "go", "tools": [tool]}, stream=True)
    assert [item["type"] for item in told.output] == ["mcp_list_tools", "mcp_call", "message"]
    assert (told.of("mcp_call")[0]["output"], told.text) == ("3", "It is 3.")
