"""One run of a background response: its turn is driven to the end, its events are stored before anyone sees them.

The run holds the response by a lease and looks at it as it goes: it stops when somebody wants the response cancelled,
and when the lease is not its own any more. Its end is one conditional write, so that it counts once or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import orjson

from ..protocol.errors import ApiError
from ..store.background import MAX_BATCH_EVENTS, Batch, Jobs
from ..store.base import StoredResponse, StoreUnavailable
from .assembler import TERMINAL, Event
from .services import Services
from .turn import ResponseTurn

Json = dict[str, Any]
log = logging.getLogger(__name__)

STORE_EVERY = 0.1  # seconds from an event to its being stored, and the beat of everything below
LOOK_EVERY = 0.5  # seconds between two looks at the lease: how soon a cancel is seen
MAX_BATCH_BYTES = 64 * 1024


class LeaseLost(Exception):
    """The response has been ended, deleted or expired meanwhile: nothing more of this run may be stored."""


class BackgroundTurn(ResponseTurn):
    """A turn whose run stores it. It begins at once, so that every failure is told by events."""

    async def events(self) -> AsyncGenerator[list[Event]]:
        self._assembler.start()
        yield self._assembler.take()
        async with aclosing(super().events()) as batches:
            async for events in batches:
                yield events

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """Its place was taken when it was queued."""
        with self._services.turns.running(self):
            yield

    async def _persist(self) -> None:
        """With its events, by the run."""

    async def _abandoned(self) -> None:
        """The run says how it ends."""

    def cancelled(self) -> list[Event]:
        """After events() was closed: what it had not given out yet, and the end."""
        terminal = self._assembler.cancel()
        return [*self._assembler.take(), terminal]

    def failed(self, error: ApiError) -> list[Event]:
        """The same."""
        terminal = self._assembler.fail(error)
        return [*self._assembler.take(), terminal]

    def stored(self) -> Json:
        """The response as a store keeps it."""
        return self._assembler.stored()


class Run:
    """`owner` has claimed the response `queued` until `until` (Unix seconds); `turn` is to make it.

    `include` is the request's: what its events show.
    """

    def __init__(
        self,
        services: Services,
        jobs: Jobs,
        turn: BackgroundTurn,
        queued: StoredResponse,
        *,
        tenant: str,
        include: list[str],
        owner: str,
        until: float,
    ) -> None:
        self._services = services
        self._jobs = jobs
        self._turn = turn
        self._queued = queued
        self._tenant = tenant
        self._include = include
        self._owner = owner
        self._until = until
        self._pending: list[Event] = []  # not stored yet
        self._looked = asyncio.get_running_loop().time()

    async def drive(self) -> None:
        """Returns when the response has ended, or is not this run's any more."""
        reading = asyncio.ensure_future(self._read())
        cancelled, pause = False, 0.0
        try:
            while not (reading.done() or cancelled):
                await asyncio.wait((reading,), timeout=pause)
                await self._beat()
                cancelled, pause = await self._is_cancelled(), STORE_EVERY
            await _stop(reading)
            await self._finish(self._last_events(reading, cancelled))
        except LeaseLost:
            await _stop(reading)
            await self._leave()
        except asyncio.CancelledError:
            await _stop(reading)
            stopped = ApiError("server_error", "The server was stopped before the response was complete.")
            with suppress(LeaseLost):
                await self._finish(self._last_events(reading, False, stopped))
            raise

    async def _read(self) -> None:
        async with aclosing(self._turn.events()) as batches:
            async for events in batches:
                self._pending += events

    def _last_events(
        self, reading: asyncio.Future[None], cancelled: bool, error: ApiError | None = None
    ) -> list[Event]:
        """What follows the pending events; nothing if the turn has come to its own end."""
        if self._pending and self._pending[-1]["type"] in TERMINAL:
            return []
        if cancelled:
            return self._turn.cancelled()
        if error is None:
            broken = reading.exception()
            log.error("response %s: the turn broke (%s)", self._queued.id, type(broken).__name__)
            error = ApiError("server_error", "The gateway failed; the response's id leads to its log.")
        return self._turn.failed(error)

    # ---------------------------------------------------------------- the lease

    async def _is_cancelled(self) -> bool:
        """Whether to stop; looks at the lease, and prolongs it, when it is time. Raises LeaseLost."""
        now = asyncio.get_running_loop().time()
        if now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        wall, duration = self._services.clock(), self._services.settings.background_lease_seconds
        try:
            lease = await self._jobs.lease(self._tenant, self._queued.id)
            if lease is None or lease.owner != self._owner:
                raise LeaseLost
            if self._until - wall < duration * 2 / 3:
                if not await self._jobs.renew(self._tenant, self._queued.id, self._owner, wall + duration):
                    raise LeaseLost
                self._until = wall + duration
        except StoreUnavailable as error:
            log.warning("response %s: its lease was not seen: %s", self._queued.id, error)
            return False
        return lease.cancelled

    async def _leave(self) -> None:
        log.warning("response %s was taken from its run", self._queued.id)
        try:
            if await self._services.store.get(self._tenant, self._queued.id) is None:
                # Deleted, while this run may just have stored something.
                await self._services.store.delete(self._tenant, self._queued.id)
        except StoreUnavailable as error:
            log.warning("response %s: %s", self._queued.id, error)

    # ---------------------------------------------------------------- storing

    async def _beat(self) -> None:
        try:
            await self._store_pending()
        except StoreUnavailable as error:  # the next beat tries again
            log.warning("response %s: events were not stored: %s", self._queued.id, error)

    async def _store_pending(self) -> None:
        """Stores all that is pending but for the terminal event. Raises LeaseLost, StoreUnavailable."""
        while self._pending and self._pending[0]["type"] not in TERMINAL:
            batch, count = _cut(self._pending)
            stored = await self._jobs.append(self._tenant, self._queued.id, batch, self._queued.expires_at)
            if not stored:
                raise LeaseLost
            del self._pending[:count]

    async def _finish(self, events: list[Event]) -> None:
        """Stores the end. If the store refuses it until the lease expires, others end the response as failed."""
        self._pending += events
        terminal = self._pending[-1]
        end = {"type": terminal["type"], "sequence_number": terminal["sequence_number"]}
        last = Batch(end["sequence_number"], orjson.dumps([{**end, "include": self._include}]))
        record, told = replace(self._queued, response=self._turn.stored()), False
        while True:
            try:
                await self._store_pending()
                if not told:  # before the end is seen: who goes on at once misses nothing
                    await self._turn.append_to_conversation(record)
                    told = True
                if not await self._jobs.finish(self._tenant, record, self._owner, last):
                    raise LeaseLost
                return
            except StoreUnavailable as error:
                log.error("response %s: its end was not stored: %s", self._queued.id, error)
                if self._services.clock() >= self._until:
                    return
                await asyncio.sleep(LOOK_EVERY)


def _cut(events: list[Event]) -> tuple[Batch, int]:
    """The first batch of `events`, without the terminal one, and how many it takes."""
    pieces: list[bytes] = []
    size = 0
    for event in events[:MAX_BATCH_EVENTS]:
        if event["type"] in TERMINAL or size >= MAX_BATCH_BYTES:
            break
        pieces.append(orjson.dumps(event))
        size += len(pieces[-1])
    return Batch(events[0]["sequence_number"], b"[%b]" % b",".join(pieces)), len(pieces)


async def _stop(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))
