"""Where two JSON values differ, place by place; lists are aligned, so that one left out does not shift the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

INDEX = re.compile(r"\[\d+\]")


class Missing:
    def __repr__(self) -> str:
        return "(nothing)"


MISSING: Any = Missing()


@dataclass(frozen=True)
class Difference:
    """`recorded` and `sent` are the values at `path`; MISSING where there is none."""

    path: str
    recorded: Any
    sent: Any

    @property
    def place(self) -> str:
        """The path without positions: `messages[].content[].text`."""
        return INDEX.sub("[]", self.path)

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.recorded)} was sent as {_short(self.sent)}"


def _short(value: Any) -> str:
    return repr(value) if value is MISSING else json.dumps(value, ensure_ascii=False)[:300]


def differences(recorded: Any, sent: Any, path: str = "") -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for key in [*recorded, *(key for key in sent if key not in recorded)]:
            yield from differences(
                recorded.get(key, MISSING), sent.get(key, MISSING), f"{path}.{key}" if path else key
            )
    elif isinstance(recorded, list) and isinstance(sent, list):
        yield from _lists(recorded, sent, path)
    elif recorded != sent or isinstance(recorded, bool) != isinstance(sent, bool):
        yield Difference(path, recorded, sent)


def _lists(recorded: list[Any], sent: list[Any], path: str) -> Iterator[Difference]:
    """Equal elements are paired first, then those of one kind, then what is left over, in order."""
    for before, after in _pairs([_exact(value) for value in recorded], [_exact(value) for value in sent]):
        if len(before) == 1 == len(after) and recorded[before[0]] == sent[after[0]]:
            continue
        kinds = [_kind(recorded[n]) for n in before], [_kind(sent[n]) for n in after]
        for inner_before, inner_after in _pairs(*kinds):
            for n in range(max(len(inner_before), len(inner_after))):
                old = before[inner_before[n]] if n < len(inner_before) else None
                new = after[inner_after[n]] if n < len(inner_after) else None
                yield from differences(
                    MISSING if old is None else recorded[old],
                    MISSING if new is None else sent[new],
                    f"{path}[{new if old is None else old}]",
                )


def _pairs(recorded: list[str], sent: list[str]) -> Iterator[tuple[list[int], list[int]]]:
    """Ranges of positions: one to one where the keys are equal, whatever there is in between them."""
    for tag, start, end, other_start, other_end in SequenceMatcher(
        None, recorded, sent, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            yield from (([start + n], [other_start + n]) for n in range(end - start))
        else:
            yield list(range(start, end)), list(range(other_start, other_end))


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _kind(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    named = [str(value.get(key)) for key in ("type", "role", "name") if key in value]
    return "/".join(named) or min(value, default="")
