"""A turn that is cut while the model calls tools that run here: every call that is kept is answered, or left out, so
that the conversation goes on from it at every provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openresponses.engine.context import Context
from openresponses.engine.middleware import TurnContext

from ..support import valid
from ..support.client import Told
from ..support.gateway import Gateway, Server, environment, with_bedrock
from ..support.provider import Answer, Provider
from ..support.speech import WITH_BEDROCK as MODELS
from ..support.speech import message, says
from ..support.waiting import wait_for

Json = dict[str, Any]
ROUTES = sorted(MODELS)
CALLS: list[tuple[str, Json]] = [("add", {"first": 1}), ("add", {"first": "twenty"})]
HOSTED = [{"type": "function", "name": "add"}]
OWN = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}
NOT_COMPLETED = "Error: the call was not completed."
# The end of an answer that has calls, and of one that was cut by its limit.
ENDS = {
    "anthropic": (b'"stop_reason": "tool_use"', b'"stop_reason": "max_tokens"'),
    "gemini": (b'"STOP"', b'"MAX_TOKENS"'),
    "ollama": (b'"done_reason": "stop"', b'"done_reason": "length"'),
    "chat": (b'"finish_reason": "tool_calls"', b'"finish_reason": "length"'),
    "bedrock": (
        message("messageStop", {"stopReason": "tool_use"}),
        message("messageStop", {"stopReason": "max_tokens"}),
    ),
    "openai": (
        b'"response.completed", "response": {"id": "resp_up", "object": "response", "created_at": 1, '
        b'"status": "completed", "error": null, "incomplete_details": null',
        b'"response.incomplete", "response": {"id": "resp_up", "object": "response", "created_at": 1, '
        b'"status": "incomplete", "error": null, "incomplete_details": {"reason": "max_output_tokens"}',
    ),
}


@pytest.fixture(scope="module")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = Path(tmp_path_factory.mktemp("config")) / "config.toml"
    config.write_text('[[tool]]\nname = "add"\npython = "tests.engine.test_hosted_tools:add"\n')
    with pytest.MonkeyPatch.context() as patched:
        environ = with_bedrock(environment(provider.url), patched)
        started = Server(environ, config_path=str(config), max_turn_seconds=0.7).start()
        yield started
        started.stop()


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    return Gateway(server.url, provider, http, lambda: server.stored)


def limited(route: str, calls: list[tuple[str, Json]] = CALLS) -> Answer:
    """What the model says until its limit is reached in the last call."""
    answer = says(route, "Let me see.", calls=calls, reasoning="hm")
    found, cut = ENDS[route]
    body = answer.body.replace(b'"event: response.completed', b'"event: response.incomplete')
    assert body.count(found) == 1
    return replace(answer, body=body.replace(found, cut))


def hanging(route: str, calls: list[tuple[str, Json]] = CALLS) -> Answer:
    """A provider that says no more once it has begun the second call."""
    answer = says(route, "Let me see.", calls=calls, reasoning="hm")
    place = answer.body.index(b'ty\\"}')
    return replace(answer, pieces=[answer.body[:place]], ending="hang")


def ask(gateway: Gateway, route: str, *tools: Json, **fields: Any) -> Told:
    body = {"model": MODELS[route], "input": "go", "tools": list(tools or HOSTED), **fields}
    return gateway.ask(body, stream=True)


def goes_on(gateway: Gateway, route: str, *tools: Json, **fields: Any) -> str:
    """What the provider is asked in the turn after, if that is one that it takes."""
    scenario = gateway.scenario(says(route, "Fine."))
    again = ask(gateway, route, *tools, **fields)
    assert (again.status, again.text) == (200, "Fine."), again.error
    valid.check(route, scenario.requests[0].json)
    return scenario.requests[0].body.decode()


def statuses(told: Told) -> list[tuple[str, str]]:
    return [
        (item["type"], item["status"]) for item in told.output if item["type"] not in ("reasoning", "message")
    ]


@pytest.mark.parametrize("route", ROUTES)
def test_by_the_answers_limit(gateway: Gateway, route: str) -> None:
    """In the middle of a call, behind a whole one."""
    gateway.scenario(limited(route))
    told = ask(gateway, route)
    assert told.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert statuses(told) == [("function_call", "completed"), ("function_call", "incomplete")]
    sent = goes_on(gateway, route, input="And?", previous_response_id=told.response["id"])
    assert NOT_COMPLETED in sent and "twenty" not in sent


@pytest.mark.parametrize("route", ROUTES)
def test_by_the_items_themselves(gateway: Gateway, route: str) -> None:
    """What is wrong before and behind them is named as the client counts."""
    gateway.scenario(limited(route, [("add", {"first": 7}), *CALLS]))
    told = ask(gateway, route, store=False, include=["reasoning.encrypted_content"])
    given = [{"role": "user", "content": "go"}, *told.output, {"role": "user", "content": "And?"}]
    sent = goes_on(gateway, route, input=given, store=False)
    assert NOT_COMPLETED in sent and "twenty" not in sent
    if route in ("anthropic", "ollama", "bedrock"):
        part = {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "wav"}}
        heard = {"role": "user", "content": [part]}
        for place, items in ((0, [heard, *given]), (len(given), [*given, heard])):
            refused = ask(gateway, route, input=items, store=False)
            assert (refused.status, refused.error["param"].split(".")[0]) == (400, f"input[{place}]")


def test_what_is_wrong_with_what_the_turn_has_said_is_no_place_in_the_input() -> None:
    """Its samples see more than the context: the calls that ran here, and their outputs."""
    said, given = {"type": "message", "role": "assistant"}, {"type": "message", "role": "user"}
    context = Context([said, given], [given], [-1, 0])
    params = [context.param(f"input[{place}].content") for place in range(3)]
    assert params == ["previous_response_id", "input[0].content", None]


@pytest.mark.parametrize("route", ROUTES)
def test_in_a_conversation(gateway: Gateway, route: str) -> None:
    made = gateway.http.post(f"{gateway.base_url}/v1/conversations", json={}).json()
    gateway.scenario(limited(route))
    ask(gateway, route, conversation=made["id"])
    for _ in range(2):
        sent = goes_on(gateway, route, input="And?", conversation=made["id"])
        assert sent.count(NOT_COMPLETED) == 1 and "twenty" not in sent


@pytest.mark.parametrize("route", ROUTES)
def test_the_clients_own_whole_call_can_be_answered_still(gateway: Gateway, route: str) -> None:
    gateway.scenario(limited(route, [("mine", {"n": 1}), ("add", {"first": "twenty"})]))
    told = ask(gateway, route, *HOSTED, OWN)
    [call, cut] = told.of("function_call")
    assert (call["status"], cut["status"]) == ("completed", "incomplete")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "one"}
    by_id = {"previous_response_id": told.response["id"]}
    sent = goes_on(gateway, route, *HOSTED, OWN, input=[result], **by_id)
    assert '"one"' in sent and NOT_COMPLETED not in sent
    sent = goes_on(gateway, route, *HOSTED, OWN, input="And?", **by_id)
    assert NOT_COMPLETED in sent


@pytest.mark.parametrize("route", ["anthropic", "chat", "openai"])
def test_a_cut_call_that_the_client_answers_is_told_in_json(gateway: Gateway, route: str) -> None:
    """What parses the history, as vLLM does, would refuse the conversation for ever."""
    gateway.scenario(hanging(route, [("mine", {"n": 1}), ("mine", {"first": "twenty"})]))
    told = ask(gateway, route, OWN)
    calls = told.of("function_call")
    assert [call["arguments"] for call in calls] == ['{"n": 1}', '{"first": "twen']
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": call["status"]}
        for call in calls
    ]
    sent = goes_on(gateway, route, OWN, input=results, previous_response_id=told.response["id"])
    assert "twen" in sent and '"incomplete"' in sent and NOT_COMPLETED not in sent


@pytest.mark.parametrize("route", ["anthropic", "chat", "openai"])
def test_by_the_turns_time(gateway: Gateway, route: str) -> None:
    gateway.scenario(hanging(route))
    told = ask(gateway, route)
    assert told.response["incomplete_details"] == {"reason": "time_limit"}
    assert statuses(told) == [("function_call", "completed"), ("function_call", "incomplete")]
    assert NOT_COMPLETED in goes_on(gateway, route, previous_response_id=told.response["id"])


@pytest.mark.parametrize("route", ["anthropic", "openai"])
def test_behind_a_whole_call(gateway: Gateway, route: str) -> None:
    """Nothing is cut: the answer itself tells the output."""
    answer = says(route, calls=CALLS[:1])
    end = answer.body.rindex(
        b"event: message_delta" if route == "anthropic" else b"event: response.completed"
    )
    gateway.scenario(replace(answer, pieces=[answer.body[:end]], ending="hang"))
    told = ask(gateway, route)
    assert told.response["incomplete_details"] == {"reason": "time_limit"}
    assert statuses(told) == [("function_call", "completed"), ("function_call_output", "completed")]
    assert told.output[-1]["output"] == NOT_COMPLETED
    assert NOT_COMPLETED in goes_on(gateway, route, previous_response_id=told.response["id"])


class Stops:
    """Stops the server behind a sample whose calls are due."""

    async def after_sample(self, turn: TurnContext) -> None:
        draining = asyncio.create_task(turn.services.turns.drain(0))
        await asyncio.sleep(0.05)
        draining.cancel()


def test_by_a_server_that_stops_before_they_run(
    provider: Provider, http: httpx.Client, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[[tool]]\nname = "add"\npython = "tests.engine.test_hosted_tools:add"\n'
        '[[middleware]]\npython = "tests.engine.test_cut_calls:Stops"\n'
    )
    server = Server(environment(provider.url), config_path=str(config)).start()
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario(says("chat", calls=CALLS[:1]))
    told = ask(gateway, "chat")
    server.stop()
    assert told.response["incomplete_details"] == {"reason": "server_stopped"}
    assert statuses(told) == [("function_call", "incomplete")]


@pytest.mark.parametrize("route", ["anthropic", "openai"])
def test_by_a_client_that_leaves(gateway: Gateway, route: str) -> None:
    gateway.scenario(hanging(route))
    body = {"model": MODELS[route], "input": "go", "tools": HOSTED, "stream": True}
    with gateway.http.stream("POST", f"{gateway.base_url}/v1/responses", json=body) as reply:
        lines = (line for line in reply.iter_lines() if line.startswith("data: "))
        events = (json.loads(line.removeprefix("data: ")) for line in lines)
        response_id = next(events)["response"]["id"]
        added = (event for event in events if event["type"] == "response.output_item.added")
        assert [next(added)["item"]["type"] for _ in range(4)][-2:] == ["function_call"] * 2
    wait_for(lambda: gateway.get(f"/responses/{response_id}").status_code == 200)
    stored = gateway.get(f"/responses/{response_id}").json()
    assert stored["incomplete_details"] == {"reason": "client_disconnected"}
    assert NOT_COMPLETED in goes_on(gateway, route, previous_response_id=response_id)
