"""The Store protocol: what the gateway keeps of a conversation, and how it gets it back.

A response is written once, whole, at the end of its turn, with its own input and output only: what came before it is
found by walking `previous_response_id`. Every id belongs to a tenant; another tenant's id is simply not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .background import Jobs
from .conversations import Conversations
from .counters import Counters
from .idempotency import Idempotency
from .listing import Listing

Json = dict[str, Any]

MAX_CHAIN = 4096  # turns; a longer chain is ChainTooLong in every store


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One turn as it was told to the client.

    response     the response object of the terminal event, with provider state (`encrypted_content`) always in it
    input        the turn's own input items, each with an id, without the earlier turns'
    model        the model name the client asked for (response["model"] is the provider's)
    created_at   Unix seconds
    expires_at   Unix seconds; from then on the response does not exist
    lifetime     seconds that its life is renewed to, when it is used; None: the store's own
    """

    id: str
    response: Json
    input: list[Json]
    model: str
    created_at: int
    expires_at: int
    lifetime: int | None = None

    @property
    def previous_response_id(self) -> str | None:
        parent: str | None = self.response["previous_response_id"]
        return parent

    @property
    def status(self) -> str:
        status: str = self.response["status"]
        return status


class ChainNotFound(LookupError):
    """A link of a chain is missing, expired, another tenant's, or the chain loops. `args[0]` is the id asked for."""


class ChainTooLong(ChainNotFound):
    """Every link is there, but there are more than MAX_CHAIN of them."""


class StoreUnavailable(Exception):
    """The store cannot be reached, is throttled, or refuses the write. The turn itself is not lost by it."""


class Store(Protocol):
    """Kept responses, and conversations. Every method may raise StoreUnavailable."""

    @property
    def conversations(self) -> Conversations: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def idempotency(self) -> Idempotency: ...

    @property
    def jobs(self) -> Jobs: ...

    @property
    def listing(self) -> Listing: ...

    async def put(self, tenant: str, record: StoredResponse) -> None:
        """Writes one response; it can be read by any process when this returns. Atomic."""
        ...

    async def get(self, tenant: str, response_id: str) -> StoredResponse | None:
        """The response, or None if it is unknown, deleted, expired or another tenant's."""
        ...

    async def chain(self, tenant: str, response_id: str) -> list[StoredResponse]:
        """The response and all its ancestors, oldest first. Renews their lives: at least half of its time to live is
        left on each afterwards. Raises ChainNotFound."""
        ...

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Removes the response and all content of its own; False if there was none. Descendants lose their chain."""
        ...

    async def close(self) -> None: ...
