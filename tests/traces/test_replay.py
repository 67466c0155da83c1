"""Every recorded exchange through the real HTTP server: what the provider said is what the client is told.

Asked for streaming and not, the provider's bytes delivered in random pieces; and each stream truncated at random
bytes, which must end in response.failed unless the provider's own terminal marker had passed.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from ..support.client import Told, comparable
from ..support.gateway import Gateway
from ..support.provider import APART, Answer, cut
from .asking import request_for
from .compare import compare, compare_error
from .explained import EXPLAINED
from .oracle import Said, heard
from .records import APPLICABLE, FILES, RECORDS, STREAMS, Record

Json = dict[str, Any]

NOT_APPLICABLE = 8
PIECES = 3
FAST_CUTS, SLOW_CUTS = 1, 60
CONTINUATION = (
    b'{"id":"msg_2","type":"message","role":"assistant","model":"claude-test","content":[],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
)


def each(records: list[Record]) -> Any:
    return pytest.mark.parametrize("record", records, ids=[record.id for record in records])


def test_records_are_known() -> None:
    """Where the records are there, all of them are accounted for."""
    if not RECORDS:
        pytest.skip("no records beside the checkout")
    assert len(FILES) == 632
    left_out = [record.id for record in RECORDS if record.not_applicable]
    assert len(left_out) == NOT_APPLICABLE, left_out


def answers(record: Record, body: bytes, pieces: list[bytes] | None = None) -> list[Answer]:
    said = Answer(body, record.status, record.content_type, pieces=pieces, pause=APART)
    # Anthropic's pause_turn asks for the same turn again
    return [said, Answer(CONTINUATION)] if b'"pause_turn"' in body else [said]


def replay(gateway: Gateway, record: Record, said: Said | None, *, stream: bool) -> Told:
    """The gateway's answer to a record, delivered in random pieces."""
    dice = random.Random(record.slug)
    size = len(record.body)
    pieces = (
        cut(record.body, *sorted(dice.sample(range(1, size), min(PIECES - 1, size - 1))))
        if size > 1
        else None
    )
    gateway.scenario(*answers(record, record.body, pieces))
    return gateway.ask(request_for(record, said), stream=stream)


@each(APPLICABLE)
def test_replay(gateway: Gateway, record: Record, request: pytest.FixtureRequest) -> None:
    request.node.user_properties.append(("record", {"provider": record.dialect, "tags": list(record.tags)}))
    said = None if record.status != 200 else heard(record.dialect, record.framing, record.body)
    found: list[str] = []
    told = {}
    for stream in (False, True):
        told[stream] = replay(gateway, record, said, stream=stream)
        differences = compare_error(record, told[stream]) if said is None else compare(said, told[stream])
        found += [f"{'stream' if stream else 'json'}: {difference}" for difference in differences]
    if not found and told[True].status == told[False].status == 200:
        assert comparable(told[True].response) == comparable(told[False].response), "streaming and not differ"
    found = [difference for difference in found if not explained(record, difference)]
    assert not found, "\n".join(found)


@each(STREAMS)
@pytest.mark.parametrize(
    "cuts", [FAST_CUTS, pytest.param(SLOW_CUTS, marks=pytest.mark.slow)], ids=["fast", "slow"]
)
def test_truncated(gateway: Gateway, record: Record, cuts: int) -> None:
    """A stream that breaks off at any byte: the client is told what came, and that it broke off."""
    dice = random.Random(f"{record.slug} {cuts}")
    whole = heard(record.dialect, record.framing, record.body)
    body = request_for(record, whole)
    for place in sorted(dice.sample(range(1, len(record.body)), min(cuts, len(record.body) - 1))):
        part = record.body[:place]
        gateway.scenario(*answers(record, part))
        told = gateway.ask(body, stream=True)
        # a last record without its empty line may count or not: the provider was about to end it
        readings = [heard(record.dialect, record.framing, part, ragged=ragged) for ragged in (False, True)]
        if record.dialect == "gemini" and readings[0].status:
            # its only end is EOF: what breaks off after a finishReason may be more of the answer
            readings.append(replace(readings[0], status=None, reason=None))
        found = [[d for d in compare(said, told) if not explained(record, d)] for said in readings]
        assert not all(found), f"cut at byte {place} of {len(record.body)}: " + "; ".join(found[0])


def explained(record: Record, difference: str) -> bool:
    """Whether a difference is intended, by the list of those."""
    return any(words in difference for words in EXPLAINED.get(record.slug, ()))
