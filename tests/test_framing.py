"""Frames from bytes, however they are cut and however their lines end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openresponses.upstream.framing import Decoder, Frame, NdjsonDecoder, SseDecoder

MEGABYTE = 1 << 20
EVENTS = b": hello\n\nevent: a\ndata: 1\n\ndata: 2\ndata: 3\n\n\n: still here\n\nevent: b\ndata: 4"
FRAMES = [("a", b"1"), ("", b"2\n3"), ("b", b"4")]


def decoded(decoder: Decoder, pieces: list[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in decoder.feed(piece)] + decoder.end()


@given(
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(st.integers(0, len(EVENTS) * 2), max_size=20),
    st.booleans(),
)
def test_any_line_end_in_any_cut(line_end: bytes, mark: bytes, places: list[int], ended: bool) -> None:
    body = mark + (EVENTS + (b"\n\n" if ended else b"")).replace(b"\n", line_end)
    ends = [*sorted(places), len(body)]
    pieces = [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert decoded(SseDecoder(), pieces) == FRAMES


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_given_when_it_is_complete(line_end: bytes) -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1" + line_end) == []
    assert decoder.feed(line_end) + decoder.feed(b"d") == [("", b"1")]


@pytest.mark.parametrize(
    ("decoder", "piece"),
    [
        pytest.param(SseDecoder(), b"data: " + b"x" * 8000 + b"\n", id="an event of many lines"),
        pytest.param(SseDecoder(), b"data: " + b"x" * 8000 + b"\r\n", id="the same with CRLF"),
        pytest.param(SseDecoder(), b"x" * 8000, id="an event of one line"),
        pytest.param(NdjsonDecoder(), b"x" * 8000, id="a line"),
    ],
)
def test_a_large_frame_takes_time_by_its_size(decoder: Decoder, piece: bytes) -> None:
    """30 MB in small pieces; joined at each of them they would be copied 4,000 times."""
    begun = time.process_time()
    for _ in range(30 * MEGABYTE // len(piece)):
        assert decoder.feed(piece) == []
    assert time.process_time() - begun < 2
    assert len(decoder.end()) <= 1
