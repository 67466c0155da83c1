"""Background responses: queued with their reply, made by one run in some process, ended by whoever finds that run dead.

submit    the request is checked, stored sealed, and a worker is told tenant and id
run       what the worker does: claim, turn, end; a second call for the same response does nothing
current   what a reader sees: whoever reads a response whose lease has expired ends it as failed
cancel    marks it for its run; ends it, where no run obeys
sweep     ends what expired and nobody reads
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson

from ..protocol.errors import ApiError
from ..sealing import Unreadable
from ..store.background import Batch, Lease
from ..store.base import StoredResponse, StoreUnavailable
from ..telemetry import REQUEST_ID, TRACEPARENT
from .caller import Caller
from .run import BackgroundTurn, Run
from .services import Services
from .turn import ResponseTurn
from .unfinished import Unfinished

Json = dict[str, Any]
log = logging.getLogger(__name__)

PURPOSE = "background"  # of the sealed request
OBEYED_WITHIN = 1.3  # seconds that a run has to end a response that is to be cancelled
ATTEMPTS = 5  # to end a response whose events still grow
SWEPT_AT_ONCE = 100

Start = Callable[[str, str], Awaitable[None]]  # tenant, response id: makes a worker call run()


class Background:
    """`start` tells a worker; where it raises, nothing was queued."""

    def __init__(self, services: Services, start: Start) -> None:
        self._services = services
        self._jobs = services.store.jobs
        self._start = start

    # ---------------------------------------------------------------- queueing and running

    async def submit(self, tenant: str, turn: ResponseTurn) -> StoredResponse:
        """Queues the turn that was made of a request; the queued response. Raises ApiError for what is wrong with
        the request, and where there is no place for it."""
        self._services.turns.check()
        try:
            return await self._queue(tenant, turn)
        except Exception as error:
            await turn.dismiss(error)
            raise

    async def _queue(self, tenant: str, turn: ResponseTurn) -> StoredResponse:
        await turn.prepare()
        record = turn.record()
        assert record is not None
        sealed = await self._services.sealer.seal(tenant, PURPOSE, orjson.dumps(turn.carried))
        until = self._services.clock() + self._services.settings.background_queue_seconds
        await self._jobs.submit(tenant, record, sealed.encode(), until)
        try:
            await self._start(tenant, record.id)
        except Exception as error:  # whatever it is, nobody will run it
            await self._services.store.delete(tenant, record.id)
            if isinstance(error, ApiError):
                raise
            log.error("response %s: no worker was started: %s", record.id, type(error).__name__)
            raise ApiError("server_is_overloaded", "No worker could be started.", retry_after=1) from None
        return record

    async def run(self, tenant: str, response_id: str, *, deadline: float | None = None) -> None:
        """Claims the response and makes it; ends it instead if its former run has died. `deadline` is on the loop's
        clock, or None."""
        settings = self._services.settings
        owner, until = uuid4().hex, self._services.clock() + settings.background_lease_seconds
        sealed = await self._jobs.claim(tenant, response_id, owner, until)
        queued = await self._services.store.get(tenant, response_id)
        if queued is None:
            return
        if sealed is None:
            await self.current(tenant, queued)
            return
        try:
            carried = orjson.loads(await self._services.sealer.open(tenant, PURPOSE, sealed.decode()))
            request = carried["request"]
            REQUEST_ID.set(carried.get("request_id"))
            TRACEPARENT.set(carried.get("traceparent"))
            turn = BackgroundTurn(
                self._services,
                request,
                caller=Caller(tenant, carried["key_id"], carried["limits"]),
                streaming=True,
                deadline=deadline,
                response={**queued.response, "output": []},
                carried=carried["state"],
            )
        except (ApiError, Unreadable) as error:
            log.error("response %s cannot be begun: %s", response_id, type(error).__name__)
            gone = ApiError("server_error", "The stored request cannot be read any more.")
            await self._end(tenant, queued, Lease(owner, until), gone)
            return
        include = request.get("include", [])
        run = Run(
            self._services, self._jobs, turn, queued, tenant=tenant, include=include, owner=owner, until=until
        )
        await run.drive()

    # ---------------------------------------------------------------- what others see, and do

    async def current(self, tenant: str, record: StoredResponse) -> StoredResponse:
        """The response as it stands now: `queued` or `in_progress`, or its end."""
        if record.status != "queued":
            return record
        lease = await self._jobs.lease(tenant, record.id)
        if lease is not None and lease.until > self._services.clock():
            status = "in_progress" if lease.owner else "queued"
            return replace(record, response={**record.response, "status": status})
        if lease is not None:
            await self._end(tenant, record, lease, _died(lease))
        return await self._services.store.get(tenant, record.id) or record

    async def cancel(self, tenant: str, record: StoredResponse) -> StoredResponse:
        """Stops the response, wherever it runs; what was produced is kept. Returns it when it has ended."""
        if not record.response["background"]:
            raise ApiError(
                "invalid_value", "Only a background response can be cancelled.", param="response_id"
            )
        now = asyncio.get_running_loop().time
        patient_until = now() + OBEYED_WITHIN
        await self._jobs.cancel(tenant, record.id)
        while record.status == "queued":
            lease = await self._jobs.lease(tenant, record.id)
            if lease is None:
                break
            if lease.owner is None or now() > patient_until:
                await self._end(tenant, record, lease, None)
                break
            await asyncio.sleep(0.05)
        return await self._services.store.get(tenant, record.id) or record

    async def sweep(self) -> None:
        """Ends the responses whose lease has expired."""
        for tenant, response_id in await self._jobs.expired(SWEPT_AT_ONCE):
            record = await self._services.store.get(tenant, response_id)
            if record is not None:
                await self.current(tenant, record)
            else:
                await self._services.store.delete(tenant, response_id)

    async def _end(self, tenant: str, record: StoredResponse, lease: Lease, error: ApiError | None) -> None:
        """Ends a response in its run's place: failed with `error`, or cancelled."""
        for _ in range(ATTEMPTS):
            unfinished = Unfinished(record.response, self._services.settings.reasoning_events)
            first = 0
            while batches := await self._jobs.events(tenant, record.id, first):
                for batch in batches:
                    for event in orjson.loads(batch.events):
                        unfinished.see(event)
                first = unfinished.sequence
            *events, terminal = unfinished.close(error)
            end = {"type": terminal["type"], "sequence_number": terminal["sequence_number"], "include": []}
            last = Batch(unfinished.sequence, orjson.dumps([*events, end]))
            ended = replace(record, response=terminal["response"])
            if await self._jobs.finish(tenant, ended, lease.owner, last):
                log.warning("response %s: ended as %s", record.id, ended.status)
                return
            held = await self._jobs.lease(tenant, record.id)
            if held is None or held.owner != lease.owner:
                return  # it has ended otherwise, or was begun after all


