"""Turns over a WebSocket: in order, continued from the connection, ended by one frame."""

from __future__ import annotations

from typing import Any

import pytest

from ..support.gateway import Gateway, Server
from ..support.provider import SSE, Answer
from ..support.sockets import Socket
from ..support.speech import MODELS, says
from .conftest import Connect

Json = dict[str, Any]

ECHO: Json = {"model": "echo", "store": False}
NOT_FOUND = (400, "previous_response_not_found", "previous_response_id")
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def unread(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were looked for in the store."""
    asked: list[str] = []
    for name in ("get", "chain"):
        real = getattr(server.store, name)

        async def counted(tenant: str, response_id: str, real: Any = real) -> Any:
            asked.append(response_id)
            return await real(tenant, response_id)

        monkeypatch.setattr(server.store, name, counted)
    return asked


@pytest.mark.parametrize("dialect", MODELS)
def test_a_turn_on_every_route(gateway: Gateway, connect: Connect, dialect: str) -> None:
    gateway.scenario(says(dialect, "Hello there", reasoning="Thinking"))
    turn = connect().ask(model=MODELS[dialect], input="Hi")
    assert turn.text == "Hello there"
    assert turn.events[0]["response"]["id"] == turn.response["id"]


def test_frames_are_the_events_of_the_stream(gateway: Gateway, connect: Connect) -> None:
    streamed = gateway.ask({"model": "echo", "input": "/reason Hm\nHello"}, stream=True)
    framed = connect().ask(model="echo", input="/reason Hm\nHello")
    assert [event["type"] for event in framed.events] == [event["type"] for event in streamed.events]
    assert [set(event) for event in framed.events] == [set(event) for event in streamed.events]


@pytest.mark.parametrize("store", [True, False])
def test_a_continuation_reads_no_store(
    gateway: Gateway, connect: Connect, unread: list[str], store: bool
) -> None:
    socket = connect()
    first = socket.ask(model="echo", store=store, input="My name is Alice")
    stored = gateway.stored()
    second = socket.ask(model="echo", store=store, input="And?", previous_response_id=first.response["id"])
    third = socket.ask(model="echo", store=store, input="Well?", previous_response_id=second.response["id"])
    assert "Alice" in second.text and "Alice" in third.text
    assert third.response["previous_response_id"] == second.response["id"]
    assert unread == []
    assert gateway.stored() - stored == (2 if store else 0)


def test_provider_state_stays_with_the_connection(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="/reason forty-two\nThink")
    assert "encrypted_content" not in first.response["output"][0]
    second = socket.ask(**ECHO, input="And?", previous_response_id=first.response["id"])
    assert "I thought: “forty-two”" in second.text


def test_a_tool_session(gateway: Gateway, connect: Connect) -> None:
    scenario = gateway.scenario(
        says("anthropic", calls=[("get_weather", {"city": "Paris"})]), says("anthropic", "Sunny")
    )
    socket = connect()
    first = socket.ask(model=MODELS["anthropic"], store=False, input="Weather?", tools=[WEATHER])
    call = first.response["output"][0]
    second = socket.ask(
        model=MODELS["anthropic"],
        store=False,
        tools=[WEATHER],
        previous_response_id=first.response["id"],
        input=[{"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}],
    )
    assert second.text == "Sunny"
    roles = [message["role"] for message in scenario.requests[1].json["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_an_item_of_the_connection_is_referred_to(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="My name is Alice")
    item = first.response["output"][0]["id"]
    reference = {"type": "item_reference", "id": item}
    again = socket.ask(**ECHO, input=[reference, {"role": "user", "content": "And?"}])
    assert again.response["status"] == "completed"
    with_other = connect().ask(**ECHO, input=[reference])
    assert with_other.refusal == (404, "item_not_found", "input[0].id")


def test_only_the_newest_response_is_at_hand(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="One")
    socket.ask(**ECHO, input="Two")
    assert socket.ask(**ECHO, input="More", previous_response_id=first.response["id"]).refusal == NOT_FOUND


@pytest.mark.parametrize("store", [True, False])
def test_reconnect(connect: Connect, store: bool) -> None:
    with connect() as socket:
        first = socket.ask(model="echo", store=store, input="My name is Alice")
    body = {"model": "echo", "store": store, "input": "And?", "previous_response_id": first.response["id"]}
    turn = connect().ask(**body)
    if store:
        assert "Alice" in turn.text
    else:
        assert turn.refusal == NOT_FOUND


def test_a_deleted_response_is_not_at_hand(gateway: Gateway, connect: Connect) -> None:
    socket = connect()
    first = socket.ask(model="echo", input="My name is Alice")
    second = socket.ask(model="echo", input="And?", previous_response_id=first.response["id"])
    assert gateway.delete(f"/responses/{first.response['id']}").status_code == 200
    third = socket.ask(model="echo", input="And?", previous_response_id=second.response["id"])
    assert third.refusal == NOT_FOUND


REFUSED = [  # what is wrong with a continuation, status and code of its envelope
    ({"input": [{"type": "function_call_output", "call_id": "call_x", "output": "?"}]}, 400, "invalid_value"),
    ({"input": "Hi", "temperature": "hot"}, 400, "invalid_type"),
    ({"input": "/error rate_limit"}, 429, "rate_limit_exceeded"),
    ({"input": "/error server"}, 500, "model_error"),
    ({"input": "Hi", "model": "no-such-model"}, 404, "model_not_found"),
]


@pytest.mark.parametrize(("wrong", "status", "code"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_refused_turn_evicts_what_it_continues(
    connect: Connect, wrong: Json, status: int, code: str
) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="One")
    previous = first.response["id"]
    refused = socket.ask(**{**ECHO, "previous_response_id": previous, **wrong})
    assert refused.refusal[:2] == (status, code)
    assert ("retry-after" in refused.envelope.get("headers", {})) == (status == 429)
    assert socket.ask(**ECHO, input="Again", previous_response_id=previous).refusal == NOT_FOUND
    assert socket.ask(**ECHO, input="A new chain").response["status"] == "completed"


def test_a_failed_turn_is_response_failed_alone_and_evicts(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="One")
    previous = first.response["id"]
    failed = socket.ask(**ECHO, input="/error stream\nSome words of it", previous_response_id=previous)
    assert failed.response["status"] == "failed" and failed.response["error"]["code"] == "model_error"
    assert socket.ask(**ECHO, input="Again", previous_response_id=previous).refusal == NOT_FOUND


def test_a_stored_response_outlives_its_eviction(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(model="echo", input="My name is Alice")
    previous = first.response["id"]
    socket.ask(model="echo", input="/error server", previous_response_id=previous)
    assert "Alice" in socket.ask(model="echo", input="And?", previous_response_id=previous).text


def test_an_incomplete_turn_is_continued(connect: Connect) -> None:
    socket = connect()
    first = socket.ask(**ECHO, input="/incomplete\nMy name is Alice and so on")
    assert first.response["status"] == "incomplete"
    assert "Alice" in socket.ask(**ECHO, input="And?", previous_response_id=first.response["id"]).text


def test_turns_run_in_order_one_at_a_time(connect: Connect) -> None:
    socket = connect()
    for word in ("first", "second", "third"):
        socket.create(**ECHO, input=f"/slow 0.01\nSay {word}")
    for word in ("first", "second", "third"):
        assert word in socket.answer().text  # whose grammar admits no event of another response


def test_a_prewarm_answers_without_the_model(gateway: Gateway, connect: Connect) -> None:
    """Codex: `generate: false` first, then the turn with what is new."""
    scenario = gateway.scenario(says("openai", "Hello"))
    socket = connect()
    model = MODELS["openai"]
    user = {"type": "message", "role": "user", "content": "My name is Alice"}
    warm = socket.ask(
        model=model, store=False, stream=True, generate=False, input=[user], instructions="Be brief"
    )
    assert warm.response["status"] == "completed" and warm.response["output"] == []
    assert warm.response["usage"]["total_tokens"] == 0
    assert scenario.requests == []
    turn = socket.ask(
        model=model, store=False, stream=True, input=[], previous_response_id=warm.response["id"]
    )
    assert turn.text == "Hello"
    assert "Alice" in str(scenario.requests[0].json["input"]) and "generate" not in scenario.requests[0].json


def test_a_prewarm_without_input(connect: Connect) -> None:
    socket = connect()
    warm = socket.ask(**ECHO, generate=False, input=[])
    turn = socket.ask(**ECHO, input="Hello", previous_response_id=warm.response["id"])
    assert "Hello" in turn.text


MESSAGES = [  # what is sent, status, code and param of the envelope
    ("{not json", (400, "invalid_json", None)),
    ("[]", (400, "invalid_json", None)),
    ("{}", (400, "missing_required_parameter", "type")),
    ('{"type":"response.cancel"}', (400, "invalid_value", "type")),
    ('{"type":"response.steer","input":"x"}', (400, "invalid_value", "type")),
    ('{"type":"response.create","input":"x"}', (400, "missing_required_parameter", "model")),
    (
        '{"type":"response.create","model":"echo","input":"x","stream":false}',
        (400, "unsupported_parameter", "stream"),
    ),
    (
        '{"type":"response.create","model":"echo","input":"x","stream_options":{}}',
        (400, "unsupported_parameter", "stream_options"),
    ),
    (
        '{"type":"response.create","model":"echo","input":"x","background":true}',
        (400, "unsupported_parameter", "background"),
    ),
    (
        '{"type":"response.create","model":"echo","input":"x","stream_id":"a"}',
        (400, "unsupported_parameter", "stream_id"),
    ),
    ('{"type":"response.create","model":"echo","input":{}}', (400, "invalid_type", "input")),
]


@pytest.mark.parametrize(("message", "refusal"), MESSAGES)
def test_a_bad_message_is_answered_and_the_connection_stays(
    connect: Connect, message: str, refusal: tuple[int, str, str | None]
) -> None:
    socket = connect()
    socket.send(message)
    assert socket.answer().refusal == refusal
    assert socket.ask(**ECHO, input="Hi").response["status"] == "completed"


def test_codex_says_what_it_has_processed(connect: Connect) -> None:
    """No answer: the client would take it for the next turn's."""
    socket = connect()
    first = socket.ask(**ECHO, input="One")
    socket.send({"type": "response.processed", "response_id": first.response["id"]})
    second = socket.ask(**ECHO, input="Two", previous_response_id=first.response["id"])
    assert second.response["status"] == "completed"


def test_a_message_in_bytes(connect: Connect) -> None:
    socket = connect()
    socket.send(b'{"type":"response.create","model":"echo","input":"caf\xc3\xa9"}')
    assert "café" in socket.answer().text


def test_a_provider_that_dies_in_mid_answer(gateway: Gateway, connect: Connect) -> None:
    pieces = [event + b"\n\n" for event in says("anthropic", "Hello there, world").body.split(b"\n\n")[:4]]
    gateway.scenario(Answer(pieces=pieces, content_type=SSE, ending="abort"))
    turn = connect().ask(model=MODELS["anthropic"], input="Hi")
    assert turn.response["status"] == "failed"
    assert turn.response["error"]["code"] == "provider_unavailable"


def test_a_store_that_is_down(server: Server, connect: Connect) -> None:
    """The turn is told as not stored, and can be continued on its connection all the same."""
    socket = connect()
    server.fail_store = True
    try:
        first = socket.ask(model="echo", input="My name is Alice")
    finally:
        server.fail_store = False
    assert first.response["store"] is False
    assert "Alice" in socket.ask(model="echo", input="And?", previous_response_id=first.response["id"]).text


def test_what_ends_a_turn_is_one_frame(connect: Connect) -> None:
    socket: Socket = connect()
    socket.ask(**ECHO, input="/error stream\nSome words")
    socket.ask(**ECHO, input="/error server")
    with pytest.raises(TimeoutError):
        socket.frame(timeout=0.2)
