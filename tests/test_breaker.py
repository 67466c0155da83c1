"""Circuit breaking: what opens a circuit, what closes it, and what its callers see meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from openresponses.protocol.errors import ApiError
from openresponses.upstream.breaker import Breaker

from .support.gateway import Gateway, Server, environment
from .support.provider import Answer, Provider
from .support.speech import MODELS, says

URL = "http://provider.test/v1"
DOWN = ApiError("provider_unavailable", "down")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(3, 10.0, clock)


def is_open(breaker: Breaker, url: str = URL) -> bool:
    try:
        breaker.admit(url, "p")
    except ApiError as error:
        assert (error.status, error.code, error.retryable) == (503, "server_is_overloaded", False)
        assert 1 <= (error.wait_seconds() or 0) <= 10
        return True
    return False


def test_it_opens_after_failures_in_a_row_and_says_so_once(breaker: Breaker) -> None:
    assert [breaker.failed(URL, DOWN) for _ in range(5)] == [False, False, True, False, False]
    assert is_open(breaker)
    assert not is_open(breaker, "http://another.test"), "another provider has a circuit of its own"


ANSWERS = [
    "invalid_value",
    "provider_authentication_failed",
    "model_not_found",
    "rate_limit_exceeded",
    "insufficient_quota",
]


@pytest.mark.parametrize("code", ANSWERS)
def test_a_refusal_is_an_answer(breaker: Breaker, code: str) -> None:
    for error in (DOWN, DOWN, ApiError(code, "no"), DOWN, DOWN):
        breaker.failed(URL, error)
    assert not is_open(breaker)


def test_an_answer_closes_it(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failed(URL, DOWN)
    breaker.succeeded(URL)
    assert not is_open(breaker)


def test_after_its_pause_one_call_tries(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed(URL, DOWN)
    clock.now += 10
    assert [is_open(breaker) for _ in range(3)] == [False, True, True]
    breaker.failed(URL, DOWN)
    assert is_open(breaker)
    clock.now += 9.9
    assert is_open(breaker)
    clock.now += 0.1
    assert not is_open(breaker)
    breaker.succeeded(URL)
    assert [is_open(breaker) for _ in range(3)] == [False] * 3


def test_a_call_that_tries_and_never_returns_does_not_keep_it_open(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed(URL, DOWN)
    clock.now += 10
    assert not is_open(breaker)
    clock.now += 10
    assert not is_open(breaker)


def test_it_can_be_off() -> None:
    breaker = Breaker(0)
    assert not any(breaker.failed(URL, DOWN) for _ in range(100))
    assert not is_open(breaker)


@pytest.fixture
def guarded(provider: Provider, http: httpx.Client) -> Iterator[Gateway]:
    server = Server(
        environment(provider.url),
        breaker_failures=3,
        breaker_seconds=0.3,
        max_retries=2,
        retry_seconds=0.01,
        commit_seconds=5,
    ).start()
    yield Gateway(server.url, provider, http)
    server.stop()


def test_what_a_client_sees(guarded: Gateway) -> None:
    """An attempt is a failure; while the circuit is open nothing is asked; then it closes again."""
    scenario = guarded.scenario(*[Answer(b"{}", status=500)] * 3, says("anthropic", "Hello"))
    request = {"model": MODELS["anthropic"], "input": "hi"}
    assert guarded.ask(request).error["code"] == "provider_error"
    told = guarded.ask(request)
    assert (told.status, told.error["code"]) == (503, "server_is_overloaded")
    assert told.headers["retry-after"] == "1"
    assert len(scenario.requests) == 3
    time.sleep(0.35)
    assert [guarded.ask(request).text for _ in range(2)] == ["Hello", "Hello"]
