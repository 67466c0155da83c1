"""An MCP server behind the built function: the layer has all that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import grammar
from tests.support.deployment import Deployment
from tests.support.gateway import Gateway
from tests.support.lambda_function import rest_event
from tests.support.mcp_server import McpServers
from tests.support.provider import Provider
from tests.support.speech import MODELS, says


@pytest.fixture(scope="module")
def servers() -> Iterator[McpServers]:
    started = McpServers().start()
    yield started
    started.stop()


def tool(servers: McpServers, **options: Any) -> dict[str, Any]:
    url = f"{servers.url}/mcp"
    return {"type": "mcp", "server_label": "math", "server_url": url, "require_approval": "never", **options}


def test_a_call_runs_inside_the_turn(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("gemini", calls=[("math__add", {"first": 2})]), says("gemini", "It is 3."))
    told = gateway.ask({"model": MODELS["gemini"], "input": "go", "tools": [tool(servers)]}, stream=True)
    assert [item["type"] for item in told.output] == ["mcp_list_tools", "mcp_call", "message"]
    assert (told.of("mcp_call")[0]["output"], told.text) == ("3", "It is 3.")


def test_a_call_waits_for_approval(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("chat", calls=[("math__add", {"first": 2})]))
    asked = {"model": MODELS["chat"], "tools": [tool(servers, require_approval="always")]}
    first = gateway.ask({**asked, "input": "go"})
    [request] = first.of("mcp_approval_request")
    gateway.scenario(says("chat", "It is 3."))
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    told = gateway.ask(
        {**asked, "input": [answer], "previous_response_id": first.response["id"]}, stream=True
    )
    assert (told.of("mcp_call")[0]["output"], told.text) == ("3", "It is 3.")


@pytest.mark.slow
async def test_the_deadline_in_a_call(
    deployment: Deployment, provider: Provider, servers: McpServers
) -> None:
    asked = {"model": MODELS["gemini"], "input": "go", "tools": [tool(servers)], "stream": True}
    tenant = {"tenant": "acme"}
    async with deployment.function(OPENRESPONSES_MCP_ALLOW_PRIVATE="1") as function:
        for seconds, status in ((60.0, "completed"), (12.0, "incomplete")):
            calls = [("math__slow", {"seconds": 0 if status == "completed" else 30})]
            provider.play(says("gemini", calls=calls), says("gemini", "Late."))
            event = rest_event("POST", "/v1/responses", asked, authorizer=tenant)
            answer = await (await function.api.invoke(event, seconds=seconds)).done()
            response = grammar.check_stream(grammar.parse(answer.body))
            assert response["status"] == status, response
        assert response["incomplete_details"] == {"reason": "time_limit"}
        assert response["output"][-1]["type"] == "mcp_call" and response["output"][-1]["output"] is None
        event = rest_event("GET", f"/v1/responses/{response['id']}", authorizer=tenant)
        assert (await (await function.api.invoke(event)).done()).json == response
