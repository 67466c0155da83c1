"""Sealed content: what leaves the gateway's hands and comes back, readable by this deployment and tenant alone.

    Sealer          seals and opens; what the rest of the gateway is given
    file_keys       its keys in a file: the laptop
    secret_keys     its keys in a secret of AWS Secrets Manager: the deployment
    memory_keys     a key that dies with the process

A token is `ors1.<key id>.<base64url of nonce and ciphertext>`: AES-256-GCM (NIST SP 800-38D, random nonces of 96 bits)
with the purpose, the tenant and the key id as associated data. Keys are kept as text, one a line: the first line seals,
all of them open, so a key is replaced by putting a new line before it. Nothing here is imported or read before it is
needed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from .protocol.errors import ApiError

log = logging.getLogger(__name__)

VERSION = "ors1"
NONCE_BYTES = 12
SHORTEST_KEY = 32  # characters
MAX_AGE = 300.0  # seconds after which the keys are read again
REREAD_AFTER = 5.0  # the same, where a token names a key that is not among them

KeyText = Callable[[], str]


class Unreadable(Exception):
    """A token that cannot be opened: not one of ours, changed, another tenant's, purpose's or deployment's."""


class Sealer:
    """Seals and opens bytes. Raises ApiError "server_error" where the keys cannot be had.

    read_keys   gives the keys' text; called in a thread, when a key is first needed, and again after some minutes.
                If a later reading fails, what was read before stays in use.
    """

    def __init__(self, read_keys: KeyText) -> None:
        self._read_keys = read_keys
        self._keyring: Keyring | None = None
        self._read_at = 0.0
        self._reading: asyncio.Future[None] | None = None

    async def seal(self, tenant: str, purpose: str, content: bytes) -> str:
        """The token for `content`."""
        return (await self._keys(MAX_AGE)).seal(tenant, purpose, content)

    async def open(self, tenant: str, purpose: str, token: str) -> bytes:
        """The content of a token. Raises Unreadable."""
        keyring = await self._keys(MAX_AGE)
        if not keyring.knows(token):
            keyring = await self._keys(REREAD_AFTER)
        return keyring.open(tenant, purpose, token)

    async def _keys(self, max_age: float) -> Keyring:
        # Wall clock: a frozen function's monotonic clock may stand still.
        if self._keyring is None or time.time() - self._read_at > max_age:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self._read())
            # Shielded: who is cancelled must not cancel the reading that others wait for.
            await asyncio.shield(self._reading)
        if self._keyring is None:
            raise ApiError("server_error", "The key for sealed content cannot be read.")
        return self._keyring

    async def _read(self) -> None:
        try:
            self._keyring = await asyncio.to_thread(self._new_keyring)
        except Exception as error:  # whatever it is, its text could quote the key
            log.error("the key for sealed content cannot be read: %s", type(error).__name__)
        finally:
            self._read_at = time.time()
            self._reading = None

    def _new_keyring(self) -> Keyring:
        return Keyring(self._read_keys().split())


class Keyring:
    """The keys of a deployment; the first one seals, all of them open. Raises ValueError for keys that are too weak."""

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys or any(len(key) < SHORTEST_KEY for key in keys):
            raise ValueError(f"a key has {SHORTEST_KEY} characters or more")
        self._ciphers = {_derived(key, "id").hex()[:8]: AESGCM(_derived(key, "key")) for key in keys}
        self._first = next(iter(self._ciphers))

    def seal(self, tenant: str, purpose: str, content: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        context = _context(self._first, tenant, purpose)
        sealed = nonce + self._ciphers[self._first].encrypt(nonce, content, context)
        return f"{VERSION}.{self._first}.{base64.urlsafe_b64encode(sealed).decode()}"

    def knows(self, token: str) -> bool:
        """Whether the token names a key that is here, or none at all."""
        version, _, rest = token.partition(".")
        return version != VERSION or rest.partition(".")[0] in self._ciphers

    def open(self, tenant: str, purpose: str, token: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        version, _, rest = token.partition(".")
        key_id, _, data = rest.partition(".")
        cipher = self._ciphers.get(key_id)
        if version != VERSION or cipher is None:
            raise Unreadable
        try:
            sealed = base64.b64decode(data, altchars=b"-_", validate=True)
            context = _context(key_id, tenant, purpose)
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except (InvalidTag, binascii.Error, ValueError):
            raise Unreadable from None


def is_sealed(token: str) -> bool:
    """Whether this is a token of this or another deployment of the gateway."""
    return token.startswith(VERSION + ".")


def _derived(key: str, use: str) -> bytes:
    """32 bytes. The keys' text is random and long, so one pass is enough."""
    return hmac.digest(key.encode(), f"openresponses sealing {use}".encode(), "sha256")


def _context(key_id: str, tenant: str, purpose: str) -> bytes:
    return "\0".join((VERSION, key_id, tenant, purpose)).encode()


# --------------------------------------------------------------------------- where keys are kept


def memory_keys() -> KeyText:
    """A key of this process alone."""
    return partial(str, secrets.token_urlsafe(48))


def file_keys(path: Path) -> KeyText:
    """Keys in a file (0600), which is made with a new key if it is not there; several processes may do so at once."""

    def read() -> str:
        if not path.exists():
            _make_key_file(path)
        return path.read_text(encoding="ascii")

    return read


def _make_key_file(path: Path) -> None:
    """A link puts the file in its place whole, and never over another one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(
        os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def secret_keys(arn: str) -> KeyText:
    """Keys in a secret of AWS Secrets Manager, as plain text."""

    def read() -> str:
        from aws_lambda_powertools.utilities.parameters import SecretsProvider
        from botocore.config import Config

        limits = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 3})
        found = SecretsProvider(boto_config=limits).get(arn, force_fetch=True)
        return found if isinstance(found, str) else ""

    return read
