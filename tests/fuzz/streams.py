"""Answers of providers that are nearly right: our own speech, the recorded streams, and frames of both in any order;
with damage to frames, to the JSON in them and to bytes, and cut anywhere.

The records are read in place beside the checkout; where they are absent, the rest is played.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from ..support.provider import JSON, NDJSON, SSE, Answer, cut
from ..support.speech import DIALECTS, MODELS, says
from ..traces.asking import request_for
from ..traces.oracle import heard
from ..traces.records import RECORDS, Record
from ..traces.test_damaged import Frames, frames_of
from .dice import FRAGMENTS, damage, text, written
from .gateway import Exchange

Json = dict[str, Any]

LARGEST = 8_000  # bytes of a record that is played whole; longer ones lend their frames
LARGEST_LENT = 30_000
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
TOOLS = [TOOL, {**TOOL, "name": "g"}, {"type": "custom", "name": "c"}]
STATE = "reasoning.encrypted_content"


@dataclass(frozen=True)
class Case:
    """A request, and the provider's answer to it. `ours`: all of the answer's text is the tests' own."""

    exchange: Exchange
    answer: Answer
    dialect: str
    ours: bool


def case(dice: Random) -> Case:
    """One turn of any provider."""
    dialect = dice.choice([name for name in MODELS if name in DIALECTS])
    records = recorded(dialect)
    kind = dice.choice(("ours", "ours", "recorded", "recorded", "shuffled", "whole", "not a stream"))
    place = dice.randrange(len(records)) if records and kind == "recorded" else None
    if place is not None:
        body, frames = played(dialect, place)
    else:
        body = {"model": MODELS[dialect], "input": "Go on.", "tools": TOOLS, "include": [STATE]}
        frames = shuffled(dice, dialect) if kind == "shuffled" else spoken(dice, dialect)
    if dice.random() < 0.85:
        body["stream"] = True
    if dice.random() < 0.1:
        body |= dice.choice(KNOBS)
    answer = odd_answer(dice, dialect) if kind in ODD else _damaged(dice, frames, dialect)
    exchange = Exchange("POST", "/v1/responses", body=json.dumps(body).encode())
    return Case(exchange, answer, dialect, kind == "ours")


KNOBS: tuple[Json, ...] = (
    {"tool_choice": "none"}, {"tool_choice": "required", "tools": [TOOL]}, {"parallel_tool_calls": False},
    {"store": False},
    {"max_tool_calls": 1}, {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}},
    {"include": []}, {"reasoning": {"effort": "high", "summary": "auto"}}, {"max_output_tokens": 16},
    {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}},
)  # fmt: skip

# --------------------------------------------------------------------------- whole streams


def spoken(dice: Random, dialect: str) -> Frames:
    calls: list[tuple[str, Any]] = [
        ("f", {"a": text(dice)}),
        ("g", {}),
        ("c", text(dice) or "x"),
        ("f", {"": [None]}),
    ]
    said = says(
        dialect,
        text(dice),
        calls=dice.sample(calls, dice.randrange(3)),
        reasoning=text(dice) if dice.random() < 0.5 else "",
    )
    return frames_of(said.body, "ndjson" if dialect == "ollama" else "sse")


@cache
def recorded(dialect: str, largest: int = LARGEST) -> list[Record]:
    """Its streams."""
    return [
        record for record in RECORDS
        if record.dialect == dialect and record.framing != "json" and record.status == 200
        and not record.not_applicable and len(record.body) <= largest
    ]  # fmt: skip


@cache
def _played(dialect: str, place: int) -> tuple[Json, Frames]:
    record = recorded(dialect)[place]
    request = request_for(record, heard(record.dialect, record.framing, record.body))
    return request, frames_of(record.body, record.framing)


def played(dialect: str, place: int) -> tuple[Json, Frames]:
    """A request that fits a record, and the record's frames."""
    request, frames = _played(dialect, place)
    return dict(request), frames


@cache
def vocabulary(dialect: str) -> Frames:
    """Every kind of frame that was ever seen, once for each set of keys."""
    found: dict[object, bytes] = {}
    bodies = [
        says(dialect, "Text.", calls=[("f", {})], reasoning="Thought.").body,
        *(r.body for r in recorded(dialect, LARGEST_LENT)),
    ]
    for body in bodies:
        for frame in frames_of(body, "ndjson" if dialect == "ollama" else "sse"):
            found.setdefault(_kind(frame), frame)
    return list(found.values())


def _kind(frame: bytes) -> object:
    start, end = frame.find(b"{"), frame.rfind(b"}") + 1
    try:
        return _shape(json.loads(frame[start:end]))
    except (ValueError, RecursionError):
        return frame


def _shape(value: Any) -> object:
    if isinstance(value, dict):
        return tuple((key, value["type"] if key == "type" else _shape(inner)) for key, inner in sorted(value.items())
                     if inner is not None)  # fmt: skip
    return tuple({_shape(inner) for inner in value}) if isinstance(value, list) else type(value).__name__


