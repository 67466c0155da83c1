"""When to try a provider again: what may be retried, how long to wait, and how much of it a process may do."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TypeVar

from ..protocol.errors import ApiError

T = TypeVar("T")
log = logging.getLogger(__name__)

LONGEST_DELAY = 8.0


class RetryBudget:
    """Keeps retries of a dead provider from multiplying the load: about one in eleven calls at most.

    1,000 failing calls make at most 1,100 attempts.
    """

    SHARE = 0.09
    RESERVE = 10.0

    def __init__(self) -> None:
        self._left = self.RESERVE

    def earn(self) -> None:
        """A call was made."""
        self._left = min(self._left + self.SHARE, 10 * self.RESERVE)

    def spend(self) -> bool:
        """Whether one more retry may be made."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def with_retries(
    attempt: Callable[[bool], Awaitable[T]],
    *,
    name: str,
    budget: RetryBudget,
    max_retries: int,
    first_delay: float,
    longest_wait: float,
    deadline: float | None,
    until: float | None = None,
) -> T:
    """What `attempt` comes to, tried again where its ApiError says that this may help.

    attempt        is told whether to read the provider's key afresh: once, after a 401, since it may have been rotated
    first_delay    seconds: the longest wait before the first retry
    longest_wait   seconds that a provider's Retry-After may ask for
    deadline       on the loop's clock, or None; TimeoutError if it comes while waiting
    until          on the loop's clock, or None: no further attempt begins after it
    """
    tried, refresh = 0, False
    now = asyncio.get_running_loop().time
    budget.earn()
    while True:
        try:
            return await attempt(refresh)
        except ApiError as error:
            if error.code == "provider_authentication_failed" and not refresh:
                refresh = True
                continue
            delay = retry_delay(error, tried, first_delay, longest_wait)
            if delay is None or tried >= max_retries or (until is not None and now() + delay > until):
                raise
            if not budget.spend():
                raise
            tried += 1
            log.warning("%s: %s; attempt %d in %.1f s", name, error.code, tried + 1, delay)
        async with asyncio.timeout_at(deadline):
            await asyncio.sleep(delay)


def retry_delay(error: ApiError, attempt: int, first_delay: float, longest: float) -> float | None:
    """Seconds to wait before attempt `attempt` + 1 (the first is 0), or None: give up.

    A provider's Retry-After is honoured if it is not over `longest`; else full jitter, of `first_delay` at most before
    the first retry, doubling.
    """
    if not error.retryable:
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= longest else None
    return random.uniform(0, min(LONGEST_DELAY, first_delay * 2**attempt))


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds that a `Retry-After` header asks for, None if it does not say. RFC 9110, section 10.2.3: a number or
    a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if isfinite(seconds) else None
