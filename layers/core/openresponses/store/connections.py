"""WebSocket connections that somebody else holds: what a store keeps of them, and what their holder does.

The holder (API Gateway) gives each message to a function that ends at once. So messages wait in the store, and a run
answers them: it has the connection by a lock that expires, takes a message, sends frames through the holder, settles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .base import StoredResponse
from .retention import DEPLOYMENTS, Retention


@dataclass(frozen=True, slots=True)
class Held:
    """A connection whose lock was just taken.

    since    Unix seconds of its opening
    died     whether an earlier run took a message and never settled it
    retention  the tenant's; where nothing is kept, nothing of its turns may be written
    key_id, limits   of the key that opened it
    """

    id: str
    tenant: str
    since: float
    died: bool
    retention: Retention
    key_id: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)


class TooManyWaiting(Exception):
    """MAX_WAITING messages wait already."""


class Gone(Exception):
    """The client has left."""


class Holder(Protocol):
    """Who holds the connections. `frame_bytes` is the largest frame; both calls raise nothing but Gone."""

    frame_bytes: int

    async def post(self, connection: str, frame: bytes) -> None: ...

    async def close(self, connection: str) -> None: ...


class Connections(Protocol):
    """Connections, their messages, locks and state. Every method may raise StoreUnavailable."""

    async def open(
        self,
        connection: str,
        tenant: str,
        retention: Retention = DEPLOYMENTS,
        *,
        key_id: str | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> None: ...

    async def close(self, connection: str) -> None:
        """Forgets all of it; a run that has it sees so at its next renewal."""
        ...

    async def send(self, connection: str, body: bytes, at: int, message: str) -> bool:
        """Puts a message in its place: `at` is when it came, in milliseconds, `message` a name of its own. False if
        there is no such connection. Raises TooManyWaiting."""
        ...

    async def lock(self, connection: str, owner: str, until: float) -> Held | None:
        """Makes `owner` its run; None if there is no such connection, or another run has it."""
        ...

    async def renew(self, connection: str, owner: str, until: float) -> bool:
        """False if the connection is gone, or another run has it."""
        ...

    async def unlock(self, connection: str, owner: str) -> None: ...

    async def take(self, held: Held, owner: str) -> bytes | None:
        """The oldest message; nobody will get it a second time. None if none waits. Raises Gone if the lock is lost."""
        ...

    async def waits(self, connection: str) -> bool:
        """Whether a message does."""
        ...

    async def settle(self, held: Held, owner: str, chain: list[StoredResponse]) -> bool:
        """The taken message is answered; `chain` is at hand from now on. False if the lock is lost."""
        ...

    async def state(self, held: Held) -> list[StoredResponse]:
        """The chain at hand; empty if there is none, or if the store has it anyway."""
        ...

    async def key_holds(self, held: Held) -> bool:
        """Whether the API key that opened it is still good. That of a token is not known."""
        ...

    async def expired(self, limit: int) -> list[str]:
        """Connections whose run has died."""
        ...
