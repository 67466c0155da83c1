"""The original's quick start (OpenResponses for Elixir, Getting Started): its four requests as they stand there.

Only the port differs. A scripted provider stands behind each of them; what it was asked shows which API was reached.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.grammar import parse
from ..support.speech import says

Json = dict[str, Any]

BEAM = {"model": "gpt-4o", "input": [{"role": "user", "content": "Explain the BEAM in one sentence."}]}
HAIKU = {
    "model": "gpt-4o",
    "stream": True,
    "input": [{"role": "user", "content": "Write a haiku about Elixir."}],
}
GET_TIME = {
    "type": "function",
    "name": "get_time",
    "description": "Get the current time in a given timezone",
    "parameters": {
        "type": "object",
        "properties": {"timezone": {"type": "string"}},
        "required": ["timezone"],
    },
}
TOKYO = {
    "model": "claude-opus-4-6",
    "input": [{"role": "user", "content": "What time is it in Tokyo?"}],
    "tools": [GET_TIME],
}


def post(gateway: Gateway, body: Json, **headers: str) -> Any:
    """The request as curl sends it."""
    sent = {"Content-Type": "application/json", **headers}
    return gateway.http.post(
        f"{gateway.base_url}/v1/responses", content=json.dumps(body).encode(), headers=sent
    )


def text_of(response: Json) -> str:
    [message] = [item for item in response["output"] if item["type"] == "message"]
    assert message["role"] == "assistant" and message["status"] == "completed"
    [part] = message["content"]
    assert part["type"] == "output_text"
    return str(part["text"])


def test_a_first_request(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("openai", "The BEAM is a virtual machine."))
    reply = post(gateway, BEAM)
    assert reply.status_code == 200
    response = reply.json()
    assert (response["object"], response["status"]) == ("response", "completed")
    assert text_of(response) == "The BEAM is a virtual machine."
    assert [request.path for request in scenario.requests] == ["/v1/responses"]
    assert scenario.requests[0].json["input"][0]["content"] == [
        {"type": "input_text", "text": "Explain the BEAM in one sentence."}
    ]


def test_streaming(gateway: Gateway) -> None:
    gateway.scenario(says("openai", "Concurrent streams flow"))
    reply = post(gateway, HAIKU, Accept="text/event-stream")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.content.endswith(b"data: [DONE]\n\n")
    events = parse(reply.content)
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert events[0]["response"]["status"] == "queued"
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert len(deltas) > 1 and "".join(deltas) == "Concurrent streams flow"
    assert text_of(events[-1]["response"]) == "Concurrent streams flow"


def test_a_tool_call_and_its_result(gateway: Gateway) -> None:
    scenario = gateway.scenario(
        says("anthropic", calls=[("get_time", {"timezone": "Asia/Tokyo"})]), says("anthropic", "It is 09:41.")
    )
    first = post(gateway, TOKYO).json()
    assert first["status"] == "completed"
    [call] = first["output"]
    assert (call["type"], call["name"]) == ("function_call", "get_time")
    assert json.loads(call["arguments"]) == {"timezone": "Asia/Tokyo"}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "09:41"}
    second = post(
        gateway, {"model": "claude-opus-4-6", "previous_response_id": first["id"], "input": [result]}
    ).json()
    assert text_of(second) == "It is 09:41."
    assert [request.path for request in scenario.requests] == ["/v1/messages"] * 2
    told = scenario.requests[1].json["messages"]
    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert told[1]["content"][-1]["id"] == told[2]["content"][0]["tool_use_id"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation(gateway: Gateway, stream: bool) -> None:
    scenario = gateway.scenario(says("openai", "Hello, Alice!"), says("openai", "Your name is Alice."))
    turn: Json = {"model": "gpt-4o", "input": [{"role": "user", "content": "My name is Alice."}]}
    first = gateway.ask(turn, stream=stream).response
    turn = {
        "model": "gpt-4o",
        "previous_response_id": first["id"],
        "input": [{"role": "user", "content": "What is my name?"}],
    }
    second = gateway.ask(turn, stream=stream).response
    assert text_of(second) == "Your name is Alice."
    assert second["previous_response_id"] == first["id"] != second["id"]
    told = [
        (item["role"], part["text"])
        for item in scenario.requests[1].json["input"]
        for part in item["content"]
    ]
    assert told == [
        ("user", "My name is Alice."),
        ("assistant", "Hello, Alice!"),
        ("user", "What is my name?"),
    ]


# Prefix -> a model of it, the wire format that its provider speaks, the path that it must be asked at.
PREFIXES = {
    "gpt-*": ("gpt-4o", "openai", "/v1/responses"),
    "claude-*": ("claude-opus-4-6", "anthropic", "/v1/messages"),
    "gemini-*": (
        "gemini-2.5-flash",
        "gemini",
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    ),
    "llama*": ("llama3.2", "ollama", "/api/chat"),
    "mistral*": ("mistral-nemo", "ollama", "/api/chat"),
    "phi*": ("phi4", "ollama", "/api/chat"),
    "qwen*": ("qwen3:8b", "ollama", "/api/chat"),
}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_which_api_a_prefix_reaches(gateway: Gateway, prefix: str) -> None:
    model, dialect, path = PREFIXES[prefix]
    scenario = gateway.scenario(says(dialect, "Hello"))
    told = gateway.ask({"model": model, "input": "Hi"})
    assert told.text == "Hello"
    [request] = scenario.requests
    assert request.path == path
    assert request.json.get("model", model) == model


def test_the_same_requests_without_a_key(gateway: Gateway) -> None:
    """With "echo" in place of the model, for a person who has no key."""
    assert "Explain the BEAM" in text_of(post(gateway, {**BEAM, "model": "echo"}).json())
    assert post(gateway, {**HAIKU, "model": "echo"}).content.endswith(b"data: [DONE]\n\n")
    [call] = post(gateway, {**TOKYO, "model": "echo"}).json()["output"]
    assert json.loads(call["arguments"]) == {"timezone": "Tokyo"}


def test_an_unknown_model_is_not_guessed(gateway: Gateway) -> None:
    told = gateway.ask({**BEAM, "model": "gtp-4o"})
    assert (told.status, told.error["code"], told.error["param"]) == (404, "model_not_found", "model")
    assert "gpt-4o" in told.error["message"]


def test_a_key_in_the_body_is_ignored_and_not_kept(gateway: Gateway) -> None:
    """The original's 0.1.1 takes `api_key` from the body; here it is an unknown field."""
    scenario = gateway.scenario(says("openai", "Hello"))
    told = gateway.ask({**BEAM, "api_key": "sk-canary-of-the-test"})
    assert told.text == "Hello"
    kept = gateway.get(f"/responses/{told.response['id']}").text
    request = scenario.requests[0]
    assert "canary" not in kept and b"canary" not in request.body
    assert not any("canary" in value for value in request.headers.values())
