"""openai's SDK over its own WebSocket connection: sessions with tools, errors, a reconnect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


def finished(connection: Any) -> Any:
    """The response of the event that ends a turn."""
    for event in connection:
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            return event.response
    raise AssertionError("the connection ended before the turn")


@pytest.mark.parametrize("dialect", MODELS)
def test_a_tool_session(gateway: Gateway, client: OpenAI, dialect: str) -> None:
    scenario = gateway.scenario(
        says(dialect, calls=[("get_weather", {"city": "Paris"})]),
        says(dialect, "It is sunny."),
        says(dialect, "Bye"),
    )
    model: Any = MODELS[dialect]
    with client.responses.connect() as connection:
        connection.response.create(model=model, input="Weather in Paris?", tools=[WEATHER], store=False)
        first = finished(connection)
        call = first.output[0]
        assert call.name == "get_weather" and json.loads(call.arguments) == {"city": "Paris"}
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        connection.response.create(
            model=model, input=[output], tools=[WEATHER], store=False, previous_response_id=first.id
        )
        second = finished(connection)
        assert second.output_text == "It is sunny."
        connection.response.create(model=model, input="Bye", store=False, previous_response_id=second.id)
        assert finished(connection).output_text == "Bye"
    assert len(scenario.requests) == 3
    assert "sunny" in scenario.requests[2].body.decode()


def test_an_error(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        missing = "resp_" + "0" * 32
        connection.response.create(model="echo", input="Hi", previous_response_id=missing)
        event: Any = next(iter(connection))
        assert (event.type, event.status, event.error.code) == ("error", 400, "previous_response_not_found")


async def test_the_async_client(async_client: AsyncOpenAI) -> None:
    async with async_client.responses.connect() as connection:
        await connection.response.create(model="echo", input="Hello there")
        text = ""
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                break
        assert "Hello there" in text
