"""openai-agents: an agent with a tool, run to its end and streamed, on every provider family."""

from __future__ import annotations

import openai
import pytest
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

set_tracing_disabled(True)

asked: list[str] = []


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    asked.append(city)
    return f"sunny in {city}"


def agent(client: openai.AsyncOpenAI, dialect: str) -> Agent[None]:
    model = OpenAIResponsesModel(model=MODELS[dialect], openai_client=client)
    return Agent(name="Helper", instructions="Use your tools.", model=model, tools=[get_weather])


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_tool_loop(
    gateway: Gateway, async_client: openai.AsyncOpenAI, dialect: str, stream: bool
) -> None:
    asked.clear()
    calls = [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Lima"})]
    scenario = gateway.scenario(says(dialect, "Let me look.", calls=calls), says(dialect, "Sunny in both."))
    if stream:
        result = Runner.run_streamed(agent(async_client, dialect), "Weather in Oslo and Lima?")
        kinds = {event.type async for event in result.stream_events()}
        assert kinds >= {"raw_response_event", "run_item_stream_event"}
    else:
        result = await Runner.run(agent(async_client, dialect), "Weather in Oslo and Lima?")  # type: ignore[assignment]
    assert result.final_output == "Sunny in both."
    assert sorted(asked) == ["Lima", "Oslo"]
    assert len(scenario.requests) == 2
    sent = scenario.requests[1].body.decode()
    assert "sunny in Oslo" in sent and "sunny in Lima" in sent
