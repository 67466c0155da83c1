"""What a store counts for a tenant: amounts that many turns add to at once, and leases that many hold at once.

A window is a name that is never used again after its time, as the day or the minute that is counted, so nothing is
ever set back. Both hold across processes: on AWS every request may meet another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from ..tenants import TENANT

WINDOW = re.compile(r"[\w.:#-]{1,200}", re.ASCII)
NAME = re.compile(r"[a-z_]{1,32}")
OWN_ATTRIBUTES = frozenset({"pk", "sk", "v", "expires_at", "leases", "tenant", "created_at"})

Amounts = Mapping[str, int]


class Counters(Protocol):
    """The counters of a store. Every method may raise StoreUnavailable, and ValueError for a bad name."""

    async def add(
        self, tenant: str, window: str, amounts: Amounts, *, limits: Amounts | None = None, expires_at: int
    ) -> dict[str, int] | None:
        """Adds to the window's counters, all at once; what they stand at then. An amount may be negative.

        limits       by counter: added is only while each of them stands below its limit, else None and nothing changes.
                     The last one to be let in may pass the limit.
        expires_at   Unix seconds; from then on the window may be forgotten
        """
        ...

    async def read(self, tenant: str, window: str) -> dict[str, int]:
        """What the window's counters stand at; those that were never added to are not there."""
        ...

    async def lease(self, tenant: str, window: str, owner: str, until: float, limit: int) -> bool:
        """Takes one of `limit` leases, or prolongs the one that `owner` has. False if all are taken. A lease that
        reached its `until` (Unix seconds) is free: a process that died holds nothing for long."""
        ...

    async def release(self, tenant: str, window: str, owner: str) -> None:
        """Gives the lease back, if `owner` still has it."""
        ...


def require_names(tenant: str, window: str, counters: Iterable[str] = ()) -> None:
    """Raises ValueError for what may not stand in a key or name an attribute."""
    if not TENANT.fullmatch(tenant) or not WINDOW.fullmatch(window):
        raise ValueError("a counter's tenant or window outside its grammar")
    if wrong := [name for name in counters if not NAME.fullmatch(name) or name in OWN_ATTRIBUTES]:
        raise ValueError(f"a counter may not be named {wrong[0]!r}")
