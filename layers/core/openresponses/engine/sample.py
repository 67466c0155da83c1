"""One sample: one call of the model, from its request to its deltas.

A sample is opened, which waits for the first deltas: until then a failure may be retried, or keeps its HTTP status.
Then it gives the deltas in batches. Samples over HTTP are in engine/upstream_sample.py; those here need no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

from ..adapters.base import Answers, Delta, Finished, Turn, Usage


class Sample(Protocol):
    """What the turn reads, wherever it comes from."""

    async def open(self) -> list[Delta]:
        """Starts it; the first deltas, never empty. Raises ApiError, or TimeoutError at the deadline."""
        ...

    def deltas(self) -> AsyncGenerator[list[Delta]]:
        """The deltas after the first ones. A failure is a Failed delta. Raises TimeoutError at the deadline."""
        ...

    async def aclose(self) -> None: ...

    # For telemetry: where the provider is, how often it was asked, its own id of the last time.
    @property
    def base_url(self) -> str | None: ...

    @property
    def attempts(self) -> int: ...

    @property
    def provider_request_id(self) -> str | None: ...


class EchoSample:
    """The built-in provider: its frames come from itself, after its own pauses."""

    base_url = provider_request_id = None
    attempts = 1

    def __init__(self, adapter: Answers, turn: Turn, *, deadline: float | None) -> None:
        self._reader = adapter.reader(turn)
        self._answer = iter(adapter.answer(turn))
        self._deadline = deadline

    async def open(self) -> list[Delta]:
        return await self._next() or []

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        while (deltas := await self._next()) is not None:
            yield deltas

    async def _next(self) -> list[Delta] | None:
        for seconds, frame in self._answer:
            if seconds:
                async with asyncio.timeout_at(self._deadline):
                    await asyncio.sleep(seconds)
            deltas = list(self._reader.frame("", frame))
            if deltas:
                return deltas
        return None

    async def aclose(self) -> None:
        """Nothing is held."""


class NoSample:
    """`generate: false`, a prewarm: the turn is answered, and can be continued, without the model."""

    base_url = provider_request_id = None
    attempts = 0

    async def open(self) -> list[Delta]:
        return [Usage(0, 0), Finished(None)]

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        return
        yield

    async def aclose(self) -> None:
        """Nothing is held."""
