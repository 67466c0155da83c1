"""What a store keeps of an `Idempotency-Key`: whose request it is, and which response answers it. Never content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """A key in use.

    digest        of the request that the key came with
    response_id   the response to that request
    done          whether it has ended; else it is being made
    expires_at    Unix seconds; from then on the key is free
    """

    digest: str
    response_id: str
    done: bool
    expires_at: int


class Idempotency(Protocol):
    """The keys of a store; `key` is a hex digest of the client's. Every method may raise StoreUnavailable."""

    async def claim(self, tenant: str, key: str, claim: Claim) -> Claim | None:
        """Takes a free key, atomically: None. Else what it is in use for."""
        ...

    async def find(self, tenant: str, key: str) -> Claim | None:
        """What the key is in use for; None if it is free. Takes nothing."""
        ...

    async def replace(self, tenant: str, key: str, claim: Claim) -> None:
        """Replaces the claim of its owner, as when the response has ended."""
        ...

    async def release(self, tenant: str, key: str) -> None:
        """Makes the key free again: its request came to nothing."""
        ...
