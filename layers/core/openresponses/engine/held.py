"""Turns of a connection that somebody else holds: its messages wait in the table, its frames go out by calls.

One run at a time answers a connection: it takes the lock, answers what waits, lets go, and looks again. A run that
dies leaves a lock that expires; the next one finds that a turn has died and closes the connection, as the client of a
server that dies would see it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import orjson

from ..protocol.errors import ApiError
from ..protocol.websocket import KEY_SECONDS, envelope
from ..store.base import StoreUnavailable
from ..store.connections import Connections, Gone, Held, Holder
from .caller import Caller
from .deadline import DEADLINE_MARGIN
from .faults import as_api_error
from .frames import Frames
from .services import Services
from .session import Session

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
BEAT_SECONDS = 5.0  # between two renewals: how soon a client that has gone stops its turn
SWEPT_AT_ONCE = 100
ANOTHER = "Open another connection to go on."
RUN_SECONDS = 120.0  # after which a run hands over instead of beginning another turn


class HeldConnections:
    """Answers what waits at connections.

    hand_over   has somebody else run() a connection: this run has no time left
    """

    def __init__(
        self,
        services: Services,
        connections: Connections,
        holder: Holder,
        hand_over: Callable[[str], Awaitable[None]],
    ) -> None:
        self._services = services
        self._connections = connections
        self._holder = holder
        self._hand_over = hand_over

    async def run(self, connection: str, deadline: float) -> None:
        """Answers all that waits at `connection`; does nothing if another run does. `deadline` is on the loop's clock:
        when this process may be stopped."""
        owner = os.urandom(12).hex()
        now = asyncio.get_running_loop().time
        turns_until = min(now() + RUN_SECONDS, deadline - DEADLINE_MARGIN)
        while held := await self._connections.lock(connection, owner, self._lease_end()):
            if held.died or not await self._answer_all(held, owner, turns_until, deadline):
                await self.close(connection)
                return
            await self._connections.unlock(connection, owner)
            if not await self._connections.waits(connection):
                return
            if now() >= turns_until:
                await self._hand_over(connection)
                return

    async def sweep(self) -> None:
        """Closes the connections whose run has died, and that nobody has asked since."""
        for connection in await self._connections.expired(SWEPT_AT_ONCE):
            await self.close(connection)

    async def close(self, connection: str) -> None:
        with suppress(Gone):
            await self._holder.close(connection)
        await self._connections.close(connection)

    def _lease_end(self) -> float:
        return self._services.clock() + LEASE_SECONDS

    async def _answer_all(self, held: Held, owner: str, turns_until: float, deadline: float) -> bool:
        """Answers under a lease that is kept; False if the connection is over."""
        loop = asyncio.get_running_loop()
        answering = loop.create_task(self._answer_waiting(held, owner, turns_until, deadline))
        keeping = loop.create_task(self._keep(held, owner))
        try:
            await asyncio.wait((answering, keeping), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return False
            return answering.result()
        except Gone:
            return False
        except Exception as raised:
            as_api_error(raised)  # which logs it
            return False
        finally:
            for task in (answering, keeping):
                task.cancel()
            await asyncio.wait((answering, keeping))

    async def _keep(self, held: Held, owner: str) -> None:
        """Returns when the lock is lost: the client has left, and its rows with it."""
        until = self._lease_end()
        while self._services.clock() < until:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                if not await self._connections.renew(held.id, owner, self._lease_end()):
                    return
                until = self._lease_end()
            except StoreUnavailable as error:
                log.warning("a lock was not renewed: %s", error)

    async def _answer_waiting(self, held: Held, owner: str, turns_until: float, deadline: float) -> bool:
        loop = asyncio.get_running_loop()
        ends_in = held.since + self._services.settings.websocket_seconds - self._services.clock()
        session = Session(
            self._services,
            Caller(held.tenant, held.key_id, held.limits),
            deadline=min(deadline, loop.time() + ends_in + DEADLINE_MARGIN),
            chain_at_hand=await self._connections.state(held),
            retention=held.retention,
        )
        key_holds_until = held.since + KEY_SECONDS
        while loop.time() < turns_until:
            data = await self._connections.take(held, owner)
            if data is None:
                return True
            now = self._services.clock()
            if now > held.since + self._services.settings.websocket_seconds:
                return await self._end(held, "websocket_connection_limit_reached", ANOTHER)
            if now > key_holds_until:
                if not await self._connections.key_holds(held):
                    return await self._end(held, "invalid_api_key", "This API key is no longer valid.")
                key_holds_until = now + KEY_SECONDS
            await self._answer(session, held, data)
            if not await self._connections.settle(held, owner, session.local.chain_at_hand):
                return False
        return True

    async def _end(self, held: Held, code: str, why: str) -> bool:
        """Tells why the connection is over."""
        await self._holder.post(held.id, orjson.dumps(envelope(ApiError(code, why))))
        return False

    async def _answer(self, session: Session, held: Held, data: bytes) -> None:
        frames = Frames(self._holder.frame_bytes)
        async with aclosing(session.answer(data)) as batches:
            try:
                async for events in batches:
                    for frame in frames.of(events):
                        await self._holder.post(held.id, frame)
            except ApiError as error:
                session.local.forget_newest()
                await self._holder.post(held.id, frames.failed(error))
