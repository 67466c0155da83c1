"""Tool search that the client runs, on providers that have none: Codex finds the tools of its MCP servers by it."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

Json = dict[str, Any]

SEARCH: Json = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}
NOW: Json = {"type": "function", "name": "now", "description": "The time.", "defer_loading": True,
             "parameters": {"type": "object", "properties": {}}}  # fmt: skip
FOUND: Json = {"type": "namespace", "name": "clock", "description": "Clocks.", "tools": [NOW]}
ASKED: Json = {"role": "user", "content": "What time is it?"}

translated = pytest.mark.parametrize("dialect", ["anthropic", "gemini", "ollama", "chat"])


@translated
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("by_id", [False, True], ids=["history", "chain"])
def test_what_the_client_finds_is_offered(gateway: Gateway, dialect: str, stream: bool, by_id: bool) -> None:
    asked = {"model": MODELS[dialect], "tools": [SEARCH]}
    scenario = gateway.scenario(
        says(dialect, calls=[("tool_search", {"query": "time"})]),
        says(dialect, calls=[("clock__now", {})]),
    )
    told = gateway.ask({**asked, "input": [ASKED]}, stream=stream)
    [search] = told.output
    assert (search["type"], search["execution"], search["status"]) == (
        "tool_search_call",
        "client",
        "completed",
    )
    assert search["arguments"] == {"query": "time"}
    result = {"type": "tool_search_output", "execution": "client", "status": "completed",
              "call_id": search["call_id"], "tools": [FOUND]}  # fmt: skip
    more: Json = {"input": [ASKED, search, result]}
    if by_id:
        more = {"previous_response_id": told.response["id"], "input": [result]}
    [call] = gateway.ask({**asked, **more}, stream=stream).output
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "clock", "now")
    first, second = (request.body.decode() for request in scenario.requests)
    assert "Finds tools." in first and "clock__now" not in first
    assert "The time." in second and "from now on: clock__now" in second


def test_a_result_without_its_search_is_refused(gateway: Gateway) -> None:
    result = {"type": "tool_search_output", "execution": "client", "call_id": "call_x", "tools": [FOUND]}
    told = gateway.ask({"model": MODELS["chat"], "tools": [SEARCH], "input": [ASKED, result]})
    assert (told.status, told.error["param"]) == (400, "input[1].call_id")


@translated
def test_a_function_of_that_name_stays_one(gateway: Gateway, dialect: str) -> None:
    own = {"type": "function", "name": "tool_search", "parameters": {"type": "object", "properties": {}}}
    gateway.scenario(says(dialect, calls=[("tool_search", {})]))
    [call] = gateway.ask({"model": MODELS[dialect], "tools": [SEARCH, own], "input": [ASKED]}).output
    assert (call["type"], call["name"]) == ("function_call", "tool_search")


def test_openai_runs_the_same_itself(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("openai", "Noon."))
    search = {
        "type": "tool_search_call",
        "execution": "client",
        "call_id": "call_s",
        "arguments": {"query": "time"},
    }
    result = {"type": "tool_search_output", "execution": "client", "call_id": "call_s", "tools": [FOUND]}
    told = gateway.ask({"model": MODELS["openai"], "tools": [SEARCH], "input": [ASKED, search, result]})
    assert told.text == "Noon."
    sent = scenario.requests[0].json
    assert sent["tools"] == [SEARCH] and sent["input"][1:] == [search, result]
