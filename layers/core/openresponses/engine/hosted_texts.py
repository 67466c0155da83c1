"""The texts that grow inside of hosted items: code, arguments, a diff. What `done` says is what the deltas said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..adapters.shapes import TEXTS

Json = dict[str, Any]

DONES = {done: (delta, field) for delta, (done, field) in TEXTS.items()}


class HostedTexts:
    """Of one item. `tell` is given an event's type and fields."""

    __slots__ = ("_said", "_tell")

    def __init__(self, tell: Callable[[str, Json], None]) -> None:
        self._tell = tell
        self._said: dict[str, list[str] | None] = {}  # delta event → its pieces; None: it is done

    def event(self, kind: str, fields: Json) -> None:
        """Tells the event, with what is missing before it; nothing of a text after its end."""
        if kind in TEXTS:
            self._delta(kind, fields["delta"], fields)
        elif kind in DONES:
            delta, field = DONES[kind]
            self._done(delta, fields[field], fields)
        else:
            self._tell(kind, fields)

    def end(self) -> None:
        """The item is complete: so are its texts."""
        for kind, said in list(self._said.items()):
            if said is not None:
                self._done(kind, "".join(said), {})

    def _delta(self, kind: str, text: str, fields: Json) -> None:
        said = self._said.setdefault(kind, [])
        if text and said is not None:
            said.append(text)
            self._tell(kind, {**fields, "delta": text})

    def _done(self, delta: str, text: str, fields: Json) -> None:
        said = self._said.setdefault(delta, [])
        if said is None:
            return
        so_far = "".join(said)
        if text.startswith(so_far):
            self._delta(delta, text[len(so_far) :], {})
        done, field = TEXTS[delta]
        self._tell(done, {**fields, field: "".join(said)})
        self._said[delta] = None
