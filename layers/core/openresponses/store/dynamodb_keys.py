"""API keys in the DynamoDB table.

    K#<sha-256>   head      tenant, name, limits (JSON), issued_at, expires_at (optional), disabled (optional)
    T#<tenant>#K  <sha-256> the same key, to list a tenant's

functions/authorizer reads the same rows without importing this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from .codec import FORMAT
from .dynamodb_table import make_client
from .keys import ApiKey, ApiKeys

Row = dict[str, Any]


class DynamoDBKeys(ApiKeys):
    """The keys in the table `table_name`."""

    def __init__(
        self,
        table_name: str,
        clock: Callable[[], float] = time.time,
        *,
        client: Callable[[], Any] = make_client,
    ) -> None:
        super().__init__(clock)
        self._table = table_name
        self._make_client = client
        self._made: Any = None

    def list(self, tenant: str) -> list[ApiKey]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"T#{tenant}#K"}},
            ConsistentRead=True,
        )
        keys = [_key(row["sk"]["S"], row) for page in pages for row in page["Items"]]
        return sorted(keys, key=lambda key: key.issued_at)

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def _find(self, digest: str) -> ApiKey | None:
        place, _ = _places("", digest)
        row = self._client.get_item(TableName=self._table, Key=place, ConsistentRead=True).get("Item")
        return row and _key(row["pk"]["S"].removeprefix("K#"), row)

    def _insert(self, key: ApiKey) -> None:
        row: Row = {
            "v": {"N": str(FORMAT)},
            "tenant": {"S": key.tenant},
            "name": {"S": key.name},
            "limits": {"S": json.dumps(dict(key.limits))},
            "issued_at": {"N": str(key.issued_at)},
        }
        if key.expires_at is not None:
            row["expires_at"] = {"N": str(key.expires_at)}
        places = _places(key.tenant, key.id)
        puts = [{"Put": {"TableName": self._table, "Item": {**place, **row}}} for place in places]
        self._client.transact_write_items(TransactItems=puts)

    def _remove(self, key: ApiKey) -> None:
        places = _places(key.tenant, key.id)
        deletes = [{"Delete": {"TableName": self._table, "Key": place}} for place in places]
        self._client.transact_write_items(TransactItems=deletes)


def _places(tenant: str, digest: str) -> tuple[Row, Row]:
    return (
        {"pk": {"S": f"K#{digest}"}, "sk": {"S": "head"}},
        {"pk": {"S": f"T#{tenant}#K"}, "sk": {"S": digest}},
    )


def _key(digest: str, row: Row) -> ApiKey:
    return ApiKey(
        digest,
        row["tenant"]["S"],
        row["name"]["S"],
        int(row["issued_at"]["N"]),
        int(row["expires_at"]["N"]) if "expires_at" in row else None,
        row.get("disabled", {}).get("BOOL", False),
        json.loads(row.get("limits", {}).get("S", "{}")),
    )
