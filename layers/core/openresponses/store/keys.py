"""API keys: who a bearer key belongs to. Of a key only its SHA-256 is kept, whatever keeps it.

ApiKeys        makes, lists, rotates, takes over, revokes and checks keys
  DynamoDBKeys, SQLiteKeys   where the rows are
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..protocol.errors import ApiError
from ..tenants import EXPECTED, TENANT

PREFIX = "or-"
ID_LENGTH = 12  # characters of the SHA-256 by which a key is shown, logged and counted
SHORTEST_ID = 8  # characters of an id that revoke() and rotate() take for it

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key, never the key itself. Times are Unix seconds; `id` is the SHA-256, in hex; `used_on` the
    last day that it was used, as YYYY-MM-DD in UTC."""

    id: str
    tenant: str
    name: str
    issued_at: int
    expires_at: int | None = None
    disabled: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    used_on: str | None = None

    @property
    def short_id(self) -> str:
        return self.id[:ID_LENGTH]


class KeyConflict(ValueError):
    """A key that is to be taken over is there already, as another's."""


class ApiKeys(ABC):
    """Methods without `async` block: they are for the command line."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._noted: tuple[str, set[str]] = ("", set())  # a day, and the keys whose use on it is written

    async def known(self, authorization: str | None) -> ApiKey:
        """The valid key in an Authorization header. Raises ApiError "invalid_api_key"."""
        digest = digest_of(bearer_of(authorization))
        found = await asyncio.to_thread(self._find, digest)
        if found is None or not hmac.compare_digest(found.id, digest) or not self._is_valid(found):
            raise ApiError("invalid_api_key", "This API key is not known, or no longer valid.")
        self._note_use(found)
        return found

    def create(
        self,
        tenant: str,
        name: str = "",
        *,
        owner: str = "",
        expires_at: int | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> str:
        """Makes a key and returns it: the only time it can be seen. Raises ValueError for a wrong tenant name."""
        if not TENANT.fullmatch(tenant):
            raise ValueError(EXPECTED)
        key = PREFIX + secrets.token_urlsafe(32)
        now = int(self._clock())
        self._insert(
            ApiKey(digest_of(key), tenant, name, now, expires_at, limits=dict(limits or {}), owner=owner)
        )
        return key

    @abstractmethod
    def list(self, tenant: str) -> list[ApiKey]:
        """The tenant's keys, oldest first."""

    def rotate(self, tenant: str, key_id: str, overlap: float) -> tuple[str, ApiKey] | None:
        """A new key in place of the one whose id begins with `key_id`, which ends after `overlap` seconds: for the same
        tenant, owner and use, with the same limits, and for as long as the old one was issued for. The new key, and
        what the old one is from now on; None if none or several begin so, or it has already ended."""
        old = self._one(tenant, key_id)
        if old is None or not self._is_valid(old):
            return None
        now = int(self._clock())
        key = PREFIX + secrets.token_urlsafe(32)
        expires_at = None if old.expires_at is None else now + (old.expires_at - old.issued_at)
        new = replace(old, id=digest_of(key), issued_at=now, expires_at=expires_at, used_on=None)
        end = now + int(overlap)
        ending = replace(old, expires_at=end if old.expires_at is None else min(end, old.expires_at))
        self._replace(ending, new)
        return key, ending

    def add(self, keys: Iterable[ApiKey]) -> Sequence[ApiKey]:
        """Takes over keys that were made elsewhere; those that were not here yet. One that is here as another's is a
        KeyConflict, and nothing is written."""
        wanted = list(keys)
        present = {key.id: self._find(key.id) for key in wanted}
        for key in wanted:
            found = present[key.id]
            if found is not None and found.tenant != key.tenant:
                raise KeyConflict(f"the key {key.short_id} belongs to another tenant here")
        new = [key for key in wanted if present[key.id] is None]
        for key in new:
            self._insert(key)
        return new

    def revoke(self, tenant: str, key_id: str) -> bool:
        """Removes the key whose id begins with `key_id` (8 characters or more); False if none or several do."""
        found = self._one(tenant, key_id)
        if found is not None:
            self._remove(found)
        return found is not None

    def _one(self, tenant: str, key_id: str) -> ApiKey | None:
        matches = [key for key in self.list(tenant) if key.id.startswith(key_id)]
        return matches[0] if len(key_id) >= SHORTEST_ID and len(matches) == 1 else None

    def _is_valid(self, key: ApiKey) -> bool:
        return not key.disabled and (key.expires_at is None or key.expires_at > self._clock())

    # ---------------------------------------------------------------- last use

    def _note_use(self, key: ApiKey) -> None:
        """Once a day and process, beside the request, which waits for nothing and never fails of it."""
        today = day_of(self._clock())
        if self._noted[0] != today:
            self._noted = (today, set())
        if key.used_on == today or key.id in self._noted[1]:
            return
        self._noted[1].add(key.id)
        asyncio.get_running_loop().run_in_executor(None, self._try_to_note, key.id, today)

    def _try_to_note(self, key_id: str, day: str) -> None:
        try:
            self._write_use(key_id, day)
        except Exception as error:  # whatever the store has for it: nobody is told but the log
            log.warning("the use of the key %s is not written: %s", key_id[:ID_LENGTH], type(error).__name__)

    # ---------------------------------------------------------------- rows

    @abstractmethod
    def _find(self, digest: str) -> ApiKey | None:
        """The key with this SHA-256, valid or not."""

    @abstractmethod
    def _insert(self, key: ApiKey) -> None: ...

    @abstractmethod
    def _replace(self, ending: ApiKey, new: ApiKey) -> None:
        """Writes the new key and the end of the other, both or neither."""

    @abstractmethod
    def _remove(self, key: ApiKey) -> None: ...

    @abstractmethod
    def _write_use(self, key_id: str, day: str) -> None:
        """Writes the day of the last use, if the key is there, and never an earlier one."""


def bearer_of(authorization: str | None) -> str:
    """What an Authorization header bears. Raises ApiError "invalid_api_key"."""
    scheme, _, bearer = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise ApiError("invalid_api_key", "Send a key as 'Authorization: Bearer KEY'.")
    return bearer.strip()


def digest_of(key: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def day_of(seconds: float) -> str:
    """Unix seconds as a day in UTC, YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
