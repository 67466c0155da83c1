"""What the counting middlewares share: whose counters they are, and when a window ends."""

from __future__ import annotations

from typing import Any, Literal

from ..engine.caller import Caller
from ..store.limits import LIMITS

Per = Literal["tenant", "key"]

DAY, MINUTE = 86400, 60  # seconds
KEPT = 35 * DAY  # after a day has ended, what was used on it can still be read


def window(unit: str, caller: Caller, per: Per) -> str:
    """The name of the window `unit` (as day#2027-01-15) of the tenant, or of its key alone."""
    return f"{unit}#key#{caller.key_id}" if per == "key" and caller.key_id else unit


def end_of(now: float, length: int) -> int:
    """When the window of `length` seconds ends that `now` lies in; Unix seconds."""
    return (int(now) // length + 1) * length


def check_options(options: Any, *names: str) -> None:
    """Raises ValueError for the first of the options that is set and is no limit of its kind."""
    for name in names:
        value = getattr(options, name)
        if value is not None and not LIMITS[name].ok(value):
            raise ValueError(f"{name}: must be {LIMITS[name].expected}")
    if options.per not in ("tenant", "key"):
        raise ValueError("per: must be tenant or key")
