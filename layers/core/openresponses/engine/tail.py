"""The stream of a background response: its stored events after a given one, then those that are still to come.

Every stream of a background response is one of these, the first one and every resumed one, in any process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from ..protocol.errors import ApiError
from ..store.background import MAX_BATCH_EVENTS
from ..store.base import StoredResponse, StoreUnavailable
from .assembler import TERMINAL, Event
from .background import Background
from .context import visible_response
from .faults import store_unreachable
from .services import Services

Json = dict[str, Any]
log = logging.getLogger(__name__)

FIRST_PAUSE = 0.02  # seconds between two looks for events
LONGEST_PAUSE = 0.2
LOOK_EVERY = 1.0  # seconds of silence after which the response is asked whether it is alive
RESUME_MARGIN = 5.0  # seconds before the deadline at which the stream says that it must be resumed
UNFINISHED = frozenset({"queued", "in_progress"})


class Deleted(Exception):
    """The response is not there any more."""


class Tail:
    """`after` is the sequence number that the client has seen last, -1: none. `deadline` is on the loop's clock."""

    def __init__(
        self,
        services: Services,
        background: Background,
        tenant: str,
        record: StoredResponse,
        *,
        after: int = -1,
        deadline: float | None = None,
    ) -> None:
        self._services = services
        self._background = background
        self._tenant = tenant
        self._record = record
        self._after = after
        self._told = False
        self._deadline = deadline
        # The batch that holds the next event may begin before it.
        self._next_batch = max(0, after + 2 - MAX_BATCH_EVENTS)

    async def events(self) -> AsyncGenerator[list[Event]]:
        """Batches of events, to the terminal one. Raises ApiError if they cannot be had from the beginning."""
        try:
            async with aclosing(self._follow()) as batches:
                async for events in batches:
                    self._told = True
                    yield events
        except StoreUnavailable as error:
            log.error("the stream of %s broke: %s", self._record.id, error)
            if not self._told:
                raise store_unreachable() from None
            yield [self._interrupted("server_is_overloaded", "The store cannot be reached.")]

    async def _follow(self) -> AsyncGenerator[list[Event]]:
        now = asyncio.get_running_loop().time
        pause, looked = FIRST_PAUSE, now()
        while True:
            batches = await self._services.store.jobs.events(self._tenant, self._record.id, self._next_batch)
            for batch in batches:
                events = orjson.loads(batch.events)
                self._next_batch = events[-1]["sequence_number"] + 1
                ended = events[-1]["type"] in TERMINAL
                if ended:
                    events += await self._last(events.pop())
                if unseen := [event for event in events if event["sequence_number"] > self._after]:
                    self._after = unseen[-1]["sequence_number"]
                    yield unseen
                if ended:
                    return
            if self._deadline is not None and now() > self._deadline - RESUME_MARGIN:
                yield [self._interrupted("time_limit", "This connection has reached its time limit.")]
                return
            if batches:
                pause, looked = LONGEST_PAUSE / 2, now()
                continue
            if self._record.status not in UNFINISHED or now() - looked > LOOK_EVERY:
                looked = now()
                try:
                    if await self._has_ended():
                        return
                except Deleted:
                    yield self._deleted()
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _has_ended(self) -> bool:
        """Whether nothing more is to come. A response whose run has died ends by this. Raises Deleted."""
        record = await self._background.current(self._tenant, await self._stored())
        if record.status in UNFINISHED:
            return False
        jobs = self._services.store.jobs
        if await jobs.events(self._tenant, record.id, self._next_batch):
            return False
        if self._after < 0:
            raise ApiError(
                "invalid_value", "The events of this response are not kept any more.", param="stream"
            )
        return True

    async def _stored(self) -> StoredResponse:
        record = await self._services.store.get(self._tenant, self._record.id)
        if record is None:
            raise Deleted
        return record

    async def _last(self, end: Event) -> list[Event]:
        """The terminal event, with the response that the store keeps apart from it."""
        try:
            record = await self._stored()
        except Deleted:
            return self._deleted(end["sequence_number"])
        shown = visible_response(record.response, end.pop("include"))
        return [{**end, "response": shown}]

    def _deleted(self, number: int | None = None) -> list[Event]:
        error = ApiError("response_not_found", "The response was deleted while it was streamed.")
        number = self._after + 1 if number is None else number
        response = {**self._record.response, "status": "failed", "error": error.in_response()}
        return [
            {"type": "error", "sequence_number": number, "error": error.body()},
            {"type": "response.failed", "sequence_number": number + 1, "response": response},
        ]

    def _interrupted(self, code: str, why: str) -> Event:
        """The connection ends, the response does not. The number is that of the last event: resume after it."""
        error = ApiError(code, f"{why} The response goes on; resume after event {self._after}.").body()
        return {"type": "error", "sequence_number": max(0, self._after), "error": error}
