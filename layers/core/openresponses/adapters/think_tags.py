"""Reasoning that a server leaves in the text: `<think>…</think>` at its beginning, cut anywhere while it streams."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Delta, ReasoningDelta, TextDelta

OPENING, CLOSING = "<think>", "</think>"


class ThinkTags:
    """Parts thoughts from the answer. `done` once the answer has begun: no text has to be fed any more."""

    def __init__(self) -> None:
        self.done = False
        self._inside = False
        self._closed = False
        self._held = ""  # what may be the beginning of a tag

    def feed(self, text: str) -> Iterator[Delta]:
        """The text so far, as far as it is known what it is."""
        text, self._held = self._held + text, ""
        if not self._inside and not self._closed:
            begun = text.lstrip()
            if OPENING.startswith(begun[: len(OPENING)]):
                self._inside = begun.startswith(OPENING)
                self._held = "" if self._inside else text
                text = begun[len(OPENING) :]
        if self._inside:
            thought, closing, rest = text.partition(CLOSING)
            self._inside, self._closed = not closing, bool(closing)
            kept = 0 if closing else _beginning_of(CLOSING, thought)
            self._held = thought[len(thought) - kept :]
            if thought[: len(thought) - kept]:
                yield ReasoningDelta(thought[: len(thought) - kept], raw=True)
            text = rest
        if self._closed:
            text = text.lstrip()  # the lines between the thoughts and the answer
        if text:
            self.done = True
            yield TextDelta(text)

    def end(self) -> Iterator[Delta]:
        """What was held, when nothing more comes."""
        held, self._held = self._held, ""
        if held:
            yield ReasoningDelta(held, raw=True) if self._inside else TextDelta(held)


def _beginning_of(tag: str, text: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
