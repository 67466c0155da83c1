"""`rate_limit`: so many requests a minute, counted in the store, so that it holds across processes.

A minute is the clock's. Only requests that were let in are counted. Where several rows match a tenant, the first one
is its limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..engine.middleware import TurnContext
from ..protocol.errors import ApiError
from .windows import MINUTE, Per, check_options, end_of, window


@dataclass(kw_only=True)
class RateLimit:
    """Answers 429 `rate_limit_exceeded`, with `Retry-After`; what is left stands in `x-ratelimit-…-requests`."""

    requests_per_minute: int
    per: Per = "tenant"

    def __post_init__(self) -> None:
        check_options(self, "requests_per_minute")

    async def before_turn(self, turn: TurnContext) -> None:
        note = f"rate_limit {self.per}"
        if note in turn.state:
            return
        now, limit = turn.services.clock(), self.requests_per_minute
        ends = end_of(now, MINUTE)
        counted = await turn.services.store.counters.add(
            turn.caller.tenant,
            window(f"minute#{ends - MINUTE}", turn.caller, self.per),
            {"requests": 1},
            limits={"requests": limit},
            expires_at=ends + MINUTE,
        )
        left = ends - now
        taken = limit if counted is None else counted["requests"]
        turn.headers |= {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(limit - taken),
            "x-ratelimit-reset-requests": f"{max(1, left):.0f}s",
        }
        if counted is None:
            message = f"The limit of {limit} requests a minute is reached; it begins anew in {left:.0f} s."
            raise ApiError("rate_limit_exceeded", message, retry_after=left)
        turn.state[note] = True
