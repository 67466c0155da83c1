"""Bearer → tenant, for API Gateway's APIs. Starts fast: nothing of the gateway is imported for an API key.

An API key's SHA-256 names a row of the table; a bearer that has the form of a JWT is a token of the identity provider,
if there is one. Who is known gets a policy for the whole stage, because API Gateway keeps it for 300 s and would deny
the next route with a narrower one; an unknown, expired or disabled key is "Unauthorized", which API Gateway answers
with 401.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from openresponses.oidc import TokenVerifier

Json = dict[str, Any]

TABLE = os.environ["TABLE_NAME"]
ISSUER = os.environ.get("OPENRESPONSES_OIDC_ISSUER", "")
TENANT = re.compile(r"[a-z0-9-]{1,64}")
ID_LENGTH = 12  # as in openresponses.store.keys
LIMITS = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 3})
NOTE_SECONDS = 0.05  # that a key's first request of a day waits for its use to be written
CLIENT = boto3.client("dynamodb", config=LIMITS)

noted: dict[str, str] = {}  # key id → the day that this process has seen it on


class Unauthorized(Exception):
    """API Gateway answers 401 when the message is this word."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


def app(event: Json, context: object) -> Json:
    """A REQUEST authorizer's event → the policy and the context {"tenant", "key_id", "limits" (JSON)}. Raises
    Unauthorized."""
    bearer = bearer_of(event.get("headers") or {})
    try:
        # As openresponses.oidc tells a token.
        is_token = ISSUER and bearer.startswith("eyJ") and bearer.count(".") == 2
        known = by_token(bearer) if is_token else by_key(bearer)
    except Unauthorized:
        raise
    except Exception as error:
        # The word that infra/monitoring.yaml counts; API Gateway answers 500.
        tell("ERROR", "authorizer failed", error=type(error).__name__)
        raise
    return allow(event["methodArn"], known)


def bearer_of(headers: dict[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == "authorization":
            scheme, _, bearer = value.strip().partition(" ")
            if scheme.lower() == "bearer" and bearer.strip():
                return bearer.strip()
    raise Unauthorized


def tell(level: str, message: str, **more: str) -> None:
    print(json.dumps({"level": level, "message": message, **more}))


# --------------------------------------------------------------------------- API keys


def by_key(key: str) -> Json:
    """The context of an API key. Raises Unauthorized."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    row = CLIENT.get_item(TableName=TABLE, Key=head(digest), ConsistentRead=True).get("Item")
    now = time.time()
    if not row or not is_valid(row, f"K#{digest}", now):
        raise Unauthorized
    note_use(row, digest, now)
    limits = row.get("limits", {}).get("S", "{}")
    return {"tenant": row["tenant"]["S"], "key_id": digest[:ID_LENGTH], "limits": limits}


def head(digest: str) -> Json:
    return {"pk": {"S": f"K#{digest}"}, "sk": {"S": "head"}}


def is_valid(row: Json, pk: str, now: float) -> bool:
    """DynamoDB deletes expired rows late, so the time is checked here."""
    alive = "expires_at" not in row or float(row["expires_at"]["N"]) > now
    same = hmac.compare_digest(row["pk"]["S"], pk)
    enabled = not row.get("disabled", {}).get("BOOL", False)
    return same and alive and enabled and bool(TENANT.fullmatch(row["tenant"]["S"]))


def note_use(row: Json, digest: str, now: float) -> None:
    """Writes the day of the key's last use, once a day: the request waits for it a moment at most, and never fails."""
    today = time.strftime("%Y-%m-%d", time.gmtime(now))
    if row.get("used_on", {}).get("S") == today or noted.get(digest) == today:
        return
    noted[digest] = today
    writer = threading.Thread(target=write_use, args=(digest, today), daemon=True)
    writer.start()
    writer.join(NOTE_SECONDS)


def write_use(digest: str, day: str) -> None:
    # As openresponses.store.dynamodb_keys writes it; the role may touch no other attribute.
    condition = "attribute_exists(pk) AND (attribute_not_exists(used_on) OR used_on < :day)"
    try:
        CLIENT.update_item(
            TableName=TABLE,
            Key=head(digest),
            UpdateExpression="SET used_on = :day",
            ConditionExpression=condition,
            ExpressionAttributeValues={":day": {"S": day}},
        )
    except CLIENT.exceptions.ConditionalCheckFailedException:
        pass  # another process was quicker
    except Exception as error:
        tell("WARNING", "a key's use is not written", error=type(error).__name__)


# --------------------------------------------------------------------------- tokens


def by_token(token: str) -> Json:
    """The context of an identity provider's token. Raises Unauthorized, IssuerUnavailable."""
    from openresponses.oidc import InvalidToken

    try:
        identity = verifier().identity(token)
    except InvalidToken as error:
        tell("INFO", "token refused", reason=str(error))
        raise Unauthorized from None
    return {"tenant": identity.tenant, "key_id": identity.key_id, "limits": "{}"}


@cache
def verifier() -> TokenVerifier:
    from openresponses.oidc import TokenVerifier

    environ = os.environ
    return TokenVerifier(
        ISSUER, environ["OPENRESPONSES_OIDC_AUDIENCE"], environ["OPENRESPONSES_OIDC_TENANT_CLAIM"]
    )


# --------------------------------------------------------------------------- the answer


def allow(method_arn: str, known: Json) -> Json:
    api, stage = method_arn.split("/")[:2]
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": known["tenant"],
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": known,
    }
