"""How a turn lies at rest, in either store: its format version, its bytes, and which names may enter a key.

A turn's body is one JSON document, `{"response": {}, "input": [], "model": ""}` (and `"lifetime"`, where it is not the
store's own), or a zlib stream of it; the first byte (`{` or 0x78) tells which. What was written as format 1 is read for
ever: a new layout takes a new number and a new row in READERS.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable

import orjson

from ..tenants import TENANT
from .base import Json, StoredResponse, StoreUnavailable

FORMAT = 1
COMPRESSION_LEVEL = 1  # levels above it save some percent and cost a multiple of the time
ID = re.compile(r"[A-Za-z0-9_-]{1,96}")


def nameable(tenant: str, response_id: str) -> bool:
    """Whether both may stand in a key. What may not was never stored, so to a reader it is simply not there."""
    return bool(TENANT.fullmatch(tenant) and ID.fullmatch(response_id))


def require_nameable(tenant: str, record: StoredResponse) -> None:
    """Raises ValueError: to write under, or after, a bad name is a mistake of the caller, never of a client."""
    parent = record.previous_response_id
    if not nameable(tenant, record.id) or (parent is not None and not ID.fullmatch(parent)):
        raise ValueError("a tenant or response id outside its grammar")


def pack(record: StoredResponse, *, compress_from: int) -> bytes:
    """The body of `record`, compressed if it has `compress_from` bytes or more. Raises StoreUnavailable."""
    document: Json = {"response": record.response, "input": record.input, "model": record.model}
    if record.lifetime is not None:
        document["lifetime"] = record.lifetime
    try:
        body = orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        raise StoreUnavailable("the turn has no JSON form") from error
    return body if len(body) < compress_from else zlib.compress(body, COMPRESSION_LEVEL)


def unpack(version: int, body: bytes, *, id: str, created_at: int, expires_at: int) -> StoredResponse:
    """The record of a stored body. Raises StoreUnavailable if it is damaged or of a later release's format."""
    reader = READERS.get(version)
    if reader is None:
        raise StoreUnavailable(f"a row of format {version}, which this release cannot read")
    try:
        document = reader(body)
    except (zlib.error, orjson.JSONDecodeError):
        raise StoreUnavailable("a row that cannot be read: damaged, or just being replaced") from None
    return StoredResponse(
        id=id,
        response=document["response"],
        input=document["input"],
        model=document["model"],
        created_at=created_at,
        expires_at=expires_at,
        lifetime=document.get("lifetime"),
    )


def _read_1(body: bytes) -> Json:
    document: Json = orjson.loads(body if body.startswith(b"{") else zlib.decompress(body))
    return document


READERS: dict[int, Callable[[bytes], Json]] = {1: _read_1}


def renewals_of(records: Iterable[StoredResponse], now: float, ttl: int) -> dict[str, int]:
    """The new `expires_at` of those that have less than half of their life before them; `ttl` is the store's."""
    lives = ((record, record.lifetime or ttl) for record in records)
    return {
        record.id: int(now) + lifetime for record, lifetime in lives if record.expires_at - now < lifetime / 2
    }


def pack_ids(ids: Iterable[str]) -> bytes:
    """Response ids as a row keeps them: a compressed list, a line each."""
    return zlib.compress("\n".join(ids).encode())


def unpack_ids(data: bytes) -> tuple[str, ...]:
    return tuple(zlib.decompress(data).decode().split()) if data else ()