def _died(lease: Lease) -> ApiError:
    if lease.owner is None:
        return ApiError("server_error", "No worker began the response in time.")
    return ApiError("server_error", "The worker that made the response has died.")


class InProcess:
    """Runs background responses as tasks of this process, and sweeps; for a server that stays."""

    def __init__(self, services: Services, *, sweep_every: float = 15.0, drain_seconds: float = 2.0) -> None:
        self.background = Background(services, self._begin)
        self._turns = services.turns
        self._sweep_every = sweep_every
        self._drain_seconds = drain_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping = asyncio.create_task(self._sweep())

    async def _begin(self, tenant: str, response_id: str) -> None:
        self._turns.take()
        task = asyncio.create_task(self._run(tenant, response_id))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._turns.release()

    async def _run(self, tenant: str, response_id: str) -> None:
        try:
            await self.background.run(tenant, response_id)
        except StoreUnavailable as error:  # its lease expires, and it ends as failed
            log.error("response %s was not run: %s", response_id, error)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.background.sweep()
            except StoreUnavailable as error:
                log.warning("sweep: %s", error)
            await asyncio.sleep(self._sweep_every)

    async def close(self) -> None:
        """Lets the tasks come to their end for a moment; those that do not end their responses as failed."""
        self._sweeping.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._drain_seconds)
        for task in self._tasks:
            task.cancel()
        for task in (self._sweeping, *self._tasks):
            with suppress(asyncio.CancelledError):
                await task
