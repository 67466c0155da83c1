"""Provider settings, secret or not: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, ..., from where they are kept.

    EnvironmentSecrets       a mapping
    FileSecrets              the environment, over a JSON file that `openresponses secrets set` writes: the laptop
    SecretsManagerSecrets    one JSON secret in AWS Secrets Manager: the deployment

An empty value counts as not set.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from .aws_secret import SecretUnreadable, read_secret
from .protocol.errors import ApiError

log = logging.getLogger(__name__)


class Secrets(Protocol):
    """Where provider settings come from. Raises ApiError "server_error" if that cannot be reached."""

    async def get(self, name: str) -> str | None:
        """The value of `name`, or None if it is not set; may be some minutes old."""
        ...

    async def refresh(self, name: str) -> str | None:
        """The value read afresh: once, after a provider refused a key with 401."""
        ...


class EnvironmentSecrets:
    """Values from a mapping, as `os.environ`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def get(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    async def refresh(self, name: str) -> str | None:
        return await self.get(name)


class FileSecrets:
    """Values of the environment, else of the JSON file at `path`, which is read again when it has changed."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = EnvironmentSecrets(environ)
        self._values: dict[str, str] = {}
        self._changed_at: int | None = None

    async def get(self, name: str) -> str | None:
        return await self._environ.get(name) or await EnvironmentSecrets(self.values()).get(name)

    async def refresh(self, name: str) -> str | None:
        return await self.get(name)

    def values(self) -> dict[str, str]:
        """What the file holds; nothing if there is none."""
        try:
            changed_at = self._path.stat().st_mtime_ns
            if changed_at != self._changed_at:
                found = json.loads(self._path.read_text())
                self._values = {k: v for k, v in found.items() if isinstance(v, str)}
                self._changed_at = changed_at
        except FileNotFoundError:
            self._values, self._changed_at = {}, None
        except (OSError, ValueError, AttributeError) as error:
            log.error("provider keys cannot be read from %s: %s", self._path, type(error).__name__)
        return self._values

    def set(self, name: str, value: str) -> dict[str, str]:
        """Writes one value, for the owner's eyes alone, and returns all. Raises OSError."""
        values = {**self.values(), name: value}
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(values, file)
        new.replace(self._path)
        return values


class SecretsManagerSecrets:
    """Values from one JSON object in Secrets Manager; the environment wins for `*_BASE_URL` only.

    The object is read whole, in a thread, one read at a time, and kept for `max_age` seconds. If a later read
    fails, what was read before stays in use.
    """

    def __init__(self, arn: str, environ: Mapping[str, str], *, max_age: float = 300.0) -> None:
        self._arn = arn
        self._environ = environ
        self._max_age = max_age
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="secrets")
        self._last: dict[str, str] | None = None
        self._reading: Future[dict[str, str]] | None = None
        self._read_at = 0.0

    def prefetch(self) -> None:
        """Starts the first read now, while the rest of the program loads; needs no event loop."""
        # Wall clock: a frozen function's monotonic clock may stand still.
        self._read_at = time.time()
        self._reading = self._thread.submit(self._read)

    async def get(self, name: str) -> str | None:
        return await self._value(name, time.time() - self._max_age)

    async def refresh(self, name: str) -> str | None:
        return await self._value(name, time.time())

    async def _value(self, name: str, not_before: float) -> str | None:
        if name.endswith("_BASE_URL") and (url := self._environ.get(name, "").strip()):
            return url
        reading = self._reading
        if reading is None or (reading.done() and (reading.exception() or self._read_at < not_before)):
            self.prefetch()
        assert self._reading is not None
        # Shielded: a turn that is cancelled must not cancel the read that others wait for.
        values = await asyncio.shield(asyncio.wrap_future(self._reading))
        return values.get(name)

    def _read(self) -> dict[str, str]:
        try:
            found = _json_object(read_secret(self._arn))
        except SecretUnreadable as error:
            log.error("provider keys cannot be read from Secrets Manager: %s", error)
            if self._last is None:
                raise ApiError(
                    "server_error", "The provider keys cannot be read from Secrets Manager."
                ) from None
            return self._last
        self._last = {k: v.strip() for k, v in found.items() if isinstance(v, str) and v.strip()}
        return self._last


def _json_object(text: str) -> dict[str, Any]:
    """Raises SecretUnreadable, whose text quotes nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SecretUnreadable("it is not a JSON object")
    return found
