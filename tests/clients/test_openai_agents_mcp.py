"""openai-agents: HostedMCPTool, whose server the gateway calls, on every provider family; its items and events are
those of the openai package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from agents import Agent, HostedMCPTool, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent
from openai.types.responses.tool_param import Mcp
from pydantic import TypeAdapter

from ..support.gateway import Gateway
from ..support.mcp_server import McpServers
from ..support.speech import MODELS, says

set_tracing_disabled(True)

ITEM: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def servers() -> Iterator[McpServers]:
    started = McpServers().start()
    yield started
    started.stop()


async def run(agent: Agent[None]) -> Any:
    """The agent's run, its MCP events and all its items held against the package's types."""
    result = Runner.run_streamed(agent, "2 + 1?")
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type.startswith("response.mcp_"):
            EVENT.validate_python(event.data.model_dump(), strict=True)
    for response in result.raw_responses:
        for item in response.output:
            ITEM.validate_python(item.model_dump(), strict=True)
    return result


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("approve", [None, True, False])
async def test_a_server_of_the_agents(
    gateway: Gateway,
    async_client: openai.AsyncOpenAI,
    servers: McpServers,
    dialect: str,
    approve: bool | None,
) -> None:
    servers.called.clear()
    config: Mcp = {"type": "mcp", "server_label": "math", "server_url": f"{servers.url}/mcp"}
    config["require_approval"] = "never" if approve is None else "always"
    decide = None if approve is None else lambda _: {"approve": approve, "reason": "so it is"}
    tool = HostedMCPTool(tool_config=config, on_approval_request=decide)  # type: ignore[arg-type]
    model = OpenAIResponsesModel(model=MODELS[dialect], openai_client=async_client)
    answers = (says(dialect, "Let me.", calls=[("math__add", {"first": 2})]), says(dialect, "It is 3."))
    scenario = gateway.scenario(*answers)
    result = await run(Agent(name="Helper", model=model, tools=[tool]))
    assert (result.final_output, len(scenario.requests)) == ("It is 3.", 2)
    assert servers.called == ([] if approve is False else [("add", (2, 1))])


async def test_what_fails(gateway: Gateway, async_client: openai.AsyncOpenAI, servers: McpServers) -> None:
    """A call and a list."""
    configs: list[Mcp] = [
        {"type": "mcp", "server_label": label, "server_url": servers.url + path, "require_approval": "never"}
        for label, path in (("math", "/mcp"), ("broken", "/broken/mcp"))
    ]
    model = OpenAIResponsesModel(model=MODELS["gemini"], openai_client=async_client)
    gateway.scenario(says("gemini", calls=[("math__fails", {})]), says("gemini", "Sorry."))
    result = await run(Agent(name="Helper", model=model, tools=[HostedMCPTool(each) for each in configs]))
    assert result.final_output == "Sorry."
