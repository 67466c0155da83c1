"""`truncation: auto`: the oldest turns make room where the context does not fit the model.

What goes is whole: earlier turns, each from its user message to the next one; then of the last turn its earliest steps,
each a batch of calls with its results. System and developer messages never go, nor the message that the last turn
answers, nor its last step, and a call never goes without its result. The store keeps everything.
Source: the specification, `truncation`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from ..adapters.base import Turn
from ..protocol.errors import ApiError
from .context import answers, asks
from .token_count import estimate, estimate_items

Json = dict[str, Any]
T = TypeVar("T")
log = logging.getLogger(__name__)

PINNED_ROLES = frozenset({"system", "developer"})
LEFT_FREE = 0.1  # of the window, once something has to go: the next turn fits too
AT_ONCE = 0.3  # of the context, where all that is known is that it is too long
WORTH_COUNTING = 0.5  # of the window: below it an estimate is enough
MAX_COUNTS = 4


class Shortened:
    """A context from which the oldest can be dropped."""

    def __init__(self, items: list[Json]) -> None:
        self._all = items
        self._droppable = _droppable(items)  # places of what goes together, the oldest first
        self._gone: set[int] = set()

    @property
    def items(self) -> list[Json]:
        """What is left, in its order."""
        return [item for place, item in enumerate(self._all) if place not in self._gone]

    def drop(self, share: float) -> bool:
        """Drops the oldest until `share` (0 to 1) of what is left has gone, or nothing more can; False: nothing did."""
        wanted = share * estimate_items(self.items)
        dropped = 0.0
        while self._droppable and (dropped == 0 or dropped < wanted):
            places = self._droppable.pop(0)
            self._gone.update(places)
            dropped += estimate_items(self._all[place] for place in places)
        return dropped > 0


def _droppable(items: list[Json]) -> list[list[int]]:
    """Places in the context, in groups that go together, the first to go first."""
    turns = list(_groups(items, _begins_turn))
    earlier, last = turns[:-1], turns[-1] if turns else []
    steps = list(_groups(items, _begins_step, last))
    # The last turn begins with what it answers; its last step is what the model goes on from.
    first = next(
        (n for n, step in enumerate(steps) if not any(_is_prompt(items[p]) for p in step)), len(steps)
    )
    groups = [*earlier, *steps[first:-1]]
    return [group for group in _with_results(items, groups) if group]


def _groups(
    items: list[Json], begins: Callable[[Json, Json], bool], places: list[int] | None = None
) -> Iterator[list[int]]:
    """The places of the items that may go, cut where `begins` says so of an item and the one before it."""
    group: list[int] = []
    for place in range(len(items)) if places is None else places:
        if items[place].get("role") in PINNED_ROLES:
            continue
        if group and begins(items[group[-1]], items[place]):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _is_prompt(item: Json) -> bool:
    return item.get("role") == "user"


def _begins_turn(before: Json, item: Json) -> bool:
    return _is_prompt(item) and not _is_prompt(before)


def _begins_step(before: Json, item: Json) -> bool:
    """After a result, and after the user's words; results stay with the calls before them."""
    return not answers(item) and (bool(answers(before)) or _is_prompt(before))


def _with_results(items: list[Json], groups: list[list[int]]) -> Iterator[list[int]]:
    """Each group with the results of its calls, wherever they stand, and without those of others' calls."""
    last_asked: dict[str, int] = {}  # some providers use an id again in each turn
    results: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        if asked := asks(item):
            last_asked[asked] = place
        elif (answered := answers(item)) in last_asked:
            results.setdefault(last_asked[answered], []).append(place)
    for group in groups:
        kept = [place for place in group if not answers(items[place])]
        yield kept + [result for place in kept for result in results.get(place, ())]


async def open_shortened(
    turn: Turn,
    open_sample: Callable[[Turn], Awaitable[T]],
    count: Callable[[Turn], Awaitable[int | None]],
) -> T:
    """Opens a sample of the turn, or of as much of it as fits. Raises what `open_sample` raises.

    count   the provider's count of a turn, or None; asked only where the window is known and might be too small
    """
    shortened = Shortened(turn.input)
    window = turn.profile.context_window
    room = window - turn.request.get("max_output_tokens", 0) if window else 0
    for _ in range(MAX_COUNTS):
        if room <= 0 or estimate(turn) < room * WORTH_COUNTING:
            break
        tokens = await count(turn)
        if tokens is None or tokens <= room or not shortened.drop(1 - (1 - LEFT_FREE) * room / tokens):
            break
        turn = replace(turn, input=shortened.items)
    while True:
        try:
            return await open_sample(turn)
        except ApiError as error:
            share = max(AT_ONCE, 1 - (1 - LEFT_FREE) * room / max(estimate(turn), 1)) if room > 0 else AT_ONCE
            if error.code != "context_length_exceeded" or not shortened.drop(share):
                raise
        turn = replace(turn, input=shortened.items)
        log.info("%s: the context was too long; %d items are left", turn.provider, len(turn.input))
