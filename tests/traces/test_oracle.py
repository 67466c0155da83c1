"""The oracle itself, on answers whose content is known because the tests made them."""

from __future__ import annotations

import pytest

from ..support.speech import MODELS, USAGE, says
from .oracle import COMPLETED, heard

CALLS = [("get_time", {"zone": "Europe/Berlin"}), ("get_time", {"zone": "Asia/Tokyo"}), ("ping", {})]


def framing(dialect: str) -> str:
    return "ndjson" if dialect == "ollama" else "sse"


@pytest.mark.parametrize("dialect", MODELS)
def test_everything_said_is_heard(dialect: str) -> None:
    body = says(dialect, "Grüße, 世界!", calls=CALLS, reasoning="They greet.").body
    said = heard(dialect, framing(dialect), body)
    assert (said.text, said.reasoning, said.calls) == ("Grüße, 世界!", "They greet.", CALLS)
    assert said.status == COMPLETED
    assert said.usage == (*USAGE, 0, 0)
    assert not said.hosted


@pytest.mark.parametrize("dialect", MODELS)
def test_no_end_is_heard_before_the_end(dialect: str) -> None:
    body = says(dialect, "A short answer.").body
    ends = [heard(dialect, framing(dialect), body[:n], ragged=False).status for n in range(len(body))]
    assert ends[0] is None and COMPLETED not in ends[: len(body) // 2]
    assert heard(dialect, framing(dialect), body).text == "A short answer."
