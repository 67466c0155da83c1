"""Gemini's errors as ours. Shape: google.rpc.Status under "error", alone or in an array.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting, google/rpc/error_details.proto.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...protocol.errors import ApiError
from ..base import Json, provider_error

# ErrorInfo.reason and status say more than HTTP's status; the first that is known counts.
REASONS = {
    "API_KEY_INVALID": "provider_authentication_failed",
    "API_KEY_SERVICE_BLOCKED": "provider_authentication_failed",
    "API_KEY_IP_ADDRESS_BLOCKED": "provider_authentication_failed",
    "API_KEY_HTTP_REFERRER_BLOCKED": "provider_authentication_failed",
    "SERVICE_DISABLED": "provider_authentication_failed",
    "CONSUMER_INVALID": "provider_authentication_failed",
    "BILLING_DISABLED": "insufficient_quota",
}
STATUSES = {
    "UNAUTHENTICATED": "provider_authentication_failed",
    "PERMISSION_DENIED": "provider_authentication_failed",
    "NOT_FOUND": "model_not_found",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "UNAVAILABLE": "server_is_overloaded",
    "DEADLINE_EXCEEDED": "provider_timeout",
    "INTERNAL": "provider_error",
    "CANCELLED": "provider_error",
    "ABORTED": "provider_error",
    "UNKNOWN": "provider_error",
    "DATA_LOSS": "provider_error",
}
# Told by words alone.
TOO_LONG = re.compile(
    r"input token count|exceeds the maximum number of tokens|context (window|length)", re.IGNORECASE
)
NO_QUOTA = re.compile(r"prepayment credits|credits are depleted|limit: 0\b", re.IGNORECASE)
RETRY_IN = re.compile(r"retry in ([\d.]+)s")
# Project numbers and names stand in links, consumers and resource names.
PROJECT = re.compile(r"(project(?:s/|_number:|=|\s+(?:number\s+)?))(?!not\b|has\b|is\b|to\b)[\w-]*\d[\w-]*")


def explain(status: int, body: bytes) -> ApiError:
    """The error reply. `status` is HTTP's."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return provider_error(status, "")
    return read_error(data, status)


def read_error(data: Any, status: int = 0) -> ApiError:
    """The error in a JSON value; without an HTTP status (in mid-stream), by its own code."""
    data = data[0] if isinstance(data, list) and data else data
    error = data.get("error") if isinstance(data, dict) else None
    error = error if isinstance(error, dict) else {}
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict)]
    message = str(error.get("message") or "")
    status = status or _own_status(error.get("code"))
    return provider_error(
        status,
        PROJECT.sub(r"\1[redacted]", message),
        code=_code(status, error, details, message),
        retry_after=_retry_after(details, message),
    )


def _own_status(code: object) -> int:
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def _code(status: int, error: Json, details: list[Json], message: str) -> str | None:
    reason = next((REASONS[detail["reason"]] for detail in details if detail.get("reason") in REASONS), None)
    if reason:
        return reason
    if status in (400, 413, 500) and TOO_LONG.search(message):
        return "context_length_exceeded"
    if status == 429 and NO_QUOTA.search(message):
        return "insufficient_quota"
    return STATUSES.get(str(error.get("status")))


def _retry_after(details: list[Json], message: str) -> float | None:
    """Seconds, from RetryInfo ("48s", "0.5s"), else from the message."""
    delay = next(
        (detail["retryDelay"] for detail in details if isinstance(detail.get("retryDelay"), str)), ""
    )
    found = re.fullmatch(r"([\d.]+)s", delay) or RETRY_IN.search(message)
    try:
        return float(found.group(1)) if found else None
    except ValueError:
        return None
