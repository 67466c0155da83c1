"""Answers that stop: at each place of an answer, by each way to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .fault import INVALID, SILENT, UNAVAILABLE, Ends, Fault
from .outcomes import End, broken, refused, whole
from .wire import DIALECTS, END, FIRST_WORD, READ, Dialect, chunk, head_of, sends

# Dialects whose first frame says that the provider has begun, before any text; the others begin with their text.
ANNOUNCED = ("openai", "anthropic", "chat", "bedrock")


@dataclass(frozen=True)
class Place:
    """Where an answer stops.

    sent    the bytes up to there
    begun   whether the provider has begun to answer there; None: in the ANNOUNCED dialects
    text    what has been said of the text
    whole   whether the answer is complete there
    """

    name: str
    sent: Callable[[Dialect], bytes]
    begun: bool | None
    text: str = ""
    whole: bool = False


def frames(count: Callable[[Dialect], int], *, half: bool = False) -> Callable[[Dialect], bytes]:
    """The answer up to a frame; `half`: and half of the next one."""

    def sent(dialect: Dialect) -> bytes:
        place = count(dialect)
        rest = dialect.frames[place] if half else b""
        return head_of(dialect) + b"".join(map(chunk, dialect.frames[:place])) + chunk(rest[: len(rest) // 2])

    return sent


IN_FRAME = "in the middle of a frame"
AFTER_HEAD = "after the head"
PLACES = [
    Place("before the head", lambda _: b"", False),
    Place("in the head", lambda dialect: head_of(dialect)[:25], False),
    Place(AFTER_HEAD, head_of, False),
    Place("before the first word", frames(lambda dialect: dialect.first), None),
    Place("after the first word", frames(lambda dialect: dialect.first + 1), True, FIRST_WORD),
    Place(IN_FRAME, frames(lambda dialect: dialect.first + 1, half=True), True, FIRST_WORD),
    Place("before the end", frames(lambda dialect: dialect.last), True, FIRST_WORD),
    Place("after the end", frames(lambda dialect: dialect.last + 1), True, FIRST_WORD, whole=True),
]


def ends_at(place: Place, code: str, *, retried: bool) -> tuple[End, Ends]:
    """The end of an answer that stops there, and the dialects that end otherwise."""
    late, early = broken(code, place.text), refused(code, retried=retried)
    if place.whole:
        # Gemini may go on after a finishReason: only the end of the message is its end.
        return whole(), {"gemini": late}
    if place.begun is None:
        return late, {name: early for name in DIALECTS if name not in ANNOUNCED}
    if place.begun or place.name == AFTER_HEAD:
        return late if place.begun else early, {}
    # Who hangs up before any byte may have met an old connection, which is replaced: the attempts vary.
    return End(code, begun=False, attempts=None), {}


def stops() -> Iterator[Fault]:
    for place in PLACES:
        end, but = ends_at(place, UNAVAILABLE, retried=True)
        reset = sends(place.sent, b"", pause=READ, ending="abort")
        yield Fault(f"resets the connection {place.name}", reset, end, but)
        yield Fault(f"closes the connection {place.name}", sends(place.sent), end, but)
        if place.name == IN_FRAME:
            # Half a frame that ends is a frame, and unreadable; AWS's has a length, and is missed.
            end, but = broken(INVALID, FIRST_WORD), {"bedrock": end}
        if place.begun is not False and not place.whole:
            yield Fault(f"ends its answer {place.name}", sends(place.sent, END), end, but)
        end, but = ends_at(place, SILENT, retried=False)
        yield Fault(f"falls silent {place.name}", sends(place.sent, ending="hang"), end, but, silent=True)
