"""Days are UTC's: turns that midnight finds waiting, or running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
import pytest_asyncio
from openresponses.adapters.base import ModelProfile
from openresponses.engine.caller import Caller
from openresponses.engine.middleware import TurnContext
from openresponses.middleware.budget import Budget
from openresponses.middleware.rate_limit import RateLimit
from openresponses.protocol.errors import ApiError
from openresponses.store.sqlite import SQLiteStore

Json = dict[str, Any]
MIDNIGHT = 1_800_057_600.0  # 2027-01-16T00:00:00Z
YESTERDAY, TODAY = "day#2027-01-15", "day#2027-01-16"
USED = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}


@dataclass
class Day:
    """A store, and a clock that is set by hand."""

    store: SQLiteStore
    now: float = MIDNIGHT - 1

    def turn(self, **request: Any) -> TurnContext:
        route = SimpleNamespace(profile=ModelProfile())
        router = SimpleNamespace(resolve=lambda _: route)
        services = SimpleNamespace(clock=lambda: self.now, store=self.store, router=router)
        given = {"model": "m", "input": "hi", **request}
        context = TurnContext(caller=Caller("acme"), services=cast(Any, services), request=given, response={})
        context.usage_of = lambda: USED
        return context

    async def tokens(self, day: str) -> int | None:
        return (await self.store.counters.read("acme", day)).get("tokens")


@pytest_asyncio.fixture
async def day() -> AsyncIterator[Day]:
    store = SQLiteStore(":memory:", 86400, clock=lambda: MIDNIGHT)
    yield Day(store)
    await store.close()


async def test_a_turn_that_midnight_finds_running_is_yesterdays(day: Day) -> None:
    budget, turn = Budget(tokens_per_day=1000), day.turn()
    await budget.before_turn(turn)
    assert (await day.tokens(YESTERDAY) or 0) > 1000, "reserved"
    with pytest.raises(ApiError) as refused:
        await budget.before_turn(day.turn())
    assert refused.value.retry_after == 1 and "2027-01-16T00:00:00Z" in refused.value.message
    day.now = MIDNIGHT
    await budget.before_turn(day.turn())
    await budget.after_turn(turn)
    assert await day.tokens(YESTERDAY) == 42
    assert (await day.tokens(TODAY) or 0) > 1000


async def test_a_background_response_takes_the_budget_of_the_day_on_which_it_begins(day: Day) -> None:
    """Whatever was spent on the one that it has waited through."""
    budget, queued = Budget(tokens_per_day=1000), day.turn(background=True)
    await budget.before_turn(queued)
    await budget.before_turn(day.turn())  # which takes the rest of the day
    day.now = MIDNIGHT
    await budget.before_sample(queued, cast(Any, SimpleNamespace(profile=ModelProfile())))
    assert (await day.tokens(TODAY) or 0) > 1000
    await budget.after_turn(queued)
    assert await day.tokens(TODAY) == 42


async def test_a_minute_begins_anew(day: Day) -> None:
    limit = RateLimit(requests_per_minute=1)
    await limit.before_turn(day.turn())
    with pytest.raises(ApiError) as refused:
        await limit.before_turn(day.turn())
    assert refused.value.retry_after == 1
    day.now = MIDNIGHT
    await limit.before_turn(day.turn())
