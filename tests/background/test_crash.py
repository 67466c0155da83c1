"""Processes that are killed while they make responses: two servers on one file, one of them dies."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support import grammar
from ..support.client import Client
from ..support.gateway import environment
from ..support.provider import SSE, Answer, Provider, Received
from ..support.speech import MODELS, says
from ..test_cli import Process, command, environ
from .asking import cancel, create, follow, poll

LEASE = 2.0  # seconds
SETTINGS = {
    "OPENRESPONSES_BACKGROUND_LEASE_SECONDS": str(LEASE),
    "OPENRESPONSES_BACKGROUND_QUEUE_SECONDS": str(LEASE),
    "OPENRESPONSES_MAX_RETRIES": "0",
    "OPENRESPONSES_SHUTDOWN_SECONDS": "1.5",
    "OPENRESPONSES_LOG_LEVEL": "ERROR",
}

Start = Callable[[], tuple[Process, Client]]


@pytest.fixture
def start(tmp_path: Path, provider: Provider, http: httpx.Client) -> Iterator[Start]:
    """Starts one more server on the same file."""
    started: list[subprocess.Popen[str]] = []

    def one_more() -> tuple[Process, Client]:
        process = subprocess.Popen(
            command("serve", "--port", "0", "--store", str(tmp_path / "shared.db")),
            cwd=tmp_path,
            env=environ(tmp_path, **environment(provider.url), **SETTINGS),
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        server = Process(process)
        return server, Client(server.url, http)

    yield one_more
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def answers(slowest: float) -> Callable[[Received], Answer]:
    """An answer in pieces, after and over a time of its own."""
    chance = random.Random(3)
    body = says("anthropic", "This is an answer in some pieces.").body
    third = len(body) // 3
    parts = [body[:third], body[third : 2 * third], body[2 * third :]]

    def answer(_: Received) -> Answer:
        return Answer(pieces=parts, pause=chance.uniform(0, slowest / 3), delay=chance.uniform(0, slowest / 3),
                      content_type=SSE)  # fmt: skip

    return answer


def number_in(request: Received) -> str:
    found = re.search(rb"question (\d+)", request.body)
    assert found
    return found[1].decode()


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_many_responses_and_a_killed_server(start: Start, provider: Provider, count: int) -> None:
    scenario = provider.play(answers(slowest=3.0))
    (victim, first), (_, second) = start(), start()

    def ask(number: int) -> tuple[int, str]:
        client = first if number % 2 else second
        return number, create(client, model=MODELS["anthropic"], input=f"question {number}")["id"]

    with ThreadPoolExecutor(20) as threads:
        asked = dict(threads.map(ask, range(count)))
        time.sleep(0.7)
        victim.stop(signal.SIGKILL)
        responses = dict(zip(asked, threads.map(lambda id: poll(second, id), asked.values()), strict=True))
        logs = dict(zip(asked, threads.map(lambda id: follow(second, id), asked.values()), strict=True))
    told = Counter((response["status"], number % 2) for number, response in responses.items())
    assert set(told) <= {("completed", 0), ("completed", 1), ("failed", 1)}
    assert told["completed", 0] == count // 2 and told["failed", 1] > 0, told
    for number, response in responses.items():
        assert grammar.check_stream(logs[number]) == response
        if response["status"] == "failed":
            assert response["error"]["code"] == "server_error"
    runs = Counter(number_in(request) for request in scenario.requests)
    assert max(runs.values()) == 1, "a response was asked for twice"
    for number, response_id in asked.items():  # an end is an end
        assert second.get(f"/responses/{response_id}").json() == responses[number]


def test_a_killed_server_keeps_what_was_said(start: Start, provider: Provider) -> None:
    """A reader at another server sees the stream end; so does one that comes back after a restart."""
    body = says("anthropic", "This is what was said. And more of it.").body
    provider.play(Answer(pieces=[body[: len(body) * 2 // 3]], ending="hang", content_type=SSE))
    (victim, first), (_, second) = start(), start()
    queued = create(first, model=MODELS["anthropic"], input="question 1")
    seen = follow(first, queued["id"], leave_after=6)
    with ThreadPoolExecutor() as threads:
        following = threads.submit(follow, second, queued["id"])
        time.sleep(0.3)
        victim.stop(signal.SIGKILL)
        killed = time.monotonic()
        events = following.result(20)
    assert time.monotonic() - killed < LEASE + 2
    response = grammar.check_stream(events)
    assert events[: len(seen)] == seen and response["status"] == "failed"
    assert "This is what" in response["output"][0]["content"][0]["text"]
    _, third = start()
    assert follow(third, queued["id"], 3) == events[4:]


def test_a_response_is_resumed_and_cancelled_at_another_server(start: Start) -> None:
    (_, first), (_, second) = start(), start()
    queued = create(first, model="echo", input="/slow 0.05\n/long 200")
    seen = follow(second, queued["id"], leave_after=8)
    before = time.monotonic()
    response = cancel(second, queued["id"])
    assert time.monotonic() - before < 2
    assert response["status"] == "cancelled"
    events = seen + follow(second, queued["id"], len(seen) - 1)
    assert grammar.check_stream(events) == response
    assert follow(first, queued["id"]) == events
    assert cancel(first, queued["id"]) == response


def test_a_frozen_server_does_not_write_over_the_end(start: Start) -> None:
    """Its lease expires, another one ends its response as failed, then it goes on."""
    (frozen, first), (_, second) = start(), start()
    queued = create(first, model="echo", input="/slow 0.05\n/long 80")
    follow(second, queued["id"], leave_after=5)
    frozen.process.send_signal(signal.SIGSTOP)
    response = poll(second, queued["id"], seconds=LEASE + 5)
    events = follow(second, queued["id"])
    frozen.process.send_signal(signal.SIGCONT)
    assert response["status"] == "failed" and grammar.check_stream(events) == response
    time.sleep(1.5)
    assert follow(first, queued["id"]) == events
    assert first.get(f"/responses/{queued['id']}").json() == response


def test_a_frozen_server_goes_on_where_nobody_has_noticed(start: Start) -> None:
    (frozen, first), _ = start(), start()
    queued = create(first, model="echo", input="/slow 0.05\n/long 30")
    follow(first, queued["id"], leave_after=5)
    frozen.process.send_signal(signal.SIGSTOP)
    time.sleep(LEASE + 0.5)
    frozen.process.send_signal(signal.SIGCONT)
    assert grammar.check_stream(follow(first, queued["id"]))["status"] == "completed"


def test_a_frozen_server_cannot_hold_up_a_cancel(start: Start) -> None:
    (frozen, first), (_, second) = start(), start()
    queued = create(first, model="echo", input="/slow 0.05\n/long 80")
    follow(second, queued["id"], leave_after=5)
    frozen.process.send_signal(signal.SIGSTOP)
    before = time.monotonic()
    response = cancel(second, queued["id"])
    assert time.monotonic() - before < 2 and response["status"] == "cancelled"
    frozen.process.send_signal(signal.SIGCONT)
    events = follow(second, queued["id"])
    time.sleep(1.0)
    assert follow(first, queued["id"]) == events and grammar.check_stream(events) == response


def test_a_server_that_stops_ends_what_it_runs(start: Start) -> None:
    (stopped, first), (_, second) = start(), start()
    long = create(first, model="echo", input="/slow 0.1\n/long 300")
    short = create(first, model="echo", input="/slow 0.1\n/long 8")
    follow(first, long["id"], leave_after=4)
    before = time.monotonic()
    assert stopped.stop(signal.SIGINT) == 0
    assert time.monotonic() - before < 4
    response: Any = second.get(f"/responses/{long['id']}").json()
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "server_stopped"}
    assert second.get(f"/responses/{short['id']}").json()["status"] == "completed"
    assert grammar.check_stream(follow(second, long["id"])) == response
