"""What an API key may ask for: the part of its `limits` that bounds use, beside retention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from ..protocol.errors import ApiError

# What every store can count to, and compare.
MOST = 2**53
MOST_DOLLARS = 10**9

WHOLE = "a whole number above 0, below 2^53"


def _whole(value: Any) -> bool:
    return type(value) is int and 0 < value < MOST


def _amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < MOST_DOLLARS


def _patterns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value)


class Kind(NamedTuple):
    """What a limit must be, in words and code."""

    expected: str
    ok: Callable[[Any], bool]


LIMITS: dict[str, Kind] = {
    "requests_per_minute": Kind(WHOLE, _whole),
    "concurrency": Kind(WHOLE, _whole),
    "tokens_per_day": Kind(WHOLE, _whole),
    "cost_per_day": Kind("an amount of US dollars above 0, below 10^9", _amount),
    "models": Kind("a list of model names, with * for any characters", _patterns),
}


class Limits(NamedTuple):
    """The limits of one key; None: there is none. Costs are in US dollars; days and minutes are UTC's."""

    requests_per_minute: int | None = None
    concurrency: int | None = None
    tokens_per_day: int | None = None
    cost_per_day: float | None = None
    models: list[str] | None = None

    @classmethod
    def of(cls, limits: Mapping[str, Any]) -> Self:
        """What a key's limits say. Raises ApiError for what cannot be understood: to let all pass would be worse."""
        found = {name: limits[name] for name in LIMITS if limits.get(name) is not None}
        if wrong := wrong_limit(found):
            raise ApiError("server_error", f"The limit '{wrong[0]}' of this API key cannot be understood.")
        return cls(**found)


def wrong_limit(limits: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first limit with a wrong value, and what is expected; None if all are right."""
    for name, kind in LIMITS.items():
        if name in limits and not kind.ok(limits[name]):
            return name, kind.expected
    return None
