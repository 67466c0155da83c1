"""Frames from AWS's event stream (`application/vnd.amazon.eventstream`); botocore takes the bytes apart."""

from __future__ import annotations

from typing import Any

import orjson

from .framing import MAX_FRAME_BYTES, Frame, FrameError, FrameTooLarge


class EventStreamDecoder:
    """Feeds on chunks and gives (event or exception type, JSON payload) of each message that is complete."""

    def __init__(self) -> None:
        from botocore.eventstream import EventStreamBuffer

        self._buffer: Any = EventStreamBuffer()
        self._waiting = 0
        self._damaged = False

    def feed(self, chunk: bytes) -> list[Frame]:
        from botocore.eventstream import ParserError

        self._check()
        self._waiting += len(chunk)
        if self._waiting > MAX_FRAME_BYTES:
            raise FrameTooLarge
        self._buffer.add_data(chunk)
        frames: list[Frame] = []
        try:
            for message in self._buffer:
                frames += _frame(message)
        except (ParserError, ValueError):
            self._damaged = True  # what came whole before it counts
        if frames:
            self._waiting = 0
        else:
            self._check()
        return frames

    def end(self) -> list[Frame]:
        self._check()
        return []

    def _check(self) -> None:
        if self._damaged:
            raise FrameError("a damaged event stream")


def _frame(message: Any) -> list[Frame]:
    if error := message.headers.get(":error-code"):  # an error that the service has no form for
        return [_error(str(error), str(message.headers.get(":error-message") or ""))]
    names = (message.headers.get(name) for name in (":event-type", ":exception-type"))
    name = next(filter(None, names), None)
    return [(str(name), message.payload or b"{}")] if name else []


def _error(code: str, text: str) -> Frame:
    """Named and told as an exception is."""
    name = code[:1].lower() + code[1:].removesuffix("Exception")
    return f"{name}Exception", orjson.dumps({"message": text or code})
