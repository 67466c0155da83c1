"""Plays numbered cases; each is made from the run's seed and its number alone, so it can be played again by itself."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Any

import orjson

from .checks import Wrong, check_reply, check_turn
from .gateway import LONGEST, Exchange, InProcess, in_process
from .requests import exchange
from .streams import case

FRESH = 500  # cases after which what is stored is made anew: some cases delete it


@dataclass
class Outcome:
    """`failures`: the number of each case that broke a rule → what it broke."""

    played: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)


async def play(kind: str, seed: str, numbers: Iterable[int]) -> Outcome:
    """`kind`: requests or streams."""
    outcome = Outcome()
    async with player(kind) as one:
        for number in numbers:
            outcome.played += 1
            try:
                with limited():
                    outcome.statuses[await one(Random(f"{seed}/{number}"))] += 1
            except Exception as failure:
                outcome.failures[number] = described(failure)
    return outcome


@asynccontextmanager
async def player(kind: str) -> AsyncIterator[Any]:
    """Plays one case: dice → the status. Raises what it broke."""
    async with in_process() as gateway:
        yield (Requests if kind == "requests" else Streams)(gateway)


class Requests:
    def __init__(self, gateway: InProcess) -> None:
        self._gateway = gateway
        self._ids: list[str] = []
        self._played = 0

    async def __call__(self, dice: Random) -> int:
        if self._played % FRESH == 0:
            self._ids = [found async for found in _made(self._gateway)]
        self._played += 1
        asked = exchange(dice, self._ids)
        reply = await self._gateway.send(asked)
        check_reply(asked, reply)
        return reply.status


class Streams:
    def __init__(self, gateway: InProcess) -> None:
        self._gateway = gateway

    async def __call__(self, dice: Random) -> int:
        played = case(dice)
        self._gateway.providers.answer = played.answer
        self._gateway.forget()
        reply = await self._gateway.send(played.exchange)
        check_turn(played, reply, self._gateway.stored)
        return reply.status


async def _made(gateway: InProcess) -> AsyncIterator[str]:
    """Ids of responses, of a conversation and of their items, in the same order each time."""
    for body in ({}, {"store": True, "input": [{"role": "user", "content": "Hi"}]}, {"background": True}):
        made = orjson.dumps({"model": "echo", "input": "Hello", **body})
        told = orjson.loads((await gateway.send(Exchange("POST", "/v1/responses", body=made))).body)
        yield told["id"]
        for item in told["output"]:
            yield item["id"]
    items = orjson.dumps({"items": [{"role": "user", "content": "Hi"}]})
    told = orjson.loads((await gateway.send(Exchange("POST", "/v1/conversations", body=items))).body)
    yield told["id"]
    listed = await gateway.send(Exchange("GET", f"/v1/conversations/{told['id']}/items"))
    for item in orjson.loads(listed.body)["data"]:
        yield item["id"]


@contextmanager
def limited() -> Iterator[None]:
    """Ends what does not even give up the event loop."""

    def expired(number: int, frame: FrameType | None) -> None:
        raise Wrong(f"a hang: more than {LONGEST * 2:g} s")

    earlier = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, LONGEST * 2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def described(failure: Exception) -> str:
    if isinstance(failure, AssertionError):
        return f"{type(failure).__name__}: {failure}"[:600]
    place = traceback.extract_tb(failure.__traceback__)[-1]
    return f"{type(failure).__name__}: {failure} at {place.filename}:{place.lineno}"[:600]


def run(kind: str, seed: str, numbers: Iterable[int]) -> Outcome:
    return asyncio.run(play(kind, seed, numbers))
