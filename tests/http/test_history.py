"""Conversations: what the next turn sends to the provider, what is stored, listed, hidden, deleted."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

Json = dict[str, Any]
ROUTES = sorted(MODELS)
TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
STATE = "reasoning.encrypted_content"


def sent_text(request: Any) -> str:
    return str(request.body.decode())


@pytest.mark.parametrize("second", ROUTES)
@pytest.mark.parametrize("first", ROUTES)
def test_the_second_turn_carries_the_first_to_any_provider(gateway: Gateway, first: str, second: str) -> None:
    gateway.scenario(says(first, "Hello Alice", calls=[("get_time", {"tz": "UTC"})], reasoning="thinking"))
    one = gateway.ask(
        {"model": MODELS[first], "input": "My name is Alice.", "tools": [TOOL], "instructions": "Be brief."}
    )
    call = one.of("function_call")[0]
    scenario = gateway.scenario(says(second, "You are Alice."))
    two = gateway.ask(
        {
            "model": MODELS[second],
            "previous_response_id": one.response["id"],
            "input": [
                {"type": "function_call_output", "call_id": call["call_id"], "output": "12:34"},
                {"role": "user", "content": "What is my name?"},
            ],
            "tools": [TOOL],
        },
        stream=True,
    )
    assert two.text == "You are Alice."
    sent = sent_text(scenario.requests[0])
    places = [
        sent.find(said)
        for said in ("My name is Alice.", "Hello Alice", "get_time", "12:34", "What is my name?")
    ]
    assert -1 not in places
    assert "Be brief." not in sent, "instructions are not carried over"


def test_a_chain_of_many_turns(gateway: Gateway) -> None:
    previous = None
    for number in range(12):
        scenario = gateway.scenario(says("anthropic", f"answer {number}"))
        told = gateway.ask(
            {"model": MODELS["anthropic"], "input": f"question {number}", "previous_response_id": previous},
            stream=bool(number % 2),
        )
        previous = told.response["id"]
    messages = scenario.requests[0].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * 11 + ["user"]
    assert "answer 10" in str(messages[-2]) and "question 11" in str(messages[-1])


def test_a_conversation_can_fork(gateway: Gateway) -> None:
    gateway.scenario(says("ollama", "root"))
    root = gateway.ask({"model": MODELS["ollama"], "input": "start"}).response["id"]
    for branch in ("left", "right"):
        scenario = gateway.scenario(says("ollama", branch))
        gateway.ask({"model": MODELS["ollama"], "input": branch, "previous_response_id": root})
        assert len(scenario.requests[0].json["messages"]) == 3


def test_a_response_deleted_in_the_middle_ends_its_branch_alone(gateway: Gateway) -> None:
    def ask(text: str, previous: str | None = None) -> str:
        told = gateway.ask({"model": "echo", "input": text, "previous_response_id": previous})
        assert told.status == 200, told.error
        name: str = told.response["id"]
        return name

    root = ask("root")
    left, right = ask("left", root), ask("right", root)
    leaf = ask("leaf", left)
    assert gateway.delete(f"/responses/{left}").status_code == 200
    assert gateway.delete(f"/responses/{left}").status_code == 404
    for gone in (left, leaf):
        told = gateway.ask({"model": "echo", "input": "go on", "previous_response_id": gone})
        assert (told.status, told.error["code"]) == (404, "previous_response_not_found")
    assert gateway.get(f"/responses/{leaf}").status_code == 200
    assert ask("still there", right) and ask("and again", root)


def test_what_is_stored_is_what_was_told(gateway: Gateway) -> None:
    gateway.scenario(says("openai", "Hello", reasoning="hm"))
    told = gateway.ask({"model": MODELS["openai"], "input": "hi", "metadata": {"a": "b"}}, stream=True)
    path = f"/responses/{told.response['id']}"
    assert gateway.get(path).json() == told.response
    assert gateway.delete(path).json() == {"id": told.response["id"], "object": "response", "deleted": True}
    for reply in (gateway.get(path), gateway.delete(path), gateway.get(f"{path}/input_items")):
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "response_not_found"
    gone = gateway.ask(
        {"model": MODELS["openai"], "input": "on", "previous_response_id": told.response["id"]}
    )
    assert (gone.status, gone.error["code"], gone.error["param"]) == (
        404,
        "previous_response_not_found",
        "previous_response_id",
    )


def test_store_false_writes_nothing_but_reads(gateway: Gateway) -> None:
    gateway.scenario(says("gemini", "Hello"))
    kept = gateway.ask({"model": MODELS["gemini"], "input": "keep this"})
    before = gateway.stored()
    scenario = gateway.scenario(says("gemini", "Hello again"))
    told = gateway.ask(
        {
            "model": MODELS["gemini"],
            "input": "do not keep this",
            "store": False,
            "previous_response_id": kept.response["id"],
        }
    )
    assert "keep this" in sent_text(scenario.requests[0])
    assert gateway.stored() == before
    assert gateway.get(f"/responses/{told.response['id']}").status_code == 404


def test_provider_state_is_kept_and_shown_only_when_asked(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello", reasoning="let me think"))
    told = gateway.ask({"model": MODELS["anthropic"], "input": "hi"})
    path = f"/responses/{told.response['id']}"
    assert "encrypted_content" not in str(told.response)
    assert "encrypted_content" not in gateway.get(path).text
    for name in ("include", "include[]"):
        assert "encrypted_content" in gateway.get(f"{path}?{name}={STATE}").text
    gateway.scenario(says("anthropic", "Hello", reasoning="let me think"))
    asked = gateway.ask(
        {"model": MODELS["anthropic"], "input": "hi", "include": [STATE], "store": False}, stream=True
    )
    done = [event["item"] for event in asked.events if event["type"] == "response.output_item.done"]
    assert done[0]["encrypted_content"] == asked.response["output"][0]["encrypted_content"]


def test_reasoning_goes_back_to_its_own_provider_alone(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello", calls=[("get_time", {})], reasoning="let me think"))
    one = gateway.ask(
        {"model": MODELS["anthropic"], "input": "hi", "tools": [TOOL], "reasoning": {"effort": "low"}}
    )
    call = one.of("function_call")[0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    follow = {"input": [result], "tools": [TOOL], "previous_response_id": one.response["id"]}
    scenario = gateway.scenario(says("anthropic", "Noon."))
    gateway.ask({"model": MODELS["anthropic"], **follow, "reasoning": {"effort": "low"}})
    blocks = scenario.requests[0].json["messages"][1]["content"]
    assert (
        blocks[0]["type"] == "thinking" and blocks[0]["thinking"] == "let me think" and blocks[0]["signature"]
    )
    scenario = gateway.scenario(says("openai", "Noon."))
    gateway.ask({"model": MODELS["openai"], **follow})
    assert not [item for item in scenario.requests[0].json["input"] if item.get("type") == "reasoning"]


def test_an_item_reference_is_resolved(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "The answer is 42."))
    one = gateway.ask({"model": MODELS["anthropic"], "input": "What is it?"})
    scenario = gateway.scenario(says("anthropic", "I said 42."))
    reference = {"type": "item_reference", "id": one.response["output"][0]["id"]}
    told = gateway.ask(
        {
            "model": MODELS["anthropic"],
            "input": [{"role": "user", "content": "x"}, reference, {"role": "user", "content": "y"}],
        }
    )
    assert told.status == 200
    assert "The answer is 42." in str(scenario.requests[0].json["messages"][1])
    for unknown in ("msg_" + "0" * 32 + "_0", "msg_made_by_a_client"):
        refused = gateway.ask(
            {"model": MODELS["anthropic"], "input": [{"type": "item_reference", "id": unknown}]}, stream=True
        )
        assert (refused.status, refused.error["code"], refused.error["param"]) == (
            404,
            "item_not_found",
            "input[0].id",
        )


@pytest.mark.parametrize("bad", ["resp_" + "0" * 32, "resp_unknown", "x", "T#default#R#x", "é" * 50])
def test_an_unknown_previous_response(gateway: Gateway, bad: str) -> None:
    told = gateway.ask({"model": MODELS["openai"], "input": "hi", "previous_response_id": bad})
    assert (told.status, told.error["code"]) == (404, "previous_response_not_found")
    assert gateway.get(f"/responses/{bad.replace('#', '%23')}").status_code == 404


def test_input_items_in_pages(gateway: Gateway) -> None:
    gateway.scenario(says("openai", "Hello"))
    items = [{"role": "user", "content": f"line {number}"} for number in range(5)]
    response_id = gateway.ask({"model": MODELS["openai"], "input": items}).response["id"]
    path = f"/responses/{response_id}/input_items"
    everything = gateway.get(f"{path}?order=asc").json()
    texts = [item["content"][0]["text"] for item in everything["data"]]
    assert texts == [f"line {number}" for number in range(5)]
    assert [item["content"][0]["text"] for item in gateway.get(path).json()["data"]] == texts[::-1]
    assert everything["has_more"] is False
    first = gateway.get(f"{path}?order=asc&limit=2").json()
    assert (len(first["data"]), first["has_more"]) == (2, True)
    rest = gateway.get(f"{path}?order=asc&after={first['last_id']}").json()
    assert [*first["data"], *rest["data"]] == everything["data"]
    for query, param in (
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=nope", "after"),
    ):
        reply = gateway.get(f"{path}?{query}")
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_the_next_turn_at_once(gateway: Gateway) -> None:
    """A client that continues the moment it has seen the terminal event never misses its own turn."""
    previous = None
    for turns in range(20):
        scenario = gateway.scenario(says("ollama", "ok"))
        told = gateway.ask(
            {"model": MODELS["ollama"], "input": f"hi {turns}", "previous_response_id": previous}, stream=True
        )
        assert told.status == 200
        said = [message["content"] for message in scenario.requests[0].json["messages"]]
        assert said == [text for n in range(turns) for text in (f"hi {n}", "ok")] + [f"hi {turns}"]
        previous = told.response["id"]


def test_a_response_expires(gateway: Gateway, server: Any) -> None:
    gateway.scenario(says("ollama", "ok"))
    told = gateway.ask({"model": MODELS["ollama"], "input": "hi"})
    assert abs(told.response["created_at"] - time.time()) < 60
    assert abs(server.last_record.expires_at - (time.time() + 30 * 86400)) < 60


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "choice",
    ["none", {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "other"}]}],
)
def test_a_forbidden_call_is_never_passed_on(gateway: Gateway, route: str, choice: Any) -> None:
    gateway.scenario(says(route, "", calls=[("get_time", {})]))
    other = {**TOOL, "name": "other"}
    body = {"model": MODELS[route], "input": "hi", "tools": [TOOL, other], "tool_choice": choice}
    told = gateway.ask(body)
    assert (told.status, told.error["code"]) == (500, "model_error")
    told = gateway.ask(body, stream=True)
    assert "get_time" not in str(told.response.get("output"))


def test_a_refused_item_is_named_by_its_place_in_the_clients_own_input(gateway: Gateway) -> None:
    video = {"role": "user", "content": [{"type": "input_video", "video_url": "https://example.com/v.mp4"}]}
    gateway.scenario(says("anthropic", "Hello"))
    one = gateway.ask({"model": MODELS["anthropic"], "input": [{"role": "user", "content": "a"}] * 3})
    told = gateway.ask(
        {
            "model": MODELS["anthropic"],
            "input": [{"role": "user", "content": "b"}, video],
            "previous_response_id": one.response["id"],
        }
    )
    assert told.status == 400
    assert told.error["param"].startswith("input[1].content[0]")


def test_what_is_ignored_is_named_by_its_place_in_the_clients_own_input(gateway: Gateway) -> None:
    """What an earlier turn gave was named in its answer."""
    gateway.scenario(says("anthropic", "A dot."))
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8=", "detail": "high"}
    asked = {"model": MODELS["anthropic"], "input": [{"role": "user", "content": [image]}]}
    one = gateway.ask(asked)
    two = gateway.ask({**asked, "previous_response_id": one.response["id"]})
    assert [told.headers["x-openresponses-ignored"] for told in (one, two)] == [
        "input[0].content[0].detail"
    ] * 2
