"""When a provider is asked again: what is waited for, how often, until when, and how much a process may do of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openresponses.protocol.errors import ApiError
from openresponses.upstream.retry import RetryBudget, retry_delay, with_retries

DOWN = ApiError("provider_unavailable", "down")


def slow(seconds: float) -> ApiError:
    return ApiError("rate_limit_exceeded", "slow down", retry_after=seconds)


WAITS = [  # error, longest wait, seconds
    pytest.param(slow(3), 20.0, 3, id="as long as it says"),
    pytest.param(slow(20), 20.0, 20, id="as long as may be"),
    pytest.param(slow(21), 20.0, None, id="too long"),
    pytest.param(slow(0), 10.0, 0, id="at once"),
    pytest.param(ApiError("insufficient_quota", "spent"), 20.0, None, id="no use"),
    pytest.param(ApiError("provider_timeout", "silent", retryable=False), 20.0, None, id="once is enough"),
]


@pytest.mark.parametrize(("error", "longest", "seconds"), WAITS)
def test_what_is_waited_for(error: ApiError, longest: float, seconds: float | None) -> None:
    assert retry_delay(error, 0, 0.5, longest) == seconds


@pytest.mark.parametrize("attempt", range(8))
def test_waits_double_up_to_a_limit_with_full_jitter(attempt: int) -> None:
    waits = [retry_delay(DOWN, attempt, 0.5, 20.0) or 0.0 for _ in range(300)]
    longest = min(8.0, 0.5 * 2**attempt)
    assert 0 <= min(waits) < longest / 5 and longest * 0.8 < max(waits) <= longest


class Calls:
    """Attempts that fail with these errors, one after another; the last one is repeated, None is a success."""

    def __init__(self, *errors: ApiError | None) -> None:
        self._errors = list(errors)
        self.refreshed: list[bool] = []

    async def __call__(self, refresh: bool) -> str:
        self.refreshed.append(refresh)
        error = self._errors[min(len(self.refreshed), len(self._errors)) - 1]
        if error:
            raise error
        return "an answer"


async def outcome(calls: Calls, **given: Any) -> str:
    """What comes of the calls: the answer, or the code of the error."""
    limits: dict[str, Any] = {
        "max_retries": 2,
        "first_delay": 0.001,
        "longest_wait": 20.0,
        "deadline": None,
        "budget": RetryBudget(),
    }
    try:
        return await with_retries(calls, name="p", **{**limits, **given})
    except ApiError as error:
        return error.code


REFUSED = ApiError("provider_authentication_failed", "no")
ENDS = [  # what the attempts come to, what comes of it, whether each read the key afresh
    pytest.param([None], "an answer", [False], id="the first answers"),
    pytest.param([DOWN, DOWN, None], "an answer", [False] * 3, id="the third answers"),
    pytest.param([DOWN], "provider_unavailable", [False] * 3, id="none answers"),
    pytest.param([ApiError("invalid_value", "no")], "invalid_value", [False], id="a refusal"),
    pytest.param([REFUSED], "provider_authentication_failed", [False, True], id="a key that stays wrong"),
    pytest.param([REFUSED, None], "an answer", [False, True], id="a key that was rotated"),
    pytest.param([REFUSED, DOWN, DOWN, None], "an answer", [False, True, True, True], id="both"),
]


@pytest.mark.parametrize(("errors", "told", "refreshed"), ENDS)
async def test_how_often(errors: list[ApiError | None], told: str, refreshed: list[bool]) -> None:
    calls = Calls(*errors)
    assert (await outcome(calls), calls.refreshed) == (told, refreshed)


async def test_nothing_begins_after_its_time() -> None:
    """A stream's retries end when it begins."""
    now = asyncio.get_running_loop().time()
    calls = Calls(slow(0.2))
    assert await outcome(calls, until=now + 0.1) == "rate_limit_exceeded"
    assert len(calls.refreshed) == 1
    assert asyncio.get_running_loop().time() < now + 0.1, "and is not waited for"


async def test_a_deadline_comes_while_waiting() -> None:
    with pytest.raises(TimeoutError):
        await outcome(Calls(slow(5)), deadline=asyncio.get_running_loop().time() + 0.02)


async def test_a_thousand_calls_of_a_dead_provider_are_at_most_eleven_hundred_attempts() -> None:
    calls, budget = Calls(DOWN), RetryBudget()
    await asyncio.gather(*(outcome(calls, budget=budget) for _ in range(1000)))
    assert 1050 < len(calls.refreshed) <= 1100
