"""A request with a field changed, in ways that should be as valid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from ..protocol.items import Item, Tool
from ..protocol.request import CreateResponse
from .places import Steps

Json = dict[str, Any]


def variants(request: Json, steps: Steps, value: Any) -> Iterator[Json]:
    """The request with other values in the field's place, everywhere where the value stands, and without the field."""
    if isinstance(steps[-1], str):
        for choice in _choices().get(steps[-1], ()):
            if choice != value:
                yield changed(request, steps, choice)
    for other in _others(value):
        yield changed(request, steps, other)
    if isinstance(value, str) and len(value) > 3:
        yield renamed(request, value, value + "x")
    yield without(request, steps)


def _others(value: Any) -> list[Any]:
    """Values near this one: at least one of them should be as valid."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value / 2, value + 0.1]
    if isinstance(value, str):
        data, comma, base64 = value.partition(";base64,")  # four characters more are as valid
        longer = f"{data}{comma}{base64[:8]}AAAA{base64[8:]}" if comma else value + "x"
        return [longer, '{"x": 1}']
    return []


@cache
def _choices() -> dict[str, tuple[Any, ...]]:
    """Name of a field → the values that the protocol's types allow for it, where they are listed there."""
    from typing_extensions import get_type_hints, is_typeddict

    found: dict[str, dict[Any, None]] = {}
    seen: set[Any] = set()

    def read(name: str, kind: Any) -> None:
        if is_typeddict(kind):
            if kind not in seen:
                seen.add(kind)
                for inner, hint in get_type_hints(kind).items():
                    read(inner, hint)
        elif get_origin(kind) is Literal:
            found.setdefault(name, {}).update(dict.fromkeys(get_args(kind)))
        else:
            for part in get_args(kind):
                read(name, part)

    for kind in (CreateResponse, Item, Tool):
        read("", kind)
    return {name: tuple(values) for name, values in found.items() if len(values) > 1}


def changed(value: Any, steps: Steps, new: Any) -> Any:
    """A copy with `new` at the place."""
    if not steps:
        return new
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[steps[0]] = changed(value[steps[0]], steps[1:], new)
    return copy


def without(value: Any, steps: Steps) -> Any:
    """A copy without the place."""
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    if len(steps) == 1:
        del copy[steps[0]]
    else:
        copy[steps[0]] = without(value[steps[0]], steps[1:])
    return copy


def renamed(value: Any, old: str, new: str) -> Any:
    """A copy with another text wherever this one stands, as an id that is referred to must have."""
    if isinstance(value, dict):
        return {key: renamed(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, old, new) for inner in value]
    return new if value == old else value
