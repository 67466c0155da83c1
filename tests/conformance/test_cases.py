"""The cases of the specification's acceptance test, over HTTP, on every provider route and on the built-in one.

Each answer is checked against the official schema and the grammar of a stream (`Gateway.ask` does both); what is
asserted here is the content of the case. Compaction and the WebSocket have tests of their own.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, USAGE, says

Json = dict[str, Any]

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a place.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "A city"}},
        "required": ["location"],
    },
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

every_route = pytest.mark.parametrize("dialect", MODELS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


@every_route
@both_ways
def test_basic(gateway: Gateway, dialect: str, stream: bool) -> None:
    gateway.scenario(says(dialect, "Hello there, friend."))
    told = gateway.ask({"model": MODELS[dialect], "input": [message("user", "Say hello.")]}, stream=stream)
    [item] = told.output
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert told.text == "Hello there, friend."
    usage = told.response["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == USAGE


@every_route
@both_ways
@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_prompt(gateway: Gateway, dialect: str, stream: bool, role: str) -> None:
    scenario = gateway.scenario(says(dialect, "Arr!"))
    asked = [message(role, "You are a pirate."), message("user", "Say hello.")]
    told = gateway.ask({"model": MODELS[dialect], "input": asked}, stream=stream)
    assert told.text == "Arr!"
    sent = scenario.requests[0].body.decode()
    assert sent.index("You are a pirate.") > 0 and "Say hello." in sent


@every_route
@both_ways
def test_tool_call(gateway: Gateway, dialect: str, stream: bool) -> None:
    gateway.scenario(says(dialect, calls=[("get_weather", {"location": "San Francisco, CA"})]))
    body = {"model": MODELS[dialect], "input": [message("user", "Weather?")], "tools": [WEATHER]}
    told = gateway.ask(body, stream=stream)
    [call] = told.of("function_call")
    assert call["name"] == "get_weather" and call["status"] == "completed" and call["call_id"]
    assert json.loads(call["arguments"]) == {"location": "San Francisco, CA"}
    [echoed] = told.response["tools"]
    assert echoed["parameters"] == WEATHER["parameters"]


@every_route
@both_ways
def test_image(gateway: Gateway, dialect: str, stream: bool) -> None:
    scenario = gateway.scenario(says(dialect, "A dot."))
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
    ]
    asked = [{"type": "message", "role": "user", "content": content}]
    told = gateway.ask({"model": MODELS[dialect], "input": asked}, stream=stream)
    assert told.text == "A dot."
    assert PIXEL in scenario.requests[0].body.decode()


@every_route
@both_ways
def test_conversation_in_the_input(gateway: Gateway, dialect: str, stream: bool) -> None:
    scenario = gateway.scenario(says(dialect, "Your name is Alice."))
    asked = [
        message("user", "My name is Alice."),
        message("assistant", "Nice to meet you, Alice."),
        message("user", "What is my name?"),
    ]
    told = gateway.ask({"model": MODELS[dialect], "input": asked}, stream=stream)
    assert told.text == "Your name is Alice."
    sent = scenario.requests[0].body.decode()
    places = [sent.index(item["content"]) for item in asked]
    assert places == sorted(places)


@every_route
@both_ways
def test_conversation_by_id(gateway: Gateway, dialect: str, stream: bool) -> None:
    """Three turns; the third provider request carries the first two, in order."""
    answers = ["Nice to meet you, Alice.", "You are forty-two.", "Alice, forty-two."]
    scenario = gateway.scenario(*(says(dialect, answer) for answer in answers))
    previous: str | None = None
    questions = ["My name is Alice.", "I am 42, how old am I?", "Who am I?"]
    for question, answer in zip(questions, answers, strict=True):
        body = {"model": MODELS[dialect], "input": question, "previous_response_id": previous}
        told = gateway.ask(body, stream=stream)
        assert told.text == answer
        assert told.response["previous_response_id"] == previous
        previous = told.response["id"]
    sent = scenario.requests[-1].body.decode()
    said = [text for pair in zip(questions, answers, strict=True) for text in pair][:-1]
    places = [sent.index(text) for text in said]
    assert places == sorted(places)


@every_route
@both_ways
def test_instructions_are_not_carried_on(gateway: Gateway, dialect: str, stream: bool) -> None:
    scenario = gateway.scenario(says(dialect, "Arr!"), says(dialect, "Good day."))
    body: Json = {"model": MODELS[dialect], "input": "Hello.", "instructions": "Talk like a pirate."}
    first = gateway.ask(body, stream=stream)
    assert first.response["instructions"] == "Talk like a pirate."
    body = {"model": MODELS[dialect], "input": "Hello again.", "previous_response_id": first.response["id"]}
    second = gateway.ask(body, stream=stream)
    assert second.response["instructions"] is None
    assert "pirate" not in scenario.requests[1].body.decode()


@both_ways
def test_a_conversation_across_providers(gateway: Gateway, stream: bool) -> None:
    """A turn each, with a tool call and reasoning on the way; every provider sees the whole conversation."""
    previous: str | None = None
    heard: list[str] = []
    for n, dialect in enumerate(MODELS):
        call = ("get_weather", {"location": f"city {n}"})
        scenario = gateway.scenario(
            says(dialect, f"looking {n}", calls=[call], reasoning=f"thought {n}"),
            says(dialect, f"answer {n}"),
        )
        body: Json = {"model": MODELS[dialect], "input": f"question {n}", "tools": [WEATHER]}
        body["previous_response_id"] = previous
        asked = gateway.ask(body, stream=stream)
        [made] = asked.of("function_call")
        output = {"type": "function_call_output", "call_id": made["call_id"], "output": f"result {n}"}
        body |= {"input": [output], "previous_response_id": asked.response["id"]}
        told = gateway.ask(body, stream=stream)
        assert told.text == f"answer {n}"
        previous = told.response["id"]
        heard += [f"question {n}", f"looking {n}", f"city {n}", f"result {n}"]
        sent = scenario.requests[-1].body.decode()
        assert [text for text in heard if text not in sent] == []
        assert [sent.index(text) for text in heard] == sorted(sent.index(text) for text in heard)
        heard.append(f"answer {n}")


@both_ways
def test_the_built_in_model(gateway: Gateway, stream: bool) -> None:
    told = gateway.ask({"model": "echo", "input": "Is anybody there?"}, stream=stream)
    assert "Is anybody there?" in told.text
    again = {"model": "echo", "input": "Still there?", "previous_response_id": told.response["id"]}
    assert "Still there?" in gateway.ask(again, stream=stream).text
