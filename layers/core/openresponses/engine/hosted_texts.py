"""The texts that grow inside of hosted items: code, arguments, a diff. What `done` says is what the deltas said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..protocol.texts import HOSTED

Json = dict[str, Any]

TEXTS = {text.delta: text for text in HOSTED}
DONES = {text.done: text for text in HOSTED}


class HostedTexts:
    """Of one item. `tell` is given an event's type and fields."""

    __slots__ = ("_ended", "_said", "_tell")

    def __init__(self, tell: Callable[[str, Json], None]) -> None:
        self._tell = tell
        self._said: dict[str, list[str]] = {}  # delta event → its pieces
        self._ended: set[str] = set()  # those of which the whole was told

    def event(self, kind: str, fields: Json) -> None:
        """Tells the event, with what is missing before it; nothing of a text after its end."""
        if kind in TEXTS:
            self._delta(kind, fields["delta"], fields)
        elif kind in DONES:
            text = DONES[kind]
            self._done(text.delta, fields[text.field], fields)
        else:
            self._tell(kind, fields)

    def end(self) -> None:
        """The item is complete: so are its texts."""
        for kind, said in self._said.items():
            self._done(kind, "".join(said), {})

    def held(self, item: Json) -> Json:
        """The item, with what was said."""
        for kind, said in self._said.items():
            item = TEXTS[kind].held(item, "".join(said))
        return item

    def _delta(self, kind: str, text: str, fields: Json) -> None:
        said = self._said.setdefault(kind, [])
        if text and kind not in self._ended:
            said.append(text)
            self._tell(kind, {**fields, "delta": text})

    def _done(self, delta: str, text: str, fields: Json) -> None:
        said = self._said.setdefault(delta, [])
        if delta in self._ended:
            return
        so_far = "".join(said)
        if text.startswith(so_far):
            self._delta(delta, text[len(so_far) :], {})
        whole = TEXTS[delta]
        self._tell(whole.done, {**fields, whole.field: "".join(said)})
        self._ended.add(delta)
