"""Waiting for what happens elsewhere. The limits are for what hangs, not for what is slow: machines are loaded."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], what: str = "it did not happen", seconds: float = 20.0) -> None:
    """Returns once the condition is true. Raises AssertionError(`what`) after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)
