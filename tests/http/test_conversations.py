"""Conversations over HTTP, and by the openai SDK's own methods."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

Json = dict[str, Any]
ROUTES = sorted(MODELS)


@pytest.fixture
def sdk(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key="any", max_retries=0)


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": text}


def texts(page: Any) -> list[str]:
    return [item.content[0].text for item in page.data if item.type == "message"]


def test_every_method_of_the_sdk(sdk: openai.OpenAI) -> None:
    conversation = sdk.conversations.create(items=[user("one")], metadata={"topic": "a"})
    assert conversation.object == "conversation"
    assert sdk.conversations.retrieve(conversation.id).metadata == {"topic": "a"}
    assert sdk.conversations.update(conversation.id, metadata={"topic": "b"}).metadata == {"topic": "b"}
    added = sdk.conversations.items.create(conversation.id, items=[user("two"), user("three")])
    assert texts(added) == ["two", "three"]
    listed = sdk.conversations.items.list(conversation.id, order="asc")
    assert texts(listed) == ["one", "two", "three"]
    assert texts(sdk.conversations.items.list(conversation.id)) == ["three", "two", "one"]
    first = sdk.conversations.items.list(conversation.id, order="asc", limit=1)
    assert first.has_more
    assert [item.content[0].text for item in first] == ["one", "two", "three"], "the SDK follows the pages"  # type: ignore[union-attr,index]
    item = listed.data[1]
    assert item.id and sdk.conversations.items.retrieve(item.id, conversation_id=conversation.id) == item
    assert sdk.conversations.items.delete(item.id, conversation_id=conversation.id).id == conversation.id
    assert texts(sdk.conversations.items.list(conversation.id, order="asc")) == ["one", "three"]
    assert sdk.conversations.delete(conversation.id).deleted
    with pytest.raises(openai.NotFoundError) as gone:
        sdk.conversations.retrieve(conversation.id)
    assert gone.value.code == "conversation_not_found"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_a_turn_reads_and_extends_it(gateway: Gateway, sdk: openai.OpenAI, route: str, stream: bool) -> None:
    conversation = sdk.conversations.create(items=[user("My name is Alice.")])
    for number, given in enumerate((conversation.id, {"id": conversation.id})):
        scenario = gateway.scenario(says(route, f"answer {number}"))
        told = gateway.ask(
            {"model": MODELS[route], "input": f"question {number}", "conversation": given}, stream=stream
        )
        assert told.response["conversation"] == {"id": conversation.id}
        sent = scenario.requests[0].body.decode()
        assert "My name is Alice." in sent
        assert ("answer 0" in sent) == (number == 1)
    listed = sdk.conversations.items.list(conversation.id, order="asc")
    assert texts(listed) == ["My name is Alice.", "question 0", "answer 0", "question 1", "answer 1"]
    assert (
        listed.data[2].id
        == gateway.get(f"/conversations/{conversation.id}/items?order=asc").json()["data"][2]["id"]
    )


def test_a_tool_result_finds_its_call_in_the_conversation(gateway: Gateway, sdk: openai.OpenAI) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    conversation = sdk.conversations.create()
    gateway.scenario(says("anthropic", calls=[("f", {})]))
    body: Json = {"model": MODELS["anthropic"], "tools": [tool], "conversation": conversation.id}
    call = gateway.ask({**body, "input": "go"}).of("function_call")[0]
    gateway.scenario(says("anthropic", "done"))
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    assert gateway.ask({**body, "input": [result]}).text == "done"


def test_a_failed_turn_adds_nothing(gateway: Gateway, sdk: openai.OpenAI) -> None:
    from ..support.provider import Answer

    conversation = sdk.conversations.create(items=[user("one")])
    broken = says("anthropic", "Hello there, world").body[:700]
    gateway.scenario(Answer(broken, content_type="text/event-stream"))
    body = {"model": MODELS["anthropic"], "input": "two", "conversation": conversation.id}
    assert gateway.ask(body, stream=True).response["status"] == "failed"
    assert texts(sdk.conversations.items.list(conversation.id)) == ["one"]


UNKNOWN = "conv_" + "0" * 32
WRONG_TURNS: list[tuple[Json, int, str, str]] = [
    ({"conversation": UNKNOWN}, 404, "conversation_not_found", "conversation"),
    ({"conversation": "not-an-id"}, 404, "conversation_not_found", "conversation"),
    ({"conversation": {}}, 400, "invalid_type", "conversation"),
    ({"conversation": UNKNOWN, "store": False}, 400, "invalid_value", "conversation"),
    (
        {"conversation": UNKNOWN, "previous_response_id": "resp_x"},
        400,
        "invalid_value",
        "previous_response_id",
    ),
]


@pytest.mark.parametrize(("extra", "status", "code", "param"), WRONG_TURNS)
def test_wrong_turns(gateway: Gateway, extra: Json, status: int, code: str, param: str) -> None:
    told = gateway.ask({"model": MODELS["openai"], "input": "hi", **extra})
    assert (told.status, told.error["code"], told.error["param"]) == (status, code, param)


WRONG_BODIES: list[tuple[str, Json, str]] = [
    ("", {"items": "x"}, "items"),
    ("", {"items": [{"role": "nobody", "content": "x"}]}, "items[0].role"),
    ("", {"items": [{"type": "item_reference", "id": "x"}]}, "items[0].type"),
    ("", {"items": [user("x")] * 21}, "items"),
    ("", {"metadata": {"a": 1}}, "metadata.a"),
    ("/ID", {}, "metadata"),
    ("/ID/items", {}, "items"),
    ("/ID/items", {"items": []}, "items"),
    ("/ID/items", {"items": [{**user("x"), "id": "same"}, {**user("x"), "id": "same"}]}, "items[1].id"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG_BODIES)
def test_wrong_bodies(gateway: Gateway, sdk: openai.OpenAI, path: str, body: Json, param: str) -> None:
    wanted = path.replace("ID", sdk.conversations.create().id)
    reply = gateway.http.post(f"{gateway.base_url}/v1/conversations{wanted}", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("wanted", [UNKNOWN, "x", "conv_..%2F"])
def test_an_unknown_conversation_is_404_on_every_route(gateway: Gateway, wanted: str) -> None:
    url = f"{gateway.base_url}/v1/conversations/{wanted}"
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"metadata": {}}),
        ("DELETE", "", None),
        ("GET", "/items", None),
        ("POST", "/items", {"items": [user("x")]}),
        ("GET", "/items/msg_1", None),
        ("DELETE", "/items/msg_1", None),
    ):
        reply = gateway.http.request(method, url + path, json=body)
        assert reply.status_code == 404, (method, path)