def shuffled(dice: Random, dialect: str) -> Frames:
    """Frames in an order that no provider would send, between a right beginning and a right end, or not."""
    whole = spoken(dice, dialect)
    middle = dice.choices(vocabulary(dialect), k=dice.randrange(1, 12))
    return [*whole[: dice.randrange(3)], *middle, *whole[dice.randrange(len(whole)) :]]


# --------------------------------------------------------------------------- damage


def _lose(dice: Random, frames: Frames) -> None:
    del frames[dice.randrange(len(frames))]


def _lose_the_rest(dice: Random, frames: Frames) -> None:
    del frames[dice.randrange(len(frames)) :]


def _double(dice: Random, frames: Frames) -> None:
    at = dice.randrange(len(frames))
    frames.insert(dice.randrange(len(frames)), frames[at])


def _swap(dice: Random, frames: Frames) -> None:
    a, b = dice.randrange(len(frames)), dice.randrange(len(frames))
    frames[a], frames[b] = frames[b], frames[a]


def _garble(dice: Random, frames: Frames) -> None:
    at = dice.randrange(len(frames))
    place = dice.randrange(len(frames[at]))
    new = bytes([dice.randrange(256)]) if dice.random() < 0.7 else dice.choice(FRAGMENTS)
    frames[at] = frames[at][:place] + new + frames[at][place + 1 :]


def _change(dice: Random, frames: Frames) -> None:
    """Something within a frame's JSON becomes something else."""
    at = dice.randrange(len(frames))
    start, end = frames[at].find(b"{"), frames[at].rfind(b"}") + 1
    try:
        value = json.loads(frames[at][start:end])
    except (ValueError, RecursionError):
        return
    damage(dice, value)
    frames[at] = frames[at][:start] + written(value) + frames[at][end:]


DAMAGES: tuple[Callable[[Random, Frames], None], ...] = (
    _lose, _lose_the_rest, _double, _swap, _garble, _change, _change, _change, _change,
)  # fmt: skip
LINE_ENDS = ((b"\n", b"\r\n"), (b"\n", b"\r"), (b"\n\n", b"\n\n: comment\n\n"), (b"data: ", b"data:"))


def _damaged(dice: Random, frames: Frames, dialect: str) -> Answer:
    frames = list(frames)
    for _ in range(dice.choice((0, 1, 1, 2, 3, 6))):
        if frames:
            dice.choice(DAMAGES)(dice, frames)
    body = b"".join(frame for frame in frames if frame)
    if dialect != "ollama" and dice.random() < 0.15:
        body = body.replace(*dice.choice(LINE_ENDS))
    places = sorted(dice.randrange(len(body) + 1) for _ in range(dice.choice((0, 0, 1, 2, 5, 20))))
    content_type = NDJSON if dialect == "ollama" else SSE
    return Answer(pieces=cut(body, *places), content_type=content_type)


# --------------------------------------------------------------------------- what is no stream

ODD = ("whole", "not a stream")
PAGES = (
    b"", b"<!doctype html><title>502</title>", b"null", b"[]", b"{}", b'"x"', b"0", b"data: [DONE]\n\n",
    b"\xff\xfe", b"[" * 5000,
    b'{"error":{}}', b'{"error":"x"}', b'{"error":{"message":null,"type":1,"code":[]}}',
    b'{"error":{"code":401,"status":{}}}',
    b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}',
    b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]',
    b'{"detail":[{"loc":[1],"msg":{}}]}', b'{"message":{"x":1}}', b'{"code":1e400}',
)  # fmt: skip
STATUSES = (
    200,
    200,
    201,
    204,
    206,
    301,
    400,
    401,
    403,
    404,
    408,
    409,
    413,
    418,
    422,
    429,
    500,
    502,
    503,
    504,
    529,
    599,
)


@cache
def documents(dialect: str) -> list[Record]:
    """Its recorded answers that are no streams: whole ones, and errors."""
    return [record for record in RECORDS if record.dialect == dialect and record.framing == "json"]


def odd_answer(dice: Random, dialect: str) -> Answer:
    records = documents(dialect)
    if not records or dice.random() < 0.3:
        return Answer(dice.choice(PAGES), dice.choice(STATUSES), dice.choice((JSON, SSE, "text/html", "")))
    record = dice.choice(records)
    body, status = record.body, record.status if dice.random() < 0.8 else dice.choice(STATUSES)
    try:
        value = json.loads(body)
        for _ in range(dice.randrange(3)):
            damage(dice, value)
        body = written(value)
    except (ValueError, RecursionError):
        pass
    headers = (
        {"retry-after": dice.choice(("1", "-1", "x", "1e999", "9" * 400))} if dice.random() < 0.2 else {}
    )
    return Answer(body, status, record.content_type, headers)
