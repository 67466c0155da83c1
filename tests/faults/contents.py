"""Answers whose HTTP and frames are right, and whose contents are in no documentation: what they are made by."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .outcomes import End, whole

Json = dict[str, Any]
Events = list[Any]
Change = Callable[[Events], Any]

TEXT = "Hello there"
CALLS = (TEXT, 'f({"a":1})', "g({})")
ALL = whole()
FAILED = "provider_error"


@dataclass(frozen=True)
class Row:
    """`change` changes an answer's events in place; `calls`: of an answer with two calls behind its text. `said`: what
    the client is told of it, a call with its arguments."""

    dialect: str
    name: str
    change: Change
    end: End = ALL
    said: tuple[str, ...] = (TEXT,)
    calls: bool = False


def odd(*values: Any) -> tuple[Any, ...]:
    """Values of any types."""
    return values


def each(find: Callable[[Events], Iterator[Json]], **values: Any) -> Change:
    """Sets these values in everything that is found; `...` takes one away."""

    def change(events: Events) -> None:
        for found in find(events):
            for name, value in values.items():
                if value is ...:
                    found.pop(name, None)
                else:
                    found[name] = value(found) if callable(value) else value

    return change


def insert(place: int, *events: Any) -> Change:
    def change(found: Events) -> None:
        found[place:place] = events

    return change


def without(kind: str) -> Change:
    def change(events: Events) -> None:
        events[:] = [event for event in events if event["type"] != kind]

    return change


def again(place: int, to: int) -> Change:
    """Says the event at `place` once more, before the one at `to`."""

    def change(events: Events) -> None:
        events.insert(to, copy.deepcopy(events[place]))

    return change


def only(*places: int) -> Change:
    def change(events: Events) -> None:
        events[:] = [events[place] for place in places]

    return change


def at(*places: int) -> Callable[[Events], Iterator[Json]]:
    return lambda events: (events[place] for place in places)


def having(name: str) -> Callable[[Events], Iterator[Json]]:
    return lambda events: (event for event in events if name in event)


def both(*changes: Change) -> Change:
    def change(events: Events) -> None:
        for one in changes:
            one(events)

    return change
