"""Turns at once: beyond the limit every kind of turn is refused with when to come back, and no place is ever lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from ..support.gateway import Gateway, Server, environment
from ..support.provider import SSE, Answer, Provider, Scenario
from ..support.sockets import Socket
from ..support.speech import MODELS, says

Json = dict[str, Any]

LIMIT = 2
MODEL = MODELS["anthropic"]
BEGUN = b"\n\n".join(says("anthropic", "Hello there").body.split(b"\n\n")[:4]) + b"\n\n"


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), max_concurrent_turns=LIMIT).start()
    yield started
    started.stop()


def body(**more: Any) -> Json:
    return {"model": MODEL, "input": "hi", **more}


@pytest.fixture
def full(gateway: Gateway) -> Iterator[Callable[[], None]]:
    """All places are taken, by streams that hang; call it to have them end."""
    gateway.scenario(Answer(pieces=[BEGUN], content_type=SSE, ending="hang"))
    reading = []  # who lets go of the text closes its stream
    with ExitStack() as stack:
        for _ in range(LIMIT):
            reply = stack.enter_context(
                gateway.http.stream("POST", f"{gateway.base_url}/v1/responses", json=body(stream=True))
            )
            reading.append(reply.iter_text())
            assert "response.created" in next(reading[-1])
        yield stack.close


def free(gateway: Gateway) -> Scenario:
    """Waits for a place, and gives the next turns their answer."""
    scenario = gateway.scenario(says("anthropic", "Hello"))
    end = time.monotonic() + 5
    while gateway.ask(body()).status == 503:
        assert time.monotonic() < end, "the places are lost"
        time.sleep(0.01)
    return scenario


@pytest.mark.parametrize(
    "more", [{}, {"stream": True}, {"background": True}, {"background": True, "stream": True}]
)
def test_over_http(gateway: Gateway, full: Callable[[], None], more: Json) -> None:
    scenario = gateway.scenario(says("anthropic", "Hello"))
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses", json=body(**more))
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "server_is_overloaded")
    assert reply.headers["retry-after"] == "1"
    assert not scenario.requests
    full()
    free(gateway)


def test_over_a_websocket(gateway: Gateway, full: Callable[[], None]) -> None:
    with Socket(gateway.base_url) as connection:
        assert connection.ask(**body()).refusal[:2] == (503, "server_is_overloaded")
        full()
        free(gateway)
        assert connection.ask(**body()).text == "Hello", "the connection goes on"


def test_an_idempotency_key_is_free_after_a_refusal(gateway: Gateway, full: Callable[[], None]) -> None:
    headers = {"idempotency-key": "refused-for-want-of-a-place"}
    assert gateway.ask(body(), headers=headers).status == 503
    full()
    free(gateway)
    assert gateway.ask(body(), headers=headers).text == "Hello"


ENDS = [
    pytest.param(says("anthropic", "Hello"), id="completed"),
    pytest.param(Answer(b"{}", status=400), id="refused"),
    pytest.param(Answer(BEGUN, content_type=SSE), id="broken"),
    pytest.param(Answer(raw=True, pieces=[]), id="unreachable"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", ENDS)
def test_a_place_is_free_again_after_every_end(gateway: Gateway, answer: Answer, stream: bool) -> None:
    gateway.scenario(answer)
    for _ in range(LIMIT + 1):
        assert gateway.ask(body(), stream=stream).status != 503


def test_as_many_as_there_are_places_run_of_many_at_once(gateway: Gateway) -> None:
    """Background responses too: what is refused was never queued, what is queued comes to its end."""
    scenario = gateway.scenario(Answer(says("anthropic", "Hello").body, content_type=SSE, delay=0.3))
    replies: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            url = f"{gateway.base_url}/v1/responses"
            replies.append(client.post(url, json=body(background=True)))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status_code for reply in replies) == [200] * LIMIT + [503] * (6 - LIMIT)
    queued = [reply.json()["id"] for reply in replies if reply.status_code == 200]
    end = time.monotonic() + 5
    while {gateway.get(f"/responses/{each}").json()["status"] for each in queued} != {"completed"}:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert len(scenario.requests) == LIMIT
