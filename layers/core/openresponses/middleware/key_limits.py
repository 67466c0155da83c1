"""The limits of an API key, kept by the same middlewares that an operator can configure."""

from __future__ import annotations

from typing import Any

from ..engine.caller import Caller
from ..store.limits import Limits


def of_key(caller: Caller) -> list[Any]:
    """What a turn of this key goes through, cheapest refusal first. Raises ApiError for limits that cannot be
    understood."""
    limits = Limits.of(caller.limits)
    chain: list[Any] = []
    if limits.models is not None:
        from .models import Models

        chain.append(Models(allow=limits.models))
    if limits.requests_per_minute is not None:
        from .rate_limit import RateLimit

        chain.append(RateLimit(requests_per_minute=limits.requests_per_minute, per="key"))
    if limits.tokens_per_day is not None or limits.cost_per_day is not None:
        from .budget import Budget

        budget = Budget(tokens_per_day=limits.tokens_per_day, cost_per_day=limits.cost_per_day, per="key")
        chain.append(budget)
    if limits.concurrency is not None:
        from .concurrency import Concurrency

        chain.append(Concurrency(concurrency=limits.concurrency, per="key"))
    return chain
