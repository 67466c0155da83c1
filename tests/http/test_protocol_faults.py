"""Providers that break HTTP, server-sent events or their own grammar: an error of the provider's, nothing lost, nothing
said twice, nothing quoted in the log."""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate

import httpx
import pytest

from ..support.gateway import SETTINGS, Gateway, Server, environment
from ..support.provider import NDJSON, SSE, Answer, Provider
from ..support.speech import MODELS, says

TEXT = "Hello there, world"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def raw(*pieces: bytes) -> Answer:
    return Answer(pieces=pieces, pause=0.05, raw=True)


def head() -> bytes:
    """The first events of an answer, as one chunk."""
    begun = b"".join(event + b"\n\n" for event in says("anthropic", TEXT).body.split(b"\n\n")[:4])
    return b"%x\r\n%b\r\n" % (len(begun), begun)


NO_HTTP = [
    pytest.param(raw(b"secret words\r\n\r\n"), id="no status line"),
    pytest.param(raw(CHUNKED + b"secret words\r\n"), id="garbage for a chunk"),
    pytest.param(raw(OK + b"x: " + b"secret words" * 20_000 + b"\r\n\r\n"), id="endless header"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", NO_HTTP)
def test_what_is_no_http_is_the_providers_fault(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, answer: Answer, stream: bool
) -> None:
    gateway.scenario(answer)
    with caplog.at_level(logging.DEBUG):
        told = gateway.ask({"model": MODELS["anthropic"], "input": "hi"}, stream=stream)
    assert (told.status, told.error["code"]) == (502, "provider_unavailable")
    assert "secret words" not in caplog.text


def test_a_chunk_that_is_none_in_mid_answer(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.scenario(raw(CHUNKED + head(), b"secret words\r\n"))
    begun = time.monotonic()
    with caplog.at_level(logging.DEBUG):
        told = gateway.ask({"model": MODELS["anthropic"], "input": "hi"}, stream=True)
    assert time.monotonic() - begun < SETTINGS["idle_timeout"] / 2, "it was told at once"
    assert told.response["error"]["code"] == "provider_unavailable"
    assert told.text and TEXT.startswith(told.text)
    assert "secret words" not in caplog.text


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("pieces", [[b"\xef", b"\xbb", b"\xbf"], [b"\xef\xbb\xbf"]])
def test_a_byte_order_mark_takes_nothing_with_it(gateway: Gateway, dialect: str, pieces: list[bytes]) -> None:
    """The HTML standard, "Server-sent events": one leading byte order mark is ignored."""
    answer = says(dialect, TEXT)
    gateway.scenario(Answer(pieces=[*pieces, answer.body], content_type=answer.content_type))
    assert gateway.ask({"model": MODELS[dialect], "input": "hi"}, stream=True).text == TEXT


@pytest.mark.parametrize(
    "dialect", [name for name in MODELS if name != "gemini"]
)  # its end is that of the stream
def test_nothing_is_said_after_the_providers_own_end(gateway: Gateway, dialect: str) -> None:
    body = says(dialect, TEXT).body
    content_type = NDJSON if dialect == "ollama" else SSE
    for pieces in ([body + body], [body, body]):
        gateway.scenario(Answer(pieces=pieces, pause=0.02, content_type=content_type))
        told = gateway.ask({"model": MODELS[dialect], "input": "hi"}, stream=True)
        assert (told.response["status"], told.text) == ("completed", TEXT)


def another(began: bytes) -> bytes:
    assert b"msg_1" in began
    return began.replace(b"msg_1", b"msg_2")


@pytest.mark.parametrize("lost", ["its start", "another message begins"])
def test_anthropics_block_that_was_never_opened_fails_the_turn(gateway: Gateway, lost: str) -> None:
    """What belongs nowhere would be missing in the answer."""
    events = says("anthropic", TEXT).body.split(b"\n\n")
    events = (
        [*events[:1], *events[2:]] if lost == "its start" else [*events[:4], another(events[0]), *events[4:]]
    )
    gateway.scenario(Answer(b"\n\n".join(events), content_type=SSE))
    told = gateway.ask({"model": MODELS["anthropic"], "input": "hi"}, stream=True)
    error = told.error or told.response["error"]
    assert error["code"] == "provider_invalid_response"


def test_nothing_follows_a_frame_that_is_no_object(gateway: Gateway) -> None:
    events = says("anthropic", TEXT).body.split(b"\n\n")
    gateway.scenario(Answer(b"\n\n".join([*events[:3], b"data: null", *events[3:]]), content_type=SSE))
    told = gateway.ask({"model": MODELS["anthropic"], "input": "hi"}, stream=True)
    assert (told.response["status"], told.text) == ("failed", "Hello")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("status", [302, 304])
def test_a_redirect_is_not_the_clients_fault(
    gateway: Gateway, dialect: str, status: int, stream: bool
) -> None:
    gateway.scenario(
        Answer(raw=True, pieces=[b"HTTP/1.1 %d x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n" % status])
    )
    told = gateway.ask({"model": MODELS[dialect], "input": "hi"}, stream=stream)
    assert (told.status, told.error["code"]) == (502, "provider_error")


@pytest.mark.parametrize("bytes_", [b"\n", b"data: {}\n\n", b"data: x"])
def test_a_little_that_unfolds_to_very_much(gateway: Gateway, bytes_: bytes) -> None:
    bomb = gzip.compress(bytes_ * (20_000_000 // len(bytes_)))
    gateway.scenario(Answer(bomb, content_type=SSE, headers={"content-encoding": "gzip"}))
    begun = time.monotonic()
    told = gateway.ask({"model": MODELS["chat"], "input": "hi"}, stream=True)
    assert (told.status, told.error["code"]) == (502, "provider_invalid_response")
    assert time.monotonic() - begun < 2


HALVES = {
    rb"Hello\ud83d": "Hello\ufffd",
    rb"Hello\uDE00!": "Hello\ufffd!",
    rb"\ud83dHello": "\ufffdHello",
    rb"\ud83dHello\ud83d\ude00": "\ufffdHello\U0001f600",
    rb"\ud83dHello\\ud83d": "\ufffdHello\\ud83d",
    rb"Hello\\\ud83d": "Hello\\\ufffd",
}


@pytest.mark.parametrize("sent", HALVES)
def test_half_of_a_surrogate_pair(gateway: Gateway, sent: bytes) -> None:
    answer = says("chat", TEXT)
    gateway.scenario(Answer(answer.body.replace(b"Hello", sent), content_type=SSE))
    told = gateway.ask({"model": MODELS["chat"], "input": "hi"}, stream=True)
    assert told.text == TEXT.replace("Hello", HALVES[sent])


RETRY_AFTER = [
    pytest.param("inf", range(1, 2), id="no number"),
    pytest.param("1e999", range(1, 2), id="no end"),
    pytest.param("99999999999999999999", range(1, 86_401), id="absurd"),
    pytest.param("-5", range(1, 2), id="negative"),
    pytest.param("soon", range(1, 2), id="words"),
    pytest.param("DATE", range(30, 91), id="a date"),
    pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", range(1, 2), id="a date that has passed"),
]


@pytest.mark.parametrize(("text", "seconds"), RETRY_AFTER)
def test_retry_after_in_any_form(gateway: Gateway, text: str, seconds: range) -> None:
    """RFC 9110, section 10.2.3: seconds or a date."""
    text = text.replace("DATE", formatdate(time.time() + 90, usegmt=True))
    gateway.scenario(Answer(b'{"error":{"message":"slow"}}', status=429, headers={"retry-after": text}))
    told = gateway.ask({"model": MODELS["chat"], "input": "hi"})
    assert (told.status, told.error["code"]) == (429, "rate_limit_exceeded")
    assert int(told.headers["retry-after"]) in seconds


@pytest.fixture
def fresh(provider: Provider, http: httpx.Client) -> Iterator[Gateway]:
    """A gateway with a pool of its own."""
    server = Server(environment(provider.url)).start()
    yield Gateway(server.url, provider, http)
    server.stop()


def test_a_provider_that_hangs_up_each_time_is_asked_again_once(fresh: Gateway) -> None:
    """A socket from the pool may be stale, and is replaced; a fresh one that dies is a failure, however much was
    answered before it."""
    fresh.scenario(replace(says("chat", TEXT), delay=0.1))
    request = {"model": MODELS["chat"], "input": "hi"}
    with ThreadPoolExecutor(5) as pool:
        assert all(told.text == TEXT for told in pool.map(fresh.ask, [request] * 5))
    scenario = fresh.scenario(Answer(raw=True, pieces=[]))
    assert fresh.ask(request).error["code"] == "provider_unavailable"
    assert len(scenario.requests) <= 2
