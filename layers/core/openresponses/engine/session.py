"""One connection's turns, one after another, whatever carries its messages.

The newest response stays with the connection, with all that came before it: a turn that continues it reads no store,
and continues it also with `store: false`. Source: the specification, "WebSocket Continuation".
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..protocol.errors import ApiError
from ..protocol.request import parse_json
from ..protocol.websocket import ACKNOWLEDGEMENTS, envelope, parse_create
from ..store.background import Jobs
from ..store.base import Store, StoredResponse
from ..store.conversations import Conversations
from ..store.counters import Counters
from ..store.idempotency import Idempotency
from ..store.listing import Listing
from ..store.retention import DEPLOYMENTS, Retention
from .assembler import TERMINAL
from .caller import Caller
from .context import CONTINUABLE
from .services import Services
from .turn import ResponseTurn

Json = dict[str, Any]


class ConnectionStore:
    """A Store that knows one chain by heart; everything else is the real store's.

    `chain_at_hand` is the newest response's, oldest turn first; empty: none.
    """

    def __init__(self, store: Store, chain_at_hand: list[StoredResponse] | None = None) -> None:
        self._store = store
        self.chain_at_hand = chain_at_hand or []
        self._read: list[StoredResponse] = []  # the chain that the running turn continues

    @property
    def conversations(self) -> Conversations:
        return self._store.conversations

    @property
    def counters(self) -> Counters:
        return self._store.counters

    @property
    def idempotency(self) -> Idempotency:
        return self._store.idempotency

    @property
    def jobs(self) -> Jobs:
        return self._store.jobs

    @property
    def listing(self) -> Listing:
        return self._store.listing

    async def put(self, tenant: str, record: StoredResponse) -> None:
        await self._store.put(tenant, record)

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        at_hand = (record for record in self.chain_at_hand if record.id == response_id)
        return next(at_hand, None) or await self._store.get(tenant, response_id)

    async def chain(self, tenant: str, response_id: str) -> list[StoredResponse]:
        newest = self.chain_at_hand[-1:]
        if newest and newest[0].id == response_id:
            self._read = self.chain_at_hand
        else:
            self._read = await self._store.chain(tenant, response_id)
        return self._read

    async def delete(self, tenant: str, response_id: str) -> bool:
        return await self._store.delete(tenant, response_id)

    async def close(self) -> None:
        """The real store outlives the connection."""

    def keep(self, record: StoredResponse) -> None:
        """`record` is the newest response from now on."""
        earlier = self._read if record.previous_response_id else []
        self.chain_at_hand = [*earlier, record]

    def forget_newest(self) -> None:
        self.chain_at_hand = []

    def forget(self, response_id: str) -> None:
        """The response is no longer at hand, nor is a chain that contains it."""
        if any(record.id == response_id for record in self.chain_at_hand):
            self.chain_at_hand = []


class Session:
    """What one connection may ask, and what it is answered.

    deadline   on the loop's clock: when the connection ends; a turn that is running then ends incomplete
    retention  the tenant's
    """

    def __init__(
        self,
        services: Services,
        caller: Caller,
        *,
        deadline: float | None = None,
        chain_at_hand: list[StoredResponse] | None = None,
        retention: Retention = DEPLOYMENTS,
    ) -> None:
        self.tenant = caller.tenant
        self._caller = caller
        self._retention = retention
        self.local = ConnectionStore(services.store, chain_at_hand)
        self._services = replace(services, store=self.local)
        self._deadline = deadline

    async def answer(self, data: bytes) -> AsyncGenerator[list[Json]]:
        """The frames that answer one message, in batches: a response's events, or one error envelope.

        A failed turn evicts the response that it names as the previous one. An acknowledgement is answered by nothing.
        """
        message: Json = {}
        try:
            message = self._read(data)
            if message.get("type") in ACKNOWLEDGEMENTS:
                return
            request = parse_create(self._retention.applied(message))
            turn = ResponseTurn(
                self._services,
                request,
                caller=self._caller,
                streaming=True,
                deadline=self._deadline,
                error_event=False,
                lifetime=self._retention.lifetime,
            )
            async with aclosing(turn.events()) as batches:
                async for events in batches:
                    if events[-1]["type"] in TERMINAL:
                        self._settle(turn)
                    yield events
        except ApiError as error:
            self._evict(message.get("previous_response_id"))
            yield [envelope(error)]

    def _read(self, data: bytes) -> Json:
        limit = self._services.settings.max_body_bytes
        if len(data) > limit:
            raise ApiError("request_too_large", f"The message is over {limit} bytes.")
        return parse_json(data)

    def _settle(self, turn: ResponseTurn) -> None:
        record = turn.record()
        if record and record.status in CONTINUABLE:
            self.local.keep(record)
        else:
            self._evict(turn.response["previous_response_id"])

    def _evict(self, previous: Any) -> None:
        if isinstance(previous, str):
            self.local.forget(previous)
