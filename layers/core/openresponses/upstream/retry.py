"""When to try a provider again: what may be retried, how long to wait, and how much of it a process may do."""

from __future__ import annotations

import random

from ..protocol.errors import ApiError

FIRST_DELAY = 0.5
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


def retry_delay(error: ApiError, attempt: int, longest: float) -> float | None:
    """Seconds to wait before attempt `attempt` + 1 (the first is 0), or None: give up.

    A provider's Retry-After is honoured if it is not over `longest`; else full jitter, doubling.
    """
    if not error.retryable:
        return None
    if error.retry_after is not None:
        return error.retry_after if error.retry_after <= longest else None
    return random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))
