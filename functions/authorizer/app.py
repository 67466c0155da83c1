"""Bearer key → tenant, for API Gateway's REST API. Starts fast: nothing of the gateway is imported here.

The key's SHA-256 names a row of the table. A known key gets a policy for the whole stage, because API Gateway keeps
it for 300 s and would deny the next route with a narrower one; an unknown, expired or disabled key is "Unauthorized",
which API Gateway answers with 401.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import time
from typing import Any

import boto3
from botocore.config import Config

TABLE = os.environ["TABLE_NAME"]
TENANT = re.compile(r"[a-z0-9-]{1,64}")
ID_LENGTH = 12  # as in openresponses.store.keys
LIMITS = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 3})
CLIENT = boto3.client("dynamodb", config=LIMITS)


class Unauthorized(Exception):
    """API Gateway answers 401 when the message is this word."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


def app(event: dict[str, Any], context: object) -> dict[str, Any]:
    """A REQUEST authorizer's event → the policy and the context {"tenant", "key_id", "limits" (JSON)}. Raises
    Unauthorized."""
    digest = hashlib.sha256(bearer_key(event.get("headers") or {}).encode()).hexdigest()
    try:
        row = read_row(f"K#{digest}")
    except Exception as error:
        # The word that infra/monitoring.yaml counts; API Gateway answers 500.
        print(json.dumps({"level": "ERROR", "message": "authorizer failed", "error": type(error).__name__}))
        raise
    if not row or not is_valid(row, f"K#{digest}", time.time()):
        raise Unauthorized
    return allow(
        event["methodArn"], row["tenant"]["S"], digest[:ID_LENGTH], row.get("limits", {}).get("S", "{}")
    )


def bearer_key(headers: dict[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == "authorization":
            scheme, _, key = value.strip().partition(" ")
            if scheme.lower() == "bearer" and key.strip():
                return key.strip()
    raise Unauthorized


def read_row(pk: str) -> dict[str, Any] | None:
    key = {"pk": {"S": pk}, "sk": {"S": "head"}}
    return CLIENT.get_item(TableName=TABLE, Key=key, ConsistentRead=True).get("Item")


def is_valid(row: dict[str, Any], pk: str, now: float) -> bool:
    """DynamoDB deletes expired rows late, so the time is checked here."""
    alive = "expires_at" not in row or float(row["expires_at"]["N"]) > now
    same = hmac.compare_digest(row["pk"]["S"], pk)
    enabled = not row.get("disabled", {}).get("BOOL", False)
    return same and alive and enabled and bool(TENANT.fullmatch(row["tenant"]["S"]))


def allow(method_arn: str, tenant: str, key_id: str, limits: str) -> dict[str, Any]:
    api, stage = method_arn.split("/")[:2]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": tenant,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"tenant": tenant, "key_id": key_id, "limits": limits},
    }
