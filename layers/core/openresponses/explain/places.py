"""Places in a JSON value: their names, and where two values differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Steps = tuple[str | int, ...]


def at(value: Any, steps: Steps) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return None
    return value


def named(steps: Steps) -> str:
    """`input[0].content`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def existing(request: Any, param: str) -> Steps:
    """The part of a parameter's path that is there."""
    steps: list[str | int] = []
    value: Any = request
    for part in param.replace("[", ".[").split("."):
        step: str | int = int(part[1:-1]) if part[:1] == "[" and part[1:-1].isdecimal() else part
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
        steps.append(step)
    return tuple(steps)


def before(steps: Steps, removed: list[Steps]) -> Steps:
    """Where the place was before these places were removed, one after another."""
    for gone in reversed(removed):
        depth = len(gone) - 1
        if isinstance(gone[-1], int) and len(steps) > depth and steps[:depth] == gone[:depth]:
            index = steps[depth]
            assert isinstance(index, int)
            steps = (*steps[:depth], index + (index >= gone[-1]), *steps[depth + 1 :])
    return steps


def is_within(steps: Steps, path: str | None) -> bool:
    """Whether the place is the one that is named, or within it."""
    name = named(steps)
    return name == path or (path is not None and name.startswith((f"{path}.", f"{path}[")))


def differences(one: Any, other: Any, place: Steps = ()) -> Iterator[Steps]:
    """Where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if key not in one or key not in other:
                yield (*place, key)
            else:
                yield from differences(one[key], other[key], (*place, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, (*place, index))
    elif one != other:
        yield place
