"""The text of a custom tool call, out of the JSON in which Anthropic streams it: `{"input": "..."}`, piece by piece."""

from __future__ import annotations

import json
import re

import orjson

FIELD = "input"

OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# The longest run of whole characters: no half of an escape, no first half of a surrogate pair.
WHOLE = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4})*"
)


class StringField:
    """Takes JSON text in pieces of any size, gives the decoded text of the field `input` as far as it is known."""

    __slots__ = ("_emitted", "_json", "_place")

    def __init__(self) -> None:
        self._json = ""
        self._place: int | None = None  # where the undecoded rest of the string begins; None: not yet in it
        self._emitted: list[str] = []

    def feed(self, piece: str) -> str:
        """The new text that this piece completes."""
        self._json += piece
        if self._place is None:
            opening = OPENING.match(self._json)
            if not opening:
                return ""
            self._place = opening.end()
        whole = WHOLE.match(self._json, self._place)
        assert whole is not None
        self._place = whole.end()
        return self._emit(decode(whole.group()))

    def rest(self) -> str:
        """At the end: what the pieces did not give (the field came late, was no string, or is an odd escape)."""
        try:
            found = json.loads(self._json, strict=False)
        except ValueError:
            return ""
        value = found.get(FIELD, "") if isinstance(found, dict) else found
        text = clean(value) if isinstance(value, str) else orjson.dumps(value).decode()
        sent = "".join(self._emitted)
        return self._emit(text[len(sent) :]) if text.startswith(sent) else ""

    def _emit(self, text: str) -> str:
        if text:
            self._emitted.append(text)
        return text


def decode(inner: str) -> str:
    """The text of a JSON string's inside; raw control characters, which models do write, are taken as they are."""
    return inner if "\\" not in inner else clean(json.loads(f'"{inner}"', strict=False))


def clean(text: str) -> str:
    """The text with halves of surrogate pairs, which no UTF-8 can carry, replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
