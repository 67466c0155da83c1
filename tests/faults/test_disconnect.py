"""A client that vanishes at any moment: its provider call is closed within a second, and nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from ..support.provider import Answer, Received, reset
from ..support.waiting import wait_for
from .conftest import Matrix, has_at_most, tasks_of
from .runner import all_closed
from .wire import DIALECTS, Dialect, chunk, head_of

WITHIN = 1.0  # seconds
LONGEST_STAY = 0.3
AT_ONCE = 8  # few: what is measured is the gateway, not the wait for a processor


@dataclass
class Trial:
    """One client that leaves after `stay` seconds: of its request, or, if it `waits`, of its provider call. `left` is
    the moment (monotonic seconds) at which it did."""

    dialect: Dialect
    mode: str
    stay: float
    rudely: bool
    waits: bool
    model: str = ""
    calls: list[Received] = field(default_factory=list)
    left: float = 0.0

    async def remain(self) -> None:
        async with asyncio.timeout(10):
            while self.waits and not self.calls:
                await asyncio.sleep(0.005)
        await asyncio.sleep(self.stay)

    @property
    def body(self) -> bytes:
        request = {"model": f"failing-{self.dialect.name}/{self.model}", "input": "hi"}
        extra = {"type": "response.create"} if self.mode == "websocket" else {"stream": self.mode == "stream"}
        return json.dumps({**request, **extra}).encode()


def endless(dialect: Dialect, start: float) -> Answer:
    """Begins after `start` seconds, then says a word every 20 ms, and never ends."""

    def pieces() -> Iterator[bytes]:
        yield head_of(dialect) + b"".join(map(chunk, dialect.frames[: dialect.first]))
        while True:
            yield chunk(dialect.frames[dialect.first])

    return Answer(pieces=pieces(), pause=0.02, delay=start, raw=True)


async def leave_http(url: str, trial: Trial) -> None:
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: {len(trial.body)}\r\n\r\n"
    writer.write(head.encode() + trial.body)
    await trial.remain()
    if trial.rudely:
        reset(writer)
    else:
        writer.close()
    trial.left = time.monotonic()


async def leave_websocket(url: str, trial: Trial) -> None:
    connection = await connect(url.replace("http", "ws", 1) + "/v1/responses", proxy=None)
    await connection.send(trial.body.decode())
    await trial.remain()
    connection.transport.abort()
    trial.left = time.monotonic()
    await connection.wait_closed()


LEAVE: dict[str, Callable[[str, Trial], Awaitable[None]]] = {
    "stream": leave_http,
    "json": leave_http,
    "websocket": leave_websocket,
}


async def run(url: str, trials: list[Trial]) -> None:
    some = asyncio.Semaphore(AT_ONCE)

    async def one(trial: Trial) -> None:
        async with some:
            await LEAVE[trial.mode](url, trial)

    await asyncio.gather(*map(one, trials))


class Beat(threading.Thread):
    """Notes when the machine let this process stand: what happens meanwhile takes the gateway no time."""

    EVERY, NOTED = 0.01, 0.05  # seconds

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stood: list[tuple[float, float]] = []  # from, until
        self.stopped = threading.Event()

    def run(self) -> None:
        last = time.monotonic()
        while not self.stopped.wait(self.EVERY):
            now = time.monotonic()
            if now - last > self.NOTED:
                self.stood.append((last, now))
            last = now

    def between(self, start: float, end: float) -> float:
        """Seconds that it ran between the two moments."""
        return end - start - sum(max(0.0, min(end, b) - max(start, a)) for a, b in self.stood)


def late(trial: Trial, beat: Beat) -> str:
    """What is wrong with the end of the trial's provider calls."""
    name = f"{trial.dialect.name}, {trial.mode}, after {trial.stay:.3f} s"
    for request in trial.calls:
        if request.left is None:
            return f"{name}: the provider call goes on"
        seconds = beat.between(trial.left, request.left)
        if seconds > WITHIN:
            return f"{name}: the provider call was closed {seconds:.2f} s later"
    return ""


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_client_that_vanishes_takes_its_provider_call_with_it(matrix: Matrix, count: int) -> None:
    server, board = matrix.patient, matrix.board
    chance = random.Random(count)
    trials = [
        Trial(dialect, mode, chance.uniform(0, LONGEST_STAY), chance.random() < 0.5, n % 2 == 0)
        for n in range(count)
        for dialect in [list(DIALECTS.values())[n % len(DIALECTS)]]
        for mode in [list(LEAVE)[n // len(DIALECTS) % len(LEAVE)]]
    ]
    for trial in trials:
        trial.model = board.add(endless(trial.dialect, chance.choice([0, 0, 0.1])))
        trial.calls = board.requests[trial.model]
    tasks, handles = tasks_of(server), handles_now()
    beat = Beat()
    beat.start()
    asyncio.run(run(server.url, trials))
    all_closed(matrix.provider)
    beat.stopped.set()
    beat.join()
    wrong = [problem for trial in trials if (problem := late(trial, beat))]
    assert not wrong, "\n".join(wrong)
    wait_for(lambda: has_at_most(server, tasks), "a task of the gateway is left over")
    wait_for(lambda: handles_now() <= handles, "a file handle is left open")


def handles_now() -> int:
    return len(os.listdir("/proc/self/fd"))
