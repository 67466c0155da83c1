"""Answers that are wrong in their frames, and errors that are told within an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from ..support.provider import Answer, bytewise
from .fault import INVALID, UNAVAILABLE, Fault
from .outcomes import broken, cut, refused, whole
from .wire import (
    DIALECTS,
    END,
    FIRST_WORD,
    Dialect,
    after_first_word,
    body,
    chunk,
    chunked,
    head_of,
    right,
    sends,
    until_first_word,
)

# A frame may be this long in the tests; the gateway's own limit is tried by the slow run.
MAX_FRAME_BYTES = 1 << 20

GARBAGE = {
    "garbage": "{garbage",
    "null": "null",
    "a number": "42",
    "a list": "[1]",
    "100,000 brackets": "[" * 100_000,
    "half an object": '{"type":',
    "NUL bytes": "\0\0\0\0",
    "a frame without an end": '{"x":"' + "y" * (2 * MAX_FRAME_BYTES),
}
# What JSON does not know, and what is nested so deeply or is so large that nobody reads it.
NO_VALUES = (
    "NaN", "-Infinity", "1e999", "9" * 400, "01", '"\x01"', "[" * 900 + "]" * 900, '{"a":' * 5000 + "1" + "}" * 5000,
)  # fmt: skip
EVENT_STREAMS = ("openai", "anthropic", "gemini", "chat")
ERROR_CODES = {
    "overloaded": "server_is_overloaded",
    "internal": "provider_error",
    "throttled": "rate_limit_exceeded",
}


def frame(value: str) -> Callable[[Dialect], bytes]:
    return lambda dialect: dialect.frame(value)


def error(kind: str) -> Callable[[Dialect], bytes]:
    return lambda dialect: dialect.error(kind)


def its_end(dialect: Dialect) -> bytes:
    return b"".join(dialect.frames[dialect.last :])


def frames() -> Iterator[Fault]:
    for name, value in GARBAGE.items():
        yield Fault(f"begins with {name}", body(frame(value), right), refused(INVALID))
        late = body(until_first_word, frame(value), after_first_word)
        yield Fault(f"sends {name} after the first word", late, broken(INVALID, FIRST_WORD))
    yield Fault("sends its end twice", body(right, its_end), whole())
    yield Fault("sends its answer twice", body(right, right), whole())
    yield Fault("sends garbage after its end", body(right, frame("{garbage")), whole())
    unknown = body(until_first_word, frame('{"type":"new.event","new":{"a":1}}'), after_first_word)
    yield Fault("sends an event of a kind that nobody knows", unknown, whole(), only=EVENT_STREAMS)
    comments = [chunk(b": processing\n\n")] * 15
    alive = sends(head_of, chunked(until_first_word), *comments, chunked(after_first_word), END, pause=0.1)
    name = "sends comments for longer than it may be silent"
    yield Fault(name, alive, whole(), silent=True, only=EVENT_STREAMS)


def same_frames() -> Iterator[Fault]:
    """What the formats allow, and few providers do; and what no frame may hold."""
    for name, ends in {"CR": b"\r", "CRLF": b"\r\n"}.items():
        ended = partial(with_ends, ends)
        yield Fault(f"ends its lines with {name}", body(ended), whole(), only=EVENT_STREAMS)
        drip = partial(dripped, ended)
        yield Fault(f"ends its lines with {name}, byte by byte", drip, whole(), only=EVENT_STREAMS)
    yield Fault("mixes its line ends", body(mixed), whole(), only=EVENT_STREAMS)
    for name, before in {
        "an id and a retry": b"id: 1\nretry: 1\n",
        "an event without data": b"event: ping\n\n",
        "empty data": b"data:\n\ndata\n\n",
        "a comment": b": word\n",
        "empty lines": b"\n\n\n",
    }.items():
        yield Fault(
            f"has {name} before each event", body(partial(with_each, before)), whole(), only=EVENT_STREAMS
        )
    for name, change in {
        "has no space after its colons": lambda text: text.replace(b"data: ", b"data:").replace(
            b"event: ", b"event:"
        ),
        "has its data over several lines": lambda text: text.replace(b', "', b',\ndata: "'),
        "names all its events ping": lambda text: re.sub(rb"event: \S+", b"event: ping", text),
        "names none of its events": lambda text: re.sub(rb"event: \S+\n", b"", text),
    }.items():
        yield Fault(name, body(changed(change)), whole(), only=EVENT_STREAMS)
    done = b"data: [DONE]\n\n"
    yield Fault("begins with [DONE]", body(done, right), refused(UNAVAILABLE), only=EVENT_STREAMS)
    early = body(until_first_word, done, after_first_word)
    yield Fault(
        "says [DONE] after the first word", early, broken(UNAVAILABLE, FIRST_WORD), only=EVENT_STREAMS
    )
    yield Fault("says [DONE] three times", body(right, done * 3), whole(), only=EVENT_STREAMS)


def same_json() -> Iterator[Fault]:
    """A field that nobody knows in every frame."""
    for value in ('"\\ud800"', '"\\u0000"', "-0", "1E5", "[" * 90 + "]" * 90, '"' + "y" * 100_000 + '"'):
        yield Fault(f"has the value {value:.12} in each frame", body(with_field(value)), whole())
    for value in NO_VALUES:
        found = f"has the value {value:.12} in each frame, {len(value)}"
        yield Fault(found, body(with_field(value)), refused(INVALID))
    for text in (b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\n"):
        unreadable = body(in_each(partial(with_text, text)))
        yield Fault(f"says {text!r} in its text", unreadable, broken(INVALID, FIRST_WORD))


def with_text(text: bytes, found: bytes) -> bytes:
    return found.replace(b" ther", b" t" + text + b"er")


def in_each(change: Callable[[bytes], bytes]) -> Callable[[Dialect], bytes]:
    """The body, the JSON of each frame changed."""
    return lambda dialect: b"".join(dialect.with_json(frame, change) for frame in dialect.frames)


def with_field(value: str) -> Callable[[Dialect], bytes]:
    return in_each(lambda found: b'{"x_field":' + value.encode() + b"," + found[1:])


def with_ends(ends: bytes, dialect: Dialect) -> bytes:
    return right(dialect).replace(b"\r\n", b"\n").replace(b"\n", ends)


def with_each(before: bytes, dialect: Dialect) -> bytes:
    return b"".join(before + frame for frame in dialect.frames)


def mixed(dialect: Dialect) -> bytes:
    return re.sub(b"\n", lambda found: (b"\n", b"\r", b"\r\n")[found.start() % 3], with_ends(b"\n", dialect))


def dripped(part: Callable[[Dialect], bytes], dialect: Dialect) -> Answer:
    return sends(head_of, *map(chunk, bytewise(part(dialect))), END)(dialect)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Dialect], bytes]:
    return lambda dialect: change(right(dialect))


def errors_in_200() -> Iterator[Fault]:
    for kind, code in ERROR_CODES.items():
        yield Fault(f"begins with an error event: {kind}", body(error(kind)), refused(code))
        # OpenAI's is read with the response.failed that should follow it, and nobody waits for that twice.
        patient = {"openai": refused(code, retried=False)}
        early = sends(head_of, chunked(error(kind)), ending="hang")
        name = f"begins with an error event and falls silent: {kind}"
        yield Fault(name, early, refused(code), patient, silent=True)
        late = broken(code, FIRST_WORD)
        answer = body(until_first_word, error(kind))
        yield Fault(f"sends an error event after the first word: {kind}", answer, late)
        silent = sends(head_of, chunked(until_first_word), chunked(error(kind)), ending="hang")
        yield Fault(f"sends an error event and falls silent: {kind}", silent, late, silent=True)


def ended_for(reason: str) -> Callable[[Dialect], bytes]:
    return lambda dialect: right(dialect).replace(*dialect.reasons[reason])


def early_ends() -> Iterator[Fault]:
    for reason in ("max_output_tokens", "content_filter"):
        able = tuple(name for name, dialect in DIALECTS.items() if reason in dialect.reasons)
        yield Fault(f"ends its answer for {reason}", body(ended_for(reason)), cut(reason), only=able)
