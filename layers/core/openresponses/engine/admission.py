"""The turns of a process: how many may run at once, and how they end when the process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from ..protocol.errors import ApiError

STOPPED = "server_stopped"  # why a response that the process could not finish is incomplete
LAST_WORDS = 2.0  # seconds in which stopped turns are stored, and their ends sent


class Stoppable(Protocol):
    def stop(self) -> None:
        """Ends it where it is; it says its end itself."""
        ...


class Turns:
    """At most `limit` turns hold a place at a time; None: any number."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._taken = 0
        self._running: set[Stoppable] = set()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    def check(self) -> None:
        """Raises ApiError "server_is_overloaded" if no turn may begin now."""
        if self._draining:
            raise stopping()
        if self._limit is not None and self._taken >= self._limit:
            message = f"The gateway runs {self._limit} turns at a time, and all places are taken."
            raise ApiError("server_is_overloaded", message, retry_after=1)

    def take(self) -> None:
        """Takes a place. Raises as `check`."""
        self.check()
        self._taken += 1
        self._empty.clear()

    def release(self) -> None:
        """Gives it back."""
        self._taken -= 1
        if not self._taken:
            self._empty.set()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, for as long as it is needed. Raises as `check`."""
        self.take()
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def running(self, turn: Stoppable) -> Iterator[None]:
        """What runs inside can be told to stop."""
        self._running.add(turn)
        try:
            yield
        finally:
            self._running.discard(turn)

    async def drain(self, seconds: float) -> None:
        """No turn begins any more; those that run have `seconds` to end, then they are stopped."""
        self._draining = True
        await self._ended_within(seconds)
        for turn in list(self._running):
            turn.stop()
        await self._ended_within(LAST_WORDS)

    async def _ended_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()


def stopping() -> ApiError:
    """The error of a request whose turn has not begun when the gateway stops."""
    return ApiError("server_is_overloaded", "The gateway is stopping.", retry_after=1)
