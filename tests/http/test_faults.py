"""What a client sees when the provider, the store or the client itself fails: the outcome, never just "no crash"."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from ..support.gateway import Gateway, Server, environment
from ..support.provider import SSE, Answer, Provider
from ..support.speech import MODELS, says
from ..support.waiting import wait_for

Json = dict[str, Any]

# No time limit is met, however loaded the machine is; and one that begins its streams early and soon calls it silence.
PATIENT = {
    "first_byte_timeout": 30,
    "idle_timeout": 30,
    "reasoning_idle_timeout": 30,
    "keep_alive_seconds": 0.15,
    "commit_seconds": 30,
    "max_retries": 2,
    "retry_seconds": 0.01,
}
HASTY = {**PATIENT, "idle_timeout": 0.4, "commit_seconds": 0.5}
LATE = 1.0  # seconds: well after a hasty gateway has begun
ANTHROPIC = MODELS["anthropic"]
OVERLOADED = (
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
)


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), **PATIENT).start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def hasty_server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), **HASTY).start()
    yield started
    started.stop()


@pytest.fixture
def hasty(hasty_server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    return Gateway(hasty_server.url, provider, http)


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario()
    return gateway


def whole(text: str = "Hello there, world") -> bytes:
    return says("anthropic", text).body


def pieces(body: bytes, count: int) -> list[bytes]:
    """The first `count` events of an event stream."""
    return [event + b"\n\n" for event in body.split(b"\n\n")[:count]]


def error_of(status: int, kind: str = "x", **headers: str) -> Answer:
    body = b'{"type":"error","error":{"type":"%b","message":"model: no"}}' % kind.encode()
    return Answer(body, status=status, headers=headers)


BROKEN = [  # answer, code of response.failed
    pytest.param(
        Answer(pieces=pieces(whole(), 4), content_type=SSE, ending="abort"),
        "provider_unavailable",
        id="reset",
    ),
    pytest.param(
        Answer(pieces=pieces(whole(), 4), content_type=SSE), "provider_unavailable", id="ends early"
    ),
    pytest.param(
        Answer(pieces=[*pieces(whole(), 4), b"data: {garbage\n\n"], content_type=SSE),
        "provider_invalid_response",
        id="garbage",
    ),
    pytest.param(
        Answer(
            pieces=[
                *pieces(whole(), 4),
                b'{"error":{"type":"overloaded_error","message":"x"},"type":"error"}\n\n',
            ],
            content_type=SSE,
        ),
        "server_is_overloaded",
        id="bare JSON",
    ),
    pytest.param(
        Answer(pieces=[*pieces(whole(), 4), OVERLOADED], content_type=SSE),
        "server_is_overloaded",
        id="error event",
    ),
]


@pytest.mark.parametrize(("answer", "code"), BROKEN)
def test_a_failure_in_mid_answer(gateway: Gateway, answer: Answer, code: str) -> None:
    check_failure_in_mid_answer(gateway, answer, code)


def test_silence_in_mid_answer(hasty: Gateway) -> None:
    answer = Answer(pieces=pieces(whole(), 4), content_type=SSE, ending="hang")
    check_failure_in_mid_answer(hasty, answer, "provider_timeout")


def check_failure_in_mid_answer(gateway: Gateway, answer: Answer, code: str) -> None:
    """Streamed: error, then response.failed, with what was said kept and stored. Not streamed: an HTTP error."""
    gateway.scenario(answer)
    told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    assert told.response["status"] == "failed"
    assert told.response["error"]["code"] == code
    assert told.text and "Hello there, world".startswith(told.text)
    assert gateway.get(f"/responses/{told.response['id']}").json() == told.response
    again = gateway.ask({"model": ANTHROPIC, "input": "go on", "previous_response_id": told.response["id"]})
    assert (again.status, again.error["code"]) == (404, "previous_response_not_found")

    scenario = gateway.scenario(answer)
    refused = gateway.ask({"model": ANTHROPIC, "input": "hi"})
    assert refused.status >= 500
    assert refused.error["code"] == code
    assert len(scenario.requests) == 1, "an answer that had begun is not asked for again"


BEFORE_THE_FIRST_BYTE = [  # answers, status, code, calls
    pytest.param([error_of(500)], 502, "provider_error", 3, id="500"),
    pytest.param([error_of(529, "overloaded_error")], 503, "server_is_overloaded", 3, id="529"),
    pytest.param([error_of(400, "invalid_request_error")], 400, "invalid_value", 1, id="400"),
    pytest.param([error_of(401, "authentication_error")], 502, "provider_authentication_failed", 2, id="401"),
    pytest.param([error_of(404, "not_found_error")], 404, "model_not_found", 1, id="404"),
    pytest.param(
        [error_of(429, "rate_limit_error", **{"retry-after": "30"})],
        429,
        "rate_limit_exceeded",
        1,
        id="429 30 s",
    ),
    pytest.param(
        [Answer(OVERLOADED, content_type=SSE)], 503, "server_is_overloaded", 3, id="200 with an error event"
    ),
    pytest.param(
        [Answer(b"<html>Bad</html>", content_type="text/html")],
        502,
        "provider_invalid_response",
        1,
        id="HTML",
    ),
    pytest.param([Answer(b"", content_type=SSE)], 502, "provider_unavailable", 3, id="nothing"),
    pytest.param([Answer(ending="hang", content_type=SSE)], 504, "provider_timeout", 1, id="silent"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("answers", "status", "code", "calls"), BEFORE_THE_FIRST_BYTE)
def test_a_failure_before_the_first_byte_keeps_its_status(
    provider: Provider,
    http: httpx.Client,
    answers: list[Answer],
    status: int,
    code: str,
    calls: int,
    stream: bool,
) -> None:
    limit = {"first_byte_timeout": 0.5} if code == "provider_timeout" else {}
    server = Server(environment(provider.url), **PATIENT | limit).start()
    try:
        gateway = Gateway(server.url, provider, http)
        scenario = gateway.scenario(*answers)
        told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=stream)
        assert (told.status, told.error["code"], len(scenario.requests)) == (status, code, calls)
        if status == 429:
            assert told.headers["retry-after"] == "30"
    finally:
        server.stop()


PASSING = [
    error_of(503),
    error_of(429, "rate_limit_error", **{"retry-after": "0"}),
    Answer(OVERLOADED, content_type=SSE),
]


@pytest.mark.parametrize("failure", PASSING)
def test_a_retry_is_not_seen_by_the_client(gateway: Gateway, failure: Answer) -> None:
    scenario = gateway.scenario(failure, says("anthropic", "There you are"))
    told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    assert told.text == "There you are"
    assert len(scenario.requests) == 2


def test_a_stream_is_not_tried_again_once_it_has_begun(hasty: Gateway) -> None:
    scenario = hasty.scenario(error_of(500), Answer(b"{}", status=500, delay=LATE))
    told = hasty.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    assert (told.status, told.response["error"]["code"]) == (200, "provider_error")
    assert len(scenario.requests) == 2, "the first at once, the second within `commit_seconds`"


def test_a_stream_begins_in_time_though_the_provider_is_slow(hasty: Gateway) -> None:
    hasty.scenario(Answer(whole(), content_type=SSE, delay=LATE))
    with hasty.http.stream(
        "POST", f"{hasty.base_url}/v1/responses", json={"model": ANTHROPIC, "input": "hi", "stream": True}
    ) as reply:
        begun = time.monotonic()
        text = iter(reply.iter_text())
        assert "response.created" in next(text)
        assert "response.completed" in "".join(text)
        assert time.monotonic() - begun > 0.1, "created came with the first delta, not before it"


def test_a_failure_after_the_early_start_is_told_in_the_stream(hasty: Gateway) -> None:
    hasty.scenario(Answer(b'{"error":{"message":"model: no"}}', status=400, delay=LATE))
    told = hasty.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    assert told.status == 200
    assert (told.response["status"], told.response["error"]["code"]) == ("failed", "invalid_value")


def test_silence_is_filled_with_comments(gateway: Gateway) -> None:
    gateway.scenario(Answer(pieces=pieces(whole(), 100), pause=0.2, content_type=SSE))
    reply = gateway.http.post(
        f"{gateway.base_url}/v1/responses", json={"model": ANTHROPIC, "input": "hi", "stream": True}
    )
    assert reply.content.count(b": keep-alive\n\n") >= 3
    assert b"response.completed" in reply.content


@pytest.mark.parametrize("stream", [False, True])
def test_a_vanished_client_stops_the_provider_call(gateway: Gateway, stream: bool) -> None:
    scenario = gateway.scenario(Answer(pieces=pieces(whole(), 3), content_type=SSE, ending="hang"))
    url = urlsplit(gateway.base_url)
    body = b'{"model":"%b","input":"hi","stream":%b}' % (ANTHROPIC.encode(), b"true" if stream else b"false")
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(
            b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        wait_for(lambda: scenario.requests)
        if stream:
            client.recv(1000)
        left_at = time.monotonic()
    wait_for(lambda: scenario.requests[0].left)
    seconds = (scenario.requests[0].left or 0.0) - left_at
    assert seconds < 1.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_ends_itself_at_its_time_limit(provider: Provider, http: httpx.Client, stream: bool) -> None:
    server = Server(environment(provider.url), max_turn_seconds=1.5).start()
    try:
        gateway = Gateway(server.url, provider, http)
        dripping = chain(pieces(whole(), 4), repeat(b" ", 500))  # never silent, never at its end
        scenario = gateway.scenario(Answer(pieces=dripping, pause=0.02, content_type=SSE, ending="hang"))
        told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=stream)
        assert told.response["status"] == "incomplete"
        assert told.response["incomplete_details"] == {"reason": "time_limit"}
        assert told.output[-1]["status"] == "incomplete"
        assert gateway.get(f"/responses/{told.response['id']}").json() == told.response
        wait_for(lambda: scenario.requests[0].left)
    finally:
        server.stop()


def test_a_store_that_fails_does_not_lose_the_answer(server: Server, gateway: Gateway) -> None:
    server.fail_store = True
    try:
        gateway.scenario(says("anthropic", "Hello"))
        told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    finally:
        server.fail_store = False
    assert (told.text, told.response["status"], told.response["store"]) == ("Hello", "completed", False)
    again = gateway.ask({"model": ANTHROPIC, "input": "go on", "previous_response_id": told.response["id"]})
    assert (again.status, again.error["code"]) == (404, "previous_response_not_found")
    assert "not have been stored" in again.error["message"]


def test_a_full_disk(provider: Provider, http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """Answers go out and say that they were not stored; what cannot be without the store is refused."""
    server = Server(environment(provider.url)).start()
    try:
        assert server.loop
        full = server.store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 1").fetchall())
        asyncio.run_coroutine_threadsafe(full, server.loop).result(5)
        gateway = Gateway(server.url, provider, http)
        gateway.scenario(says("anthropic", "Hello"))
        request: Json = {"model": ANTHROPIC, "input": random.Random(1).randbytes(50_000).hex()}
        for stream in (False, True):
            told = gateway.ask(request, stream=stream)
            assert (told.text, told.response["status"], told.response["store"]) == (
                "Hello",
                "completed",
                False,
            )
            refused = gateway.ask({**request, "background": True}, stream=stream)
            assert (refused.status, refused.error["code"]) == (503, "server_is_overloaded")
            assert refused.headers["retry-after"] == "1"
        assert "Traceback" not in caplog.text
    finally:
        server.stop()


def test_a_dead_provider_is_not_called_much_more_often_than_it_is_asked(
    provider: Provider, http: httpx.Client
) -> None:
    server = Server(environment(provider.url), max_retries=2).start()
    try:
        gateway = Gateway(server.url, provider, http)
        scenario = gateway.scenario(error_of(500))
        calls = 150

        def ask(count: int) -> None:
            with httpx.Client(trust_env=False, timeout=120) as client:
                for _ in range(count):
                    client.post(f"{server.url}/v1/responses", json={"model": ANTHROPIC, "input": "hi"})

        threads = [threading.Thread(target=ask, args=(calls // 10,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert calls < len(scenario.requests) <= calls + 10 + calls * 0.09 + 1
    finally:
        server.stop()


WRONG_TYPES = [  # dialect, a frame's value, what the provider sends in its place
    pytest.param("anthropic", b'"text": "there"', b'"text": ["there"]', id="anthropic"),
    pytest.param("gemini", b'"text": "there"', b'"text": 1.5', id="gemini"),
    pytest.param("ollama", b'"content": "there"', b'"content": {"a": 1}', id="ollama"),
    pytest.param("openai", b'"delta": "there"', b'"delta": true', id="openai"),
]


@pytest.mark.parametrize(("dialect", "value", "instead"), WRONG_TYPES)
def test_text_of_the_wrong_type_fails_the_turn(
    gateway: Gateway, dialect: str, value: bytes, instead: bytes
) -> None:
    answer = says(dialect, "Hello there again")
    wrong = answer.body.replace(b"Hello", b"Hola ").replace(b" ther", b"there").replace(value, instead, 1)
    assert wrong.count(instead) == 1
    gateway.scenario(Answer(wrong, content_type=answer.content_type))
    told = gateway.ask({"model": MODELS[dialect], "input": "hi"}, stream=True)
    assert (told.response["status"], told.response["error"]["code"]) == (
        "failed",
        "provider_invalid_response",
    )
    assert told.text == "Hola "
    assert gateway.get(f"/responses/{told.response['id']}").json() == told.response
    refused = gateway.ask({"model": MODELS[dialect], "input": "hi"})
    assert (refused.status, refused.error["code"]) == (502, "provider_invalid_response")


COUNTS = {  # where a dialect says what it counted, and a count in it
    "anthropic": (b'"output_tokens": 7', b'"usage": {'),
    "gemini": (b'"promptTokenCount": 11', b'"usageMetadata": {'),
    "ollama": (b'"prompt_eval_count": 11', b""),
    "chat": (b'"completion_tokens": 7', b'"usage": {'),
    "openai": (b'"input_tokens": 11', b'"usage": {'),
}


@pytest.mark.parametrize("instead", ["text", "negative", "list", "absurd", "no object"])
@pytest.mark.parametrize("dialect", COUNTS)
def test_counts_that_are_none_are_left_out(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, dialect: str, instead: str
) -> None:
    """They are said beside the content: the answer is whole without them."""
    count, usage = COUNTS[dialect]
    name = count.partition(b":")[0]
    wrong = {"text": name + b': "many"', "negative": name + b": -7", "list": name + b": [7]"}
    wrong["absurd"] = name + b": 18446744073709551615"
    answer = says(dialect, "Hello")
    assert count in answer.body
    body = answer.body.replace(count, wrong.get(instead, count))
    if instead == "no object" and usage:
        body = body.replace(usage, usage[:-1] + b'["many"], "was": {')
    gateway.scenario(Answer(body, content_type=answer.content_type))
    told = gateway.ask({"model": MODELS[dialect], "input": "hi"}, stream=True)
    assert (told.text, told.response["status"]) == ("Hello", "completed")
    if instead != "no object" or usage:
        assert told.response["usage"] is None
        assert caplog.text.count("a value of the wrong type in Usage") == 1


def test_a_model_name_that_is_none_is_left_out(gateway: Gateway) -> None:
    answer = says("ollama", "Hello")
    wrong = answer.body.replace(b'"model": "llama-test"', b'"model": ["llama-test"]')
    gateway.scenario(Answer(wrong, content_type=answer.content_type))
    told = gateway.ask({"model": MODELS["ollama"], "input": "hi"}, stream=True)
    assert (told.text, told.response["model"]) == ("Hello", MODELS["ollama"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["items.MessageBuilder.text", "items.MessageBuilder.end_part"])
def test_a_fault_of_our_own_ends_the_turn(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    stream: bool,
) -> None:
    """Even where the item that it left half made cannot be closed: the client sees an end, the log where it was."""

    def fault(*_: Any) -> None:
        raise RuntimeError("canary"[::-1])

    monkeypatch.setattr(f"openresponses.engine.{place}", fault)
    gateway.scenario(says("anthropic", "Hello there"))
    request = {"model": ANTHROPIC, "input": "hi", "stream": stream}
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses", json=request)
    assert "yranac" not in reply.text
    assert "yranac" not in caplog.text
    assert "in fault" in caplog.text
    if stream:
        *_, error, failed, done = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
        assert orjson.loads(error)["error"]["code"] == "server_error"
        response = orjson.loads(failed)["response"]
        assert (orjson.loads(failed)["type"], done) == ("response.failed", "[DONE]")
        assert gateway.get(f"/responses/{response['id']}").json() == response
    else:
        assert (reply.status_code, reply.json()["error"]["code"]) == (500, "server_error")


def test_a_store_that_fails_by_a_fault_does_not_lose_the_answer(
    server: Server, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(server.store, "put", fault)
    gateway.scenario(says("anthropic", "Hello"))
    told = gateway.ask({"model": ANTHROPIC, "input": "hi"}, stream=True)
    assert (told.text, told.response["status"], told.response["store"]) == ("Hello", "completed", False)
