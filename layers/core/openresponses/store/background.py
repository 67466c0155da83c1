"""What a store keeps of a response that is made after its reply: who makes it, its request, its events.

From submit() on the response can be read, with status `queued`; one run may claim it and holds it by a lease until
finish() replaces the record by the final one. Both ends are conditional writes, and so is every batch of events: it is
written at its first sequence number, where nothing may stand yet. So whatever runs, dies, or comes back late, there is
one run, one sequence of events and one end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from .base import StoredResponse

MAX_BATCH_EVENTS = 256


@dataclass(frozen=True, slots=True)
class Lease:
    """The state of a response that has not ended.

    owner       the run that has claimed it; None: it is queued
    until       Unix seconds; from then on whoever reads it may end it as failed
    cancelled   whether somebody wants it to stop
    """

    owner: str | None
    until: float
    cancelled: bool = False


class Batch(NamedTuple):
    """Events that were stored together: a JSON array whose first event has sequence number `first`.

    At most MAX_BATCH_EVENTS. The last batch ends with the terminal event, which has no `response`: that is the
    record's own.
    """

    first: int
    events: bytes


class Jobs(Protocol):
    """The unfinished responses of a store. Every method may raise StoreUnavailable; unknown ids are not there."""

    async def submit(self, tenant: str, record: StoredResponse, request: bytes, until: float) -> None:
        """Stores a queued response and the request that a run will need. It must be claimed before `until`. Atomic."""
        ...

    async def claim(self, tenant: str, response_id: str, owner: str, until: float) -> bytes | None:
        """Makes `owner` the one run of a queued response; its request, which is forgotten with that. None if it is
        claimed, cancelled, expired or ended."""
        ...

    async def renew(self, tenant: str, response_id: str, owner: str, until: float) -> bool:
        """Prolongs the lease; False if it is not `owner`'s any more."""
        ...

    async def lease(self, tenant: str, response_id: str) -> Lease | None:
        """The state of the response; None if it has ended, or is not there."""
        ...

    async def cancel(self, tenant: str, response_id: str) -> None:
        """Marks the lease, for its owner to see; does nothing to a response that has ended."""
        ...

    async def append(self, tenant: str, response_id: str, batch: Batch, expires_at: int) -> bool:
        """Stores further events; False if some stand there already, or the response has ended."""
        ...

    async def events(self, tenant: str, response_id: str, first: int) -> list[Batch]:
        """Batches that begin at sequence number `first` or later, in order; not always all, but some if there are
        any."""
        ...

    async def finish(self, tenant: str, record: StoredResponse, owner: str | None, last: Batch) -> bool:
        """Replaces the record by the final one, stores the last events, ends the lease, all or nothing. False if the
        lease is not `owner`'s (None: nobody's), or events stand there already."""
        ...

    async def expired(self, limit: int) -> list[tuple[str, str]]:
        """Tenants and ids of responses whose lease has expired."""
        ...
