"""API keys in the DynamoDB table.

    K#<sha-256>   head      tenant, name, owner, limits (JSON), issued_at, expires_at (optional), disabled (optional),
                            used_on (optional)
    T#<tenant>#K  <sha-256> that the tenant has the key, with the same values as when it was made

functions/authorizer reads the first rows, and writes their `used_on`, without importing this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .base import StoreUnavailable
from .codec import FORMAT
from .dynamodb_table import make_client
from .keys import ApiKey, ApiKeys

Row = dict[str, Any]

READ_AT_ONCE = 100  # DynamoDB's limit for a BatchGetItem
ATTEMPTS = 8  # at a batch that is throttled
NOTE_USE = "SET used_on = :day"
IF_LATER = "attribute_exists(pk) AND (attribute_not_exists(used_on) OR used_on < :day)"


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
        digests = [row["sk"]["S"] for page in pages for row in page["Items"]]
        return sorted(self._read(digests), key=lambda key: (key.issued_at, key.id))

    def _read(self, digests: Sequence[str]) -> Iterator[ApiKey]:
        """Those of the keys that are there: of an expired one the two rows do not vanish at the same time."""
        for start in range(0, len(digests), READ_AT_ONCE):
            heads = [_head(digest) for digest in digests[start : start + READ_AT_ONCE]]
            rest: Row = {self._table: {"Keys": heads, "ConsistentRead": True}}
            for attempt in range(ATTEMPTS):
                answer = self._client.batch_get_item(RequestItems=rest)
                yield from map(_key, answer["Responses"].get(self._table, ()))
                rest = answer.get("UnprocessedKeys") or {}
                if not rest:
                    break
                time.sleep(0.05 * 2**attempt)
            else:
                raise StoreUnavailable("the table is throttled")

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made

    def _find(self, digest: str) -> ApiKey | None:
        row = self._client.get_item(TableName=self._table, Key=_head(digest), ConsistentRead=True).get("Item")
        return row and _key(row)

    def _insert(self, key: ApiKey) -> None:
        self._client.transact_write_items(TransactItems=self._puts(key))

    def _puts(self, key: ApiKey) -> Sequence[Row]:
        row: Row = {
            "v": {"N": str(FORMAT)},
            "tenant": {"S": key.tenant},
            "name": {"S": key.name},
            "limits": {"S": json.dumps(dict(key.limits))},
            "issued_at": {"N": str(key.issued_at)},
        }
        if key.owner:
            row["owner"] = {"S": key.owner}
        if key.expires_at is not None:
            row["expires_at"] = {"N": str(key.expires_at)}
        if key.disabled:
            row["disabled"] = {"BOOL": True}
        free = {"ConditionExpression": "attribute_not_exists(pk)"}
        return [
            {"Put": {"TableName": self._table, "Item": {**place, **row}, **free}}
            for place in (_head(key.id), _listed(key.tenant, key.id))
        ]

    def _replace(self, ending: ApiKey, new: ApiKey) -> None:
        change = {
            "UpdateExpression": "SET expires_at = :end",
            "ExpressionAttributeValues": {":end": {"N": str(ending.expires_at)}},
            "ConditionExpression": "attribute_exists(pk)",
        }
        ends = [
            {"Update": {"TableName": self._table, "Key": place, **change}}
            for place in (_head(ending.id), _listed(ending.tenant, ending.id))
        ]
        self._client.transact_write_items(TransactItems=[*self._puts(new), *ends])

    def _remove(self, key: ApiKey) -> None:
        places = (_head(key.id), _listed(key.tenant, key.id))
        deletes = [{"Delete": {"TableName": self._table, "Key": place}} for place in places]
        self._client.transact_write_items(TransactItems=deletes)

    def _write_use(self, key_id: str, day: str) -> None:
        from botocore.exceptions import ClientError

        try:
            self._client.update_item(
                TableName=self._table,
                Key=_head(key_id),
                UpdateExpression=NOTE_USE,
                ConditionExpression=IF_LATER,
                ExpressionAttributeValues={":day": {"S": day}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":  # somebody was quicker
                raise


def _head(digest: str) -> Row:
    return {"pk": {"S": f"K#{digest}"}, "sk": {"S": "head"}}


def _listed(tenant: str, digest: str) -> Row:
    return {"pk": {"S": f"T#{tenant}#K"}, "sk": {"S": digest}}


def _key(row: Row) -> ApiKey:
    return ApiKey(
        row["pk"]["S"].removeprefix("K#"),
        row["tenant"]["S"],
        row["name"]["S"],
        int(row["issued_at"]["N"]),
        int(row["expires_at"]["N"]) if "expires_at" in row else None,
        row.get("disabled", {}).get("BOOL", False),
        json.loads(row.get("limits", {}).get("S", "{}")),
        row.get("owner", {}).get("S", ""),
        row.get("used_on", {}).get("S"),
    )
