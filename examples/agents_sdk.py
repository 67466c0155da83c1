"""OpenAI's Agents SDK: an agent with a tool, on any model of the gateway.

Start the gateway (make run), then: pip install openai-agents && python examples/agents_sdk.py
"""

import os

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)  # else it reports to OpenAI


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: sunny, 21 °C"


client = AsyncOpenAI(
    base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
)
agent = Agent(
    name="Forecaster",
    instructions="Answer in one sentence.",
    model=OpenAIResponsesModel(model=os.environ.get("MODEL", "echo"), openai_client=client),
    tools=[get_weather],
)
print(Runner.run_sync(agent, "What is the weather in Oslo?").final_output)
