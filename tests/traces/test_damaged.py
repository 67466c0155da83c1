"""Damaged streams: frames lost, doubled, swapped, nulled or garbled. Whatever a provider sends, the client gets a
legal stream with one terminal event (`Gateway.ask` checks it), or an HTTP error in our shape."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import MODELS, says
from .asking import request_for
from .oracle import heard
from .records import STREAMS, Record

Frames = list[bytes]
Damage = Callable[[random.Random, Frames], None]

FAST, SLOW = 2, 40
SEPARATOR = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")
NONSENSE: list[Any] = [None, 0, -1, "", "x", [], {}, [None], {"type": "x"}, True, 1e300]


def lose(dice: random.Random, frames: Frames) -> None:
    del frames[dice.randrange(len(frames))]


def double(dice: random.Random, frames: Frames) -> None:
    at = dice.randrange(len(frames))
    frames.insert(at, frames[at])


def swap(dice: random.Random, frames: Frames) -> None:
    a, b = dice.randrange(len(frames)), dice.randrange(len(frames))
    frames[a], frames[b] = frames[b], frames[a]


def garble(dice: random.Random, frames: Frames) -> None:
    at = dice.randrange(len(frames))
    place = dice.randrange(len(frames[at]))
    frames[at] = frames[at][:place] + bytes([dice.randrange(256)]) + frames[at][place + 1 :]


def replace(dice: random.Random, frames: Frames) -> None:
    """Some value within a frame's JSON becomes something else."""
    at = dice.randrange(len(frames))
    start, end = frames[at].find(b"{"), frames[at].rfind(b"}") + 1
    try:
        value = json.loads(frames[at][start:end])
    except ValueError:
        return
    target: Any = value
    while isinstance(target, dict | list) and target:
        key = dice.choice(list(target)) if isinstance(target, dict) else dice.randrange(len(target))
        if not isinstance(target[key], dict | list) or not target[key] or dice.random() < 0.2:
            target[key] = dice.choice(NONSENSE)
            break
        target = target[key]
    frames[at] = frames[at][:start] + json.dumps(value).encode() + frames[at][end:]


DAMAGES: list[Damage] = [lose, double, swap, garble, replace]
# OpenAI's own items and events are passed on as they are, nonsense included; kinds that nobody knows, too.
PASSED_ON = {"openai": [lose, double, swap, garble]}
TRANSLATED = [
    record for record in STREAMS
    if record.dialect != "openai" or not heard(record.dialect, record.framing, record.body).hosted
]  # fmt: skip


def frames_of(body: bytes, framing: str) -> Frames:
    if framing == "ndjson":
        return [line + b"\n" for line in body.split(b"\n") if line]
    return [frame for frame in SEPARATOR.split(body) if frame]


def ask_damaged(gateway: Gateway, record: Record, dice: random.Random) -> None:
    body = request_for(record, heard(record.dialect, record.framing, record.body))
    frames = frames_of(record.body, record.framing)
    for damage in dice.choices(PASSED_ON.get(record.dialect, DAMAGES), k=dice.randrange(1, 4)):
        if frames:
            damage(dice, frames)
    gateway.scenario(Answer(b"".join(frames), content_type=record.content_type))
    told = gateway.ask(body, stream=dice.random() < 0.8, any_kinds=record.dialect in PASSED_ON)
    assert told.status in (200, 400, 404, 429, 500, 502, 503, 504)
    assert told.error.get("code") != "server_error", "the gateway itself failed"
    assert (told.response.get("error") or {}).get("code") != "server_error", "the gateway itself failed"


# One record in four is quick to damage; all of them are, in the slow run.
SOME = [
    pytest.param(record, id=record.id, marks=[pytest.mark.slow] if number % 4 else [])
    for number, record in enumerate(TRANSLATED)
]


@pytest.mark.parametrize("record", SOME)
@pytest.mark.parametrize("times", [FAST, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["fast", "slow"])
def test_damaged_records(gateway: Gateway, record: Record, times: int) -> None:
    for n in range(times):
        ask_damaged(gateway, record, random.Random(f"{record.slug} {times} {n}"))


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("times", [40, pytest.param(2000, marks=pytest.mark.slow)], ids=["fast", "slow"])
def test_damaged_speech(gateway: Gateway, dialect: str, times: int) -> None:
    """The same on answers of the tests' own, where no records are."""
    answer = says(dialect, "Some words.", calls=[("f", {"a": 1}), ("f", {})], reasoning="A thought.")
    framing = "ndjson" if dialect == "ollama" else "sse"
    model = {"chat": "vllm"}.get(dialect, dialect) + "/some-model"
    record = Record("speech", dialect, framing, model, None, 200, answer.content_type, answer.body, (), None)
    for n in range(times):
        ask_damaged(gateway, record, random.Random(f"{dialect} {n}"))
