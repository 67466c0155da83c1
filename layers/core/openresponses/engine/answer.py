"""A provider's answer: its chunks made frames, the frames the adapter's deltas, each of them checked, to the end.

Whatever a provider sends becomes deltas: what cannot be read is a Failed one. Nothing is raised or awaited.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from ..adapters.base import UNKNOWN_USAGE, Delta, Failed, Finished, Reader, Usage
from ..protocol.errors import ApiError
from ..upstream.framing import DONE, Decoder, Frame, FrameError, WholeDecoder, decoder_for, parse
from .faults import MISREAD, without_text
from .wellformed import BESIDE_CONTENT, WELL_FORMED

log = logging.getLogger(__name__)


class AnswerReader:
    """Reads one answer of the provider of this name, with the adapter's `reader`.

    finished   the provider has told the answer's own end; only counts may follow
    failed     it has told of a failure, or nothing more can be read
    done       nothing more is to be read
    """

    def __init__(self, provider: str, reader: Reader, framing: str, content_type: str) -> None:
        self._provider = provider
        self._reader = reader
        self._framing = framing
        self._content_type = content_type
        self._decoder: Decoder | None = None
        self._left_out: set[type] = set()  # kinds of deltas, each logged once
        self.finished = self.failed = self.done = False

    @property
    def stopped(self) -> bool:
        """The provider has told why it stopped: what little may follow is not waited for at length."""
        return self.finished or getattr(self._reader, "stopped", False)

    def feed(self, chunk: bytes) -> list[Delta]:
        """The deltas of the next chunk."""
        if not chunk:
            return []
        if self._decoder is None:
            self._decoder = decoder_for(self._framing, self._content_type, chunk)
        try:
            return self._read(self._decoder.feed(chunk))
        except FrameError as error:
            return self._checked([self._unreadable(str(error))])

    def _read(self, frames: list[Frame]) -> list[Delta]:
        deltas: list[Delta] = []
        done = False
        try:
            for event, data in frames:
                if data == DONE:
                    done = True
                    break
                value = parse(data)
                if isinstance(self._decoder, WholeDecoder):
                    deltas.extend(self._reader.whole(value))
                elif isinstance(value, dict):
                    deltas.extend(self._reader.frame(event, value))
                else:
                    deltas.append(self._unreadable("JSON that is not an object"))
                    break
        except MISREAD as error:
            deltas += self._misread(error, deltas)
        deltas = self._checked(deltas)
        if done and not self.done:
            deltas += self.end()
        return deltas

    def _misread(self, error: Exception, deltas: list[Delta]) -> list[Delta]:
        """The failure; nothing after the provider's own end: only a cut tail can follow, and the answer is whole."""
        kind = type(error).__name__
        log.warning("%s: unreadable answer (%s)", self._provider, kind, exc_info=without_text(error))
        if self.finished or any(type(delta) is Finished for delta in deltas):
            return []
        return self._whole_so_far() or [self._unreadable("something that cannot be read")]

    def _whole_so_far(self) -> list[Delta]:
        """The end of an answer that was whole before what cannot be read: a provider whose end is that of the stream
        has told its finish reason. Empty if it was not."""
        try:
            deltas = list(self._reader.end())
        except MISREAD:
            return []
        if any(type(delta) is Failed for delta in deltas) or not any(
            type(delta) is Finished for delta in deltas
        ):
            return []
        self.done = True
        return deltas

    def _checked(self, deltas: list[Delta]) -> list[Delta]:
        """Notes how the answer ends. The deltas, if each is what its type says; else see _without_wrong_types."""
        if self.finished:
            deltas = _usage(deltas)
        for place, delta in enumerate(deltas):
            kind = type(delta)
            if not WELL_FORMED[kind](delta):
                return self._without_wrong_types(deltas)
            if kind is Finished or kind is Failed:
                return self._to_the_end(deltas, place + 1)
        return deltas

    def _to_the_end(self, deltas: list[Delta], end: int) -> list[Delta]:
        """The deltas up to the provider's end of the answer; of what follows, only its counts."""
        if type(deltas[end - 1]) is Finished:
            self.finished = True
        else:
            self.failed = self.done = True
        return deltas[:end] + self._checked(_usage(deltas[end:]))

    def _without_wrong_types(self, deltas: list[Delta]) -> list[Delta]:
        """The deltas up to the first one of wrong content, which fails the turn; without what is wrong beside it."""
        wrong = next(place for place, delta in enumerate(deltas) if not WELL_FORMED[type(delta)](delta))
        kind = type(deltas[wrong])
        if kind not in self._left_out:
            log.warning("%s: a value of the wrong type in %s", self._provider, kind.__name__)
        self._left_out.add(kind)
        if kind in BESIDE_CONTENT:
            instead: list[Delta] = [UNKNOWN_USAGE] if kind is Usage else []
            return self._checked(deltas[:wrong] + instead + deltas[wrong + 1 :])
        return [*deltas[:wrong], self._unreadable("a value of the wrong type")]

    def end(self) -> list[Delta]:
        """What the decoder and the reader still hold; a stream without the provider's own end has failed."""
        self.done = True
        try:
            deltas = self._read(self._decoder.end()) if self._decoder else []
        except FrameError as error:
            return self._checked([self._unreadable(str(error))])
        if self.failed:
            return deltas
        try:
            deltas += self._checked(list(self._reader.end()))
        except MISREAD as error:
            deltas += self._misread(error, deltas)
        if not (self.finished or self.failed):
            message = f"The answer of {self._provider} ended before it was complete."
            deltas.append(Failed(ApiError("provider_unavailable", message)))
            self.failed = True
        return deltas

    def told_error(self) -> ApiError | None:
        """The error that the provider told of before it fell silent or broke off, if it did."""
        with suppress(*MISREAD):
            return next((delta.error for delta in self._reader.end() if type(delta) is Failed), None)
        return None

    def _unreadable(self, what: str) -> Failed:
        self.failed = self.done = True
        return Failed(ApiError("provider_invalid_response", f"{self._provider} sent {what}."))


def _usage(deltas: list[Delta]) -> list[Delta]:
    return [delta for delta in deltas if type(delta) is Usage]
