"""`concurrency`: so many turns at a time, across processes.

Each turn holds a lease in the store and renews it; one whose process has died is free a minute later. A background
response holds it from its request on.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from ..adapters.base import Turn
from ..engine.middleware import TurnContext
from ..protocol.errors import ApiError
from ..store.base import StoreUnavailable
from .windows import Per, check_options, window

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
RENEW_EVERY = 20.0  # seconds


@dataclass(kw_only=True)
class Concurrency:
    """Answers 429 `rate_limit_exceeded` while all leases are taken."""

    concurrency: int
    per: Per = "tenant"
    _renewing: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_options(self, "concurrency")

    async def before_turn(self, turn: TurnContext) -> None:
        seconds = LEASE_SECONDS
        if turn.request.get("background"):
            seconds += turn.services.settings.background_queue_seconds
        if not await self._lease(turn, seconds):
            message = f"{self.concurrency} requests at a time are allowed, and as many are running."
            raise ApiError("rate_limit_exceeded", message, retry_after=1)
        turn.state[self._note] = True

    async def before_sample(self, turn: TurnContext, sample: Turn) -> None:
        owner = turn.response["id"]
        if owner not in self._renewing:
            self._renewing[owner] = asyncio.create_task(self._renew(turn))

    async def after_turn(self, turn: TurnContext) -> None:
        if renewing := self._renewing.pop(turn.response["id"], None):
            renewing.cancel()
        if turn.state.pop(self._note, False):
            leases = window("turns", turn.caller, self.per)
            await turn.services.store.counters.release(turn.caller.tenant, leases, turn.response["id"])

    @property
    def _note(self) -> str:
        return f"concurrency {self.per}"

    async def _lease(self, turn: TurnContext, seconds: float) -> bool:
        leases = window("turns", turn.caller, self.per)
        until = turn.services.clock() + seconds
        counters = turn.services.store.counters
        return await counters.lease(turn.caller.tenant, leases, turn.response["id"], until, self.concurrency)

    async def _renew(self, turn: TurnContext) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            try:
                await self._lease(turn, LEASE_SECONDS)
            except StoreUnavailable as error:  # the next renewal comes before the lease ends
                log.warning("a lease was not renewed: %s", error)
