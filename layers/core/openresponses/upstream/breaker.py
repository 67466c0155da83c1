"""Circuit breaking: a provider that fails again and again is left alone for a while, and its callers know at once.

A circuit a base URL, and a process: another process finds out by itself. It opens after so many failures in a row, each
an attempt that a retry might have helped; an answer of any other kind, a refusal or a 429 too, closes it, because there
is someone who answers. After a pause one call is let through: if it fails, too, the pause begins again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import ceil

from ..protocol.errors import ApiError

# Not rate_limit_exceeded: limits are a model's or a key's, and other models behind the same URL may be free.
FAILURES = frozenset({"provider_unavailable", "provider_error", "provider_timeout", "server_is_overloaded"})


class Circuit:
    """Failures in a row, and the moment until which no call is let through. `name` is the provider's."""

    __slots__ = ("failures", "name", "open_until")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self.open_until = 0.0


class Breaker:
    """The circuits of a process. `failures` in a row open one (0: never), for `seconds`."""

    def __init__(
        self, failures: int = 0, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}

    def admit(self, base_url: str, name: str) -> None:
        """Lets a call through, or raises ApiError "server_is_overloaded", which no retry helps. `name` is the
        provider's."""
        circuit = self._circuits.get(base_url)
        if circuit is None or circuit.failures < self._failures:
            return
        now = self._clock()
        if now < circuit.open_until:
            wait = ceil(circuit.open_until - now)
            message = f"{name} has failed {circuit.failures} times in a row and is not asked for {wait} s."
            raise ApiError("server_is_overloaded", message, retry_after=wait, retryable=False)
        # This call is the one that tries; those beside it wait for it.
        circuit.open_until = now + self._seconds

    def succeeded(self, base_url: str) -> None:
        """The provider answered."""
        self._circuits.pop(base_url, None)

    def states(self) -> Iterator[tuple[str, bool]]:
        """Each provider whose last call failed, and whether it is left alone."""
        for circuit in self._circuits.values():
            yield circuit.name, circuit.failures >= self._failures

    def failed(self, base_url: str, error: ApiError, name: str = "") -> bool:
        """The provider was called and this came of it; whether that has opened the circuit."""
        if error.code not in FAILURES:
            self.succeeded(base_url)
            return False
        if not self._failures:
            return False
        circuit = self._circuits.setdefault(base_url, Circuit(name))
        circuit.failures += 1
        if circuit.failures < self._failures:
            return False
        circuit.open_until = self._clock() + self._seconds
        return circuit.failures == self._failures
