"""The providers of a soak: each streams for some seconds; those of a failing model fail, each time in another way."""

from __future__ import annotations

import itertools
from functools import cache

from ..faults.stops import AFTER_HEAD, IN_FRAME, PLACES
from ..faults.wire import DIALECTS, Dialect, Make, asked_model, body, reply, sends, until_first_word
from ..support.provider import Answer, Received
from ..support.speech import says

WORDS = "What is said here is long enough to be cut. " * 4
PAUSE = 0.1  # seconds between two pieces: an answer takes about four
FAILING = "failing"
PLACE = {place.name: place for place in PLACES}
FAILURES: tuple[Make, ...] = (
    sends(PLACE[IN_FRAME].sent, b"", pause=0.5, ending="abort"),
    sends(PLACE["after the first word"].sent),
    sends(PLACE[AFTER_HEAD].sent, ending="hang"),
    sends(PLACE["before the end"].sent, ending="hang"),
    reply(500),
    reply(429, b"", "retry-after: 0"),
    body(until_first_word, lambda dialect: dialect.error("overloaded")),
    body(until_first_word, b"data: {garbage\n\n"),
    body(b"<html>Bad gateway</html>", content_type="text/html"),
)
# A path of each wire format that a local gateway asks without more settings.
PATHS = {
    "/responses": "openai",
    "/messages": "anthropic",
    ":streamGenerateContent": "gemini",
    "/api/chat": "ollama",
}
count = itertools.count()


@cache
def frames(dialect: str) -> tuple[bytes, ...]:
    return tuple(DIALECTS[dialect].split(says(dialect, WORDS).body))


def dialect_of(request: Received) -> Dialect:
    found = (name for part, name in PATHS.items() if part in request.path)
    return DIALECTS[next(found, "chat")]


def answer(request: Received) -> Answer:
    dialect = dialect_of(request)
    if FAILING in asked_model(request):
        return FAILURES[next(count) % len(FAILURES)](dialect)
    return Answer(pieces=frames(dialect.name), pause=PAUSE, content_type=dialect.content_type)
