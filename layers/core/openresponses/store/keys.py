"""API keys: who a bearer key belongs to. Of a key only its SHA-256 is kept, whatever keeps it.

ApiKeys        makes, lists, revokes and checks keys
  DynamoDBKeys, SQLiteKeys   where the rows are
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..protocol.errors import ApiError
from ..tenants import EXPECTED, TENANT

PREFIX = "or-"
ID_LENGTH = 12  # characters of the SHA-256 by which a key is shown, logged and counted
SHORTEST_ID = 8  # characters of an id that revoke() takes for it


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key, never the key itself. Times are Unix seconds; `id` is the SHA-256, in hex."""

    id: str
    tenant: str
    name: str
    issued_at: int
    expires_at: int | None = None
    disabled: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short_id(self) -> str:
        return self.id[:ID_LENGTH]


class ApiKeys(ABC):
    """Methods without `async` block: they are for the command line."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    async def known(self, authorization: str | None) -> ApiKey:
        """The valid key in an Authorization header. Raises ApiError "invalid_api_key"."""
        digest = digest_of(bearer_of(authorization))
        found = await asyncio.to_thread(self._find, digest)
        if found is None or not hmac.compare_digest(found.id, digest) or not self._is_valid(found):
            raise ApiError("invalid_api_key", "This API key is not known, or no longer valid.")
        return found

    def create(
        self,
        tenant: str,
        name: str = "",
        *,
        expires_at: int | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> str:
        """Makes a key and returns it: the only time it can be seen. Raises ValueError for a wrong tenant name."""
        if not TENANT.fullmatch(tenant):
            raise ValueError(EXPECTED)
        key = PREFIX + secrets.token_urlsafe(32)
        self._insert(
            ApiKey(digest_of(key), tenant, name, int(self._clock()), expires_at, limits=dict(limits or {}))
        )
        return key

    @abstractmethod
    def list(self, tenant: str) -> list[ApiKey]:
        """The tenant's keys, oldest first."""

    def revoke(self, tenant: str, key_id: str) -> bool:
        """Removes the key whose id begins with `key_id` (8 characters or more); False if none or several do."""
        matches = [key for key in self.list(tenant) if key.id.startswith(key_id)]
        if len(key_id) < SHORTEST_ID or len(matches) != 1:
            return False
        self._remove(matches[0])
        return True

    def _is_valid(self, key: ApiKey) -> bool:
        return not key.disabled and (key.expires_at is None or key.expires_at > self._clock())

    @abstractmethod
    def _find(self, digest: str) -> ApiKey | None:
        """The key with this SHA-256, valid or not."""

    @abstractmethod
    def _insert(self, key: ApiKey) -> None: ...

    @abstractmethod
    def _remove(self, key: ApiKey) -> None: ...


def bearer_of(authorization: str | None) -> str:
    """What an Authorization header bears. Raises ApiError "invalid_api_key"."""
    scheme, _, bearer = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise ApiError("invalid_api_key", "Send a key as 'Authorization: Bearer KEY'.")
    return bearer.strip()


def digest_of(key: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()
