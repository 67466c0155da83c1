"""Frames from bytes: server-sent events and newline-delimited JSON, cut anywhere.

Source: the HTML standard, "Server-sent events", section 9.2.6 (line ends CR, LF, CRLF; comments; `data` lines joined).
"""

from __future__ import annotations

import re
from typing import Protocol

import orjson

from ..protocol.depth import too_deep

Frame = tuple[str, bytes]
DONE = b"[DONE]"
BOM = b"\xef\xbb\xbf"  # may stand before all else, and says nothing
BLANK = b" \t\r\n" + BOM
MAX_FRAME_BYTES = 32 * 1024 * 1024


class FrameError(Exception):
    """Bytes that are not frames; `str()` says what they are."""


class FrameTooLarge(FrameError):
    """A frame that does not end."""

    def __init__(self) -> None:
        super().__init__("a frame without an end")


class SseDecoder:
    """Feeds on chunks of an event stream and gives (event name, data) of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._held: list[bytes] = []  # chunks without an empty line, joined when one comes
        self._held_bytes = 0
        self._last = b""  # the last byte fed

    def feed(self, chunk: bytes) -> list[Frame]:
        if not self._has_empty_line(chunk):
            self._hold(chunk)
            return []
        if self._held:
            chunk = b"".join([self._rest, *self._held, chunk])
            self._held.clear()
        elif self._rest:
            chunk = self._rest + chunk
        self._last = chunk[-1:]
        half = b"\r" if self._last == b"\r" else b""  # maybe the first half of a CRLF
        if b"\r" in chunk:
            chunk = chunk[: len(chunk) - len(half)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = chunk.split(b"\n\n")
        self._rest = rest + half
        self._held_bytes = 0
        self._check(len(rest))
        return [frame for block in blocks if block and (frame := read_event(block))]

    def _has_empty_line(self, chunk: bytes) -> bool:
        """Whether an event may end in this chunk: two line ends follow each other, CRLF being one."""
        if b"\n\n" in chunk or b"\n\r" in chunk or b"\r\r" in chunk:
            return True
        return self._last == b"\r" or (self._last == b"\n" and chunk[:1] in (b"\n", b"\r"))

    def _hold(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        self._last = chunk[-1:] or self._last
        self._check(len(self._rest) + self._held_bytes)

    def _check(self, size: int) -> None:
        if size > MAX_FRAME_BYTES:
            raise FrameTooLarge

    def end(self) -> list[Frame]:
        """What a stream that ends without a blank line still holds: providers do end so."""
        rest, self._rest = b"".join([self._rest, *self._held]), b""
        self._held.clear()
        frame = read_event(rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        return [frame] if frame else []


def read_event(block: bytes) -> Frame | None:
    """(event name, data) of one event's lines; None if it has no data. The data may be DONE, which is no JSON.

    A provider in trouble may write a bare JSON object into its event stream: that is data, too.
    """
    event = ""
    data: list[bytes] = []
    block = block.removeprefix(BOM)
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif line.startswith(b"event:"):
            event = line[6:].strip().decode("utf-8", "replace")
    if not data and block.lstrip().startswith(b"{"):
        return event, block.strip()
    joined = data[0] if len(data) == 1 else b"\n".join(data)
    return (event, joined) if joined else None


class NdjsonDecoder:
    """Feeds on chunks of newline-delimited JSON and gives ("", line) of each line that is complete."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._size = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest.clear()
            self._size = 0
        self._rest.append(rest)
        self._size += len(rest)
        if self._size > MAX_FRAME_BYTES:
            raise FrameTooLarge
        return [("", stripped) for line in lines if (stripped := line.strip(BLANK))]

    def end(self) -> list[Frame]:
        rest = b"".join(self._rest).strip(BLANK)
        self._rest.clear()
        return [("", rest)] if rest else []


class WholeDecoder:
    """Collects one JSON document: the answer of a backend that does not stream."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        self._pieces.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_FRAME_BYTES:
            raise FrameTooLarge
        return []

    def end(self) -> list[Frame]:
        return [("", b"".join(self._pieces).removeprefix(BOM))]


class Decoder(Protocol):
    """Raises FrameError for bytes that cannot be frames."""

    def feed(self, chunk: bytes) -> list[Frame]: ...

    def end(self) -> list[Frame]: ...


def decoder_for(framing: str, content_type: str, first: bytes) -> Decoder:
    """By what was sent, not by what was promised: JSON documents come under text/event-stream, and vice versa.

    Lines come under application/json too, and a whole answer is a line of its own: the last one.
    """
    start = first.lstrip(BLANK)[:1]
    if framing == "aws-eventstream" and start not in (b"{", b"<"):
        from .eventstream import EventStreamDecoder

        return EventStreamDecoder()
    if framing == "ndjson":
        return NdjsonDecoder()
    return WholeDecoder() if start in (b"{", b"[", b"<") else SseDecoder()


# Escapes: of a backslash, of a whole surrogate pair, and of half of one.
ESCAPES = re.compile(rb"(\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")


def parse(data: bytes) -> object:
    """The JSON in a frame; raises ValueError if it is none, or nested so deeply that no event could hold it.

    Half of a surrogate pair, which no UTF-8 can carry, is read as U+FFFD: backends cut texts between the two.
    """
    try:
        value: object = orjson.loads(data)
    except ValueError:
        value = orjson.loads(ESCAPES.sub(lambda escape: escape[1] or b"\\ufffd", data))
    if too_deep(data, value):
        raise ValueError("nested too deeply")
    return value
