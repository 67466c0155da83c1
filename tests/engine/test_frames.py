"""Frames of limited size: what is joined, what is split, what is dropped, what cannot be sent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openresponses.engine.frames import Frames
from openresponses.protocol.errors import ApiError

Json = dict[str, Any]

TOOL = {"type": "function", "name": "f", "description": "d" * 400}


def delta(text: str, index: int = 0, **more: Any) -> Json:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": index}
    return {
        "type": "response.output_text.delta",
        "sequence_number": 9,
        **place,
        "delta": text,
        "logprobs": [],
        **more,
    }


def snapshot(kind: str = "completed", **fields: Any) -> Json:
    return {"type": f"response.{kind}", "sequence_number": 0, "response": {"id": "resp_1", **fields}}


def told(events: list[Json], limit: int = 131_072) -> list[Json]:
    frames = list(Frames(limit).of(events))
    assert all(len(frame) <= limit for frame in frames)
    return [orjson.loads(frame) for frame in frames]


def test_deltas_that_came_together_are_one() -> None:
    frames = told(
        [delta("a", logprobs=[1]), delta("b", logprobs=[2]), delta("c", index=1), delta("d", index=1)]
    )
    assert [(f["delta"], f["content_index"], f["logprobs"]) for f in frames] == [
        ("ab", 0, [1, 2]),
        ("cd", 1, []),
    ]
    assert [f["sequence_number"] for f in frames] == [0, 1]


@given(st.lists(st.text(), max_size=20), st.integers(1, 4))
def test_no_text_is_lost(texts: list[str], times: int) -> None:
    frames = told([delta(text * times, index=n // 3) for n, text in enumerate(texts)])
    for index in range(7):
        said = "".join(text * times for n, text in enumerate(texts) if n // 3 == index)
        assert "".join(f["delta"] for f in frames if f["content_index"] == index) == said


def test_a_large_delta_is_several() -> None:
    text = "\x01" * 100_000  # six bytes each, as JSON
    frames = told([delta(text, logprobs=[{"token": "x"}])])
    assert "".join(f["delta"] for f in frames) == text and len(frames) > 4
    assert [f["sequence_number"] for f in frames] == list(range(len(frames)))
    assert [bool(f["logprobs"]) for f in frames] == [True] + [False] * (len(frames) - 1)


SNAPSHOTS = [  # the limit, what is left of tools, instructions and output
    (2000, ([TOOL], "i" * 400, ["o" * 400])),
    (1100, ([], "i" * 400, ["o" * 400])),
    (700, ([], None, ["o" * 400])),
    (300, ([], None, [])),
]


@pytest.mark.parametrize(("limit", "left"), SNAPSHOTS)
def test_a_snapshot_drops_what_the_client_has(limit: int, left: tuple[Any, ...]) -> None:
    (frame,) = told([snapshot(tools=[TOOL], instructions="i" * 400, output=["o" * 400])], limit)
    response = frame["response"]
    assert (response["tools"], response["instructions"], response["output"]) == left


def test_what_is_too_large_ends_the_turn() -> None:
    frames = Frames(700)
    sent = list(frames.of([snapshot("created", tools=[], output=[]), delta("Hi")]))
    done = {"type": "response.output_text.done", "sequence_number": 2, "text": "x" * 1000}
    with pytest.raises(ApiError, match=r"response\.output_text\.done") as refused:
        list(frames.of([delta("!"), done]))
    last = orjson.loads(frames.failed(refused.value))
    assert last["type"] == "response.failed" and last["sequence_number"] == len(sent) + 1
    assert last["response"]["error"]["code"] == "message_too_large" and last["response"]["id"] == "resp_1"


def test_an_envelope_has_no_number() -> None:
    envelope = {"type": "error", "status": 400, "error": {"code": "x", "message": "m"}}
    assert told([envelope]) == [envelope]
