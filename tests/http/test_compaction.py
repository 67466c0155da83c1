"""`POST /v1/responses/compact`: what comes back, who can read it, and that a conversation goes on from it anywhere."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from openresponses.engine.caller import Caller
from openresponses.engine.compaction import ASK
from openresponses.http.app import create_app
from openresponses.sealing import Keyring, Sealer
from openresponses.secrets import EnvironmentSecrets
from openresponses.settings import Settings
from openresponses.store.sqlite import SQLiteStore

from ..support import schema
from ..support.client import checked_error
from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import MODELS, USAGE, says
from ..support.waiting import wait_for

Json = dict[str, Any]
ROUTES = sorted(MODELS)
TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
SUMMARY = "They launch on Tuesday; support is told first."


def message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def compact(gateway: Gateway, **body: Any) -> Json:
    """The compacted resource, checked in form."""
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses/compact", json=body)
    assert reply.status_code == 200, reply.text
    resource: Json = reply.json()
    schema.check("CompactResource", resource)
    return resource


def refused(gateway: Gateway, path: str = "/compact", **body: Any) -> Json:
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses{path}", json=body)
    assert reply.status_code == 400, reply.text
    return checked_error(reply)


def approval(wanted: str, approve: bool = True) -> Json:
    return {"type": "mcp_approval_response", "approval_request_id": wanted, "approve": approve}


def kinds(items: list[Json]) -> list[str]:
    return [str(item.get("role", item["type"])) for item in items]


# --------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize("route", ROUTES)
def test_what_a_compaction_holds(gateway: Gateway, route: str) -> None:
    scenario = gateway.scenario(says(route, SUMMARY))
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=", "detail": "auto"}
    first = {"role": "user", "content": [{"type": "input_text", "text": "When do we launch?"}, image]}
    resource = compact(
        gateway,
        model=MODELS[route],
        instructions="Answer in French.",
        input=[
            message("developer", "Never deploy on Friday."),
            first,
            message("assistant", "On Tuesday."),
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "notify",
                "arguments": '{"whom":"support"}',
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "support was told"},
            message("user", "Thanks. And the time?"),
            {"type": "function_call", "call_id": "call_2", "name": "get_time", "arguments": "{}"},
        ],
    )
    assert kinds(resource["output"]) == ["developer", "user", "user", "compaction", "function_call"]
    assert resource["output"][1]["content"] == first["content"]
    assert resource["output"][-1]["call_id"] == "call_2"
    assert resource["usage"]["total_tokens"] == sum(USAGE)
    assert SUMMARY not in json.dumps(resource)
    assert len(scenario.requests) == 1
    sent = json.dumps(scenario.requests[0].json, ensure_ascii=False)
    told = ("Answer in French.", "On Tuesday.", "notify", "support was told", "get_time", "Write down all")
    places = [sent.find(part) for part in told[1:]]
    assert -1 not in places and places == sorted(places) and told[0] in sent
    assert "aGVsbG8=" in sent, "images are part of what is summarized"


@pytest.mark.parametrize("output", [[1], [{}], {"type": "computer_screenshot"}, None])
def test_an_output_of_a_tool_of_openais_is_any_json(gateway: Gateway, output: Any) -> None:
    items = [
        {"role": "user", "content": "Look."},
        {"type": "apply_patch_call_output", "id": "a", "output": output},
    ]
    reply = gateway.http.post(
        f"{gateway.base_url}/v1/responses/compact", json={"model": "echo", "input": items}
    )
    assert reply.status_code == 200, reply.text


def test_it_needs_no_tools_and_stores_nothing(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("anthropic", SUMMARY))
    stored = gateway.stored()
    image = {"type": "input_image", "image_url": "https://x.example/i.png"}
    listed = [{"type": "input_text", "text": "a.txt"}, image]
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    resource = compact(
        gateway,
        model=MODELS["anthropic"],
        input=[
            message("user", "hi"),
            {"type": "custom_tool_call", "call_id": "c", "name": "shell", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": listed},
            {**search, "action": {"query": "weather"}, "blob": "B64" * 5000},
            {"type": "reasoning", "summary": [], "encrypted_content": "b3BhcXVl"},
        ],
    )
    sent = scenario.requests[0].json
    assert "tools" not in sent and "tool_use" not in json.dumps(sent)
    assert all(part in json.dumps(sent) for part in ("ls", "a.txt", "https://x.example/i.png", "weather"))
    assert "B64" not in json.dumps(sent) and "b3BhcXVl" not in json.dumps(sent)
    assert gateway.stored() == stored
    assert gateway.get(f"/responses/{resource['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [message("user", "hi")]}, "model"),
        ({"model": "echo"}, "input"),
        ({"model": "echo", "input": [{"type": "message", "role": "user"}]}, "input[0].content"),
        ({"model": "echo", "input": "hi", "instructions": 5}, "instructions"),
        (
            {"model": "echo", "input": [{"type": "compaction", "encrypted_content": "ors1.0.x"}]},
            "input[0].encrypted_content",
        ),
        (
            {"model": "echo", "input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
            "input[0].call_id",
        ),
        (
            {"model": "echo", "input": [message("user", "hi"), approval("mcpr_unknown")]},
            "input[1].approval_request_id",
        ),
    ],
)
def test_what_is_wrong_is_named(gateway: Gateway, body: Json, param: str) -> None:
    assert refused(gateway, **body)["param"] == param


def test_what_the_model_cannot_be_given_is_named_as_the_client_counts(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "ok"))
    one = gateway.ask({"model": MODELS["anthropic"], "input": "hi"})
    audio = {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "wav"}}
    items = [
        {"type": "reasoning", "summary": []},
        {"role": "user", "content": [audio]},
    ]
    error = refused(gateway, model=MODELS["anthropic"], previous_response_id=one.response["id"], input=items)
    assert error["param"].startswith("input[1]")


@pytest.mark.parametrize(("approve", "kept"), [(True, ["mcp_approval_request"]), (False, [])])
def test_a_call_that_is_approved_is_asked_for_again(gateway: Gateway, approve: bool, kept: list[str]) -> None:
    asked = {
        "type": "mcp_approval_request",
        "id": "mcpr_1",
        "server_label": "math",
        "name": "add",
        "arguments": "{}",
    }
    gateway.scenario(says("openai", SUMMARY))
    items = [message("user", "hi"), asked, approval("mcpr_1", approve)]
    resource = compact(gateway, model=MODELS["openai"], input=items)
    assert kinds(resource["output"]) == ["user", "compaction", *kept]


@pytest.mark.parametrize("text", ["", "   "])
def test_no_summary_is_an_error(gateway: Gateway, text: str) -> None:
    gateway.scenario(says("openai", text))
    reply = gateway.http.post(
        f"{gateway.base_url}/v1/responses/compact", json={"model": MODELS["openai"], "input": "hi"}
    )
    assert (reply.status_code, checked_error(reply)["code"]) == (500, "model_error")


def test_a_provider_that_fails_is_told(gateway: Gateway) -> None:
    gateway.scenario(Answer(b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', status=429))
    reply = gateway.http.post(
        f"{gateway.base_url}/v1/responses/compact", json={"model": MODELS["openai"], "input": "hi"}
    )
    assert (reply.status_code, checked_error(reply)["code"]) == (429, "rate_limit_exceeded")


def test_a_client_that_leaves_ends_the_providers_work(gateway: Gateway) -> None:
    scenario = gateway.scenario(Answer(ending="hang"))
    with pytest.raises(httpx.ReadTimeout):
        url = f"{gateway.base_url}/v1/responses/compact"
        httpx.post(url, json={"model": MODELS["openai"], "input": "hi"}, timeout=0.3, trust_env=False)
    gone = time.monotonic()
    wait_for(lambda: scenario.requests[0].left)
    assert (scenario.requests[0].left or 0.0) - gone < 1


# --------------------------------------------------------------------------- going on from it


@pytest.mark.parametrize("second", ROUTES)
@pytest.mark.parametrize("first", ROUTES)
def test_a_long_chain_is_compacted_and_goes_on_anywhere(gateway: Gateway, first: str, second: str) -> None:
    previous, call_id = None, ""
    for number in range(4):
        gateway.scenario(says(first, f"answer {number}", calls=[("get_time", {})], reasoning="thinking"))
        calls: list[Json] = []
        if number:
            calls = [{"type": "function_call_output", "call_id": call_id, "output": "12:34"}]
        told = gateway.ask(
            {
                "model": MODELS[first],
                "input": [*calls, message("user", f"question {number}")],
                "previous_response_id": previous,
                "tools": [TOOL],
            }
        )
        previous, call_id = told.response["id"], told.of("function_call")[0]["call_id"]
    gateway.scenario(says(first, SUMMARY))
    compacted = compact(gateway, model=MODELS[first], previous_response_id=previous)["output"]
    assert kinds(compacted) == [*["user"] * 4, "compaction", "function_call"]

    scenario = gateway.scenario(says(second, "It is 12:34."))
    result = {"type": "function_call_output", "call_id": compacted[-1]["call_id"], "output": "13:57"}
    on = gateway.ask({"model": MODELS[second], "input": [*compacted, result], "tools": [TOOL]}, stream=True)
    assert on.text == "It is 12:34."
    sent = json.dumps(scenario.requests[0].json)
    places = [sent.find(part) for part in ("question 0", "question 3", SUMMARY, "get_time", "13:57")]
    assert -1 not in places
    assert "answer 0" not in sent and "12:34" not in sent and "ors1." not in sent

    # And from there by its id: the stored turn holds the token, the model sees the words.
    scenario = gateway.scenario(says(first, "done"))
    gateway.ask({"model": MODELS[first], "input": "go on", "previous_response_id": on.response["id"]})
    sent = json.dumps(scenario.requests[0].json)
    assert SUMMARY in sent and "It is 12:34." in sent and "ors1." not in sent
    items = gateway.get(f"/responses/{on.response['id']}/input_items?order=asc").json()["data"]
    assert [item for item in items if item["type"] == "compaction"] == [compacted[4]]


def test_a_compaction_of_a_compaction(gateway: Gateway) -> None:
    gateway.scenario(says("gemini", SUMMARY))
    once = compact(gateway, model=MODELS["gemini"], input=[message("user", "one"), message("assistant", "1")])
    scenario = gateway.scenario(says("ollama", "All of it."))
    twice = compact(gateway, model=MODELS["ollama"], input=[*once["output"], message("user", "two")])
    assert SUMMARY in json.dumps(scenario.requests[0].json)
    assert kinds(twice["output"]) == ["user", "user", "compaction"]
    scenario = gateway.scenario(says("openai", "ok"))
    gateway.ask({"model": MODELS["openai"], "input": twice["output"]})
    sent = json.dumps(scenario.requests[0].json)
    assert "All of it." in sent and SUMMARY not in sent


def test_echo_compacts_too(gateway: Gateway) -> None:
    output = compact(gateway, model="echo", input=[message("user", "Tuesday"), message("assistant", "ok")])[
        "output"
    ]
    told = gateway.ask({"model": "echo", "input": [*output, message("user", "And now?")]})
    assert told.text.startswith("You said: And now?") and "Tuesday" in told.text


# --------------------------------------------------------------------------- whose it is

FOREIGN = Keyring(["k" * 40]).seal("default", "compaction", b'{"summary":"of another deployment"}')


@pytest.mark.parametrize("route", [*ROUTES, "echo"])
@pytest.mark.parametrize(
    "token",
    [FOREIGN, FOREIGN[:-4] + "AAAA", "ors1.", "or1.nobody.e30="],
    ids=["foreign", "tampered", "empty", "of nobody"],
)
def test_what_cannot_be_read_is_named(gateway: Gateway, route: str, token: str) -> None:
    items = [message("user", "hi"), {"type": "compaction", "encrypted_content": token}]
    error = refused(gateway, "", model=MODELS.get(route, "echo"), input=items)
    assert (error["code"], error["param"]) == ("invalid_value", "input[1].encrypted_content")
    assert token not in error["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_openai_own_compaction_is_for_openai_alone(gateway: Gateway, route: str) -> None:
    items = [message("user", "hi"), {"type": "compaction", "encrypted_content": "gAAAAABopaque"}]
    if route != "openai":
        error = refused(gateway, "", model=MODELS[route], input=items)
        assert error["param"] == "input[1].encrypted_content"
        return
    scenario = gateway.scenario(says("openai", "ok"))
    assert gateway.ask({"model": MODELS["openai"], "input": items}).status == 200
    assert scenario.requests[0].json["input"][1] == {
        "type": "compaction",
        "encrypted_content": "gAAAAABopaque",
    }


@asynccontextmanager
async def tenants(sealer: Sealer) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway whose tenant is named by a header, with echo only."""

    async def caller_of(request: Any) -> Caller:
        return Caller(request.headers["x-tenant"])

    app = create_app(
        Settings.load({}),
        SQLiteStore(":memory:", 3600),
        EnvironmentSecrets({}),
        authenticate=caller_of,
        sealer=sealer,
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway/v1") as client:
        yield client


async def test_it_is_read_by_its_tenant_and_after_a_restart() -> None:
    body = {"model": "echo", "input": [message("user", "secret plan")]}
    key = "k" * 40
    async with tenants(Sealer(lambda: key)) as client:
        reply = await client.post("/responses/compact", json=body, headers={"x-tenant": "one"})
        output = reply.json()["output"]
        other = await client.post(
            "/responses", json={**body, "input": output[1:]}, headers={"x-tenant": "two"}
        )
        assert other.status_code == 400
        assert other.json()["error"]["param"] == "input[0].encrypted_content"
    async with tenants(Sealer(lambda: f"{'n' * 40}\n{key}")) as client:
        mine = await client.post("/responses", json={**body, "input": output}, headers={"x-tenant": "one"})
        assert mine.status_code == 200 and "secret plan" in mine.text


async def test_an_earlier_turn_that_can_be_read_no_more_is_named_as_such() -> None:
    text = "a" * 40
    sealer = Sealer(lambda: text)
    headers = {"x-tenant": "one"}
    async with tenants(sealer) as client:
        body = {"model": "echo", "input": [message("user", "hello")]}
        output = (await client.post("/responses/compact", json=body, headers=headers)).json()["output"]
        turn = (await client.post("/responses", json={**body, "input": output}, headers=headers)).json()
        text, sealer._keyring = "b" * 40, None  # the key is lost
        on = await client.post(
            "/responses",
            json={"model": "echo", "input": "on", "previous_response_id": turn["id"]},
            headers=headers,
        )
    assert on.status_code == 400
    assert on.json()["error"]["param"] == "previous_response_id"


def test_the_words_of_the_request_obey_no_command_of_echo() -> None:
    from openresponses.adapters.echo import COMMAND

    assert not COMMAND.search(ASK)
