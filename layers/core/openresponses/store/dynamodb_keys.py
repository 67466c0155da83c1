"""API keys in the DynamoDB table: who a bearer key belongs to. Of a key only its SHA-256 is kept.

    K#<sha-256>   head      tenant, name, limits (JSON), issued_at, expires_at (optional), disabled (optional)
    T#<tenant>#K  <sha-256> the same key, to list a tenant's

functions/authorizer reads the same rows without importing this.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol.errors import ApiError
from .codec import FORMAT
from .dynamodb_table import make_client

TENANT = re.compile(r"[a-z0-9-]{1,64}")
PREFIX = "or-"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key, never the key itself. Times are Unix seconds; `id` is the SHA-256, in hex."""

    id: str
    tenant: str
    name: str
    issued_at: int
    expires_at: int | None
    disabled: bool


class DynamoDBKeys:
    """The keys in the table `table_name`. Methods without `async` block: they are for the command line."""

    def __init__(
        self,
        table_name: str,
        clock: Callable[[], float] = time.time,
        *,
        client: Callable[[], Any] = make_client,
    ) -> None:
        self._table = table_name
        self._clock = clock
        self._make_client = client
        self._made: Any = None

    async def tenant_of(self, authorization: str | None) -> str:
        """The tenant of an Authorization header. Raises ApiError "invalid_api_key"."""
        scheme, _, key = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError("invalid_api_key", "Send a key as 'Authorization: Bearer KEY'.")
        found = await asyncio.to_thread(self._find, digest_of(key.strip()))
        if found is None or found.disabled or (found.expires_at or self._clock() + 1) <= self._clock():
            raise ApiError("invalid_api_key", "This API key is not known, or no longer valid.")
        return found.tenant

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
            raise ValueError("a tenant's name is 1 to 64 of a-z, 0-9 and -")
        key = PREFIX + secrets.token_urlsafe(32)
        digest = digest_of(key)
        row: Row = {
            "v": {"N": str(FORMAT)},
            "tenant": {"S": tenant},
            "name": {"S": name},
            "limits": {"S": json.dumps(dict(limits or {}))},
            "issued_at": {"N": str(int(self._clock()))},
        }
        if expires_at is not None:
            row["expires_at"] = {"N": str(expires_at)}
        puts = [
            {"Put": {"TableName": self._table, "Item": {**place, **row}}} for place in _places(tenant, digest)
        ]
        self._client.transact_write_items(TransactItems=puts)
        return key

    def list(self, tenant: str) -> list[ApiKey]:
        """The tenant's keys, oldest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"T#{tenant}#K"}},
            ConsistentRead=True,
        )
        keys = [_key(row["sk"]["S"], row) for page in pages for row in page["Items"]]
        return sorted(keys, key=lambda key: key.issued_at)

    def revoke(self, tenant: str, key_id: str) -> bool:
        """Removes the key whose id begins with `key_id` (8 characters or more); False if none or several do."""
        matches = [key for key in self.list(tenant) if key.id.startswith(key_id)]
        if len(key_id) < 8 or len(matches) != 1:
            return False
        places = _places(tenant, matches[0].id)
        deletes = [{"Delete": {"TableName": self._table, "Key": place}} for place in places]
        self._client.transact_write_items(TransactItems=deletes)
        return True

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def _find(self, digest: str) -> ApiKey | None:
        place, _ = _places("", digest)
        row = self._client.get_item(TableName=self._table, Key=place, ConsistentRead=True).get("Item")
        if row is None or not hmac.compare_digest(row["pk"]["S"], place["pk"]["S"]):
            return None
        return _key(digest, row)


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _places(tenant: str, digest: str) -> tuple[Row, Row]:
    return (
        {"pk": {"S": f"K#{digest}"}, "sk": {"S": "head"}},
        {"pk": {"S": f"T#{tenant}#K"}, "sk": {"S": digest}},
    )


def _key(digest: str, row: Row) -> ApiKey:
    expires_at = int(row["expires_at"]["N"]) if "expires_at" in row else None
    disabled = row.get("disabled", {}).get("BOOL", False)
    issued_at = int(row["issued_at"]["N"])
    return ApiKey(digest, row["tenant"]["S"], row["name"]["S"], issued_at, expires_at, disabled)
