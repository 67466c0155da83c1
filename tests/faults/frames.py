"""Answers that are wrong in their frames, and errors that are told within an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .fault import INVALID, Fault
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
