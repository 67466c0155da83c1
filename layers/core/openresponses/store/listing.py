"""What an operator asks of a store: which responses and conversations a tenant has, and that all of it be gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Listing(Protocol):
    """The ids of a tenant, and their end. Every method may raise StoreUnavailable."""

    def responses(self, tenant: str) -> AsyncIterator[str]:
        """Ids of the tenant's responses, newest first. One that has just expired or been deleted may be among them."""
        ...

    def conversations(self, tenant: str) -> AsyncIterator[str]:
        """The same of its conversations."""
        ...

    async def erase(self, tenant: str, *, thorough: bool = True) -> int:
        """Removes every row of the tenant, of whatever kind, its API keys included; their number.

        `thorough`: also what an interrupted write has left behind, which nobody can read, and which would expire by
        itself; in DynamoDB that reads the whole table. An erasure that failed is completed by calling it again.
        """
        ...
