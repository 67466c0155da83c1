"""Anthropic's error objects, as ours.

`{"type": "error", "error": {"type", "message"}, "request_id"}` is the body of every error reply and the data of the
stream's `error` event. Its `type` decides the code; two causes that clients must tell apart share the type
`invalid_request_error` and are known only by their message.
Source: Anthropic's pages "Errors" and "Context windows".
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...protocol.errors import ApiError
from ..base import provider_error

CODES = {
    "authentication_error": "provider_authentication_failed",
    "permission_error": "provider_authentication_failed",
    "billing_error": "insufficient_quota",
    "rate_limit_error": "rate_limit_exceeded",
    "request_too_large": "request_too_large",
    "timeout_error": "provider_timeout",
    "api_error": "provider_error",
    "overloaded_error": "server_is_overloaded",
}
STREAM_STATUS = 500  # an error within HTTP 200 whose type is not in the table

CONTEXT_TOO_LONG = re.compile(
    r"prompt is too long|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context|context (?:limit|window|length)",
    re.IGNORECASE,
)
OUT_OF_CREDIT = re.compile(
    r"credit balance|usage limits|spend(?:ing)? limit|out of credits|billing", re.IGNORECASE
)
FILTERED = re.compile(r"content filtering policy", re.IGNORECASE)
ACCOUNT = re.compile(r"\s*\(?\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b\)?", re.IGNORECASE)


def explain(status: int, body: bytes) -> ApiError:
    """An HTTP error reply: JSON by the table above, anything else by its status."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return provider_error(status, "")
    return from_object(found, status)


def from_object(found: Any, status: int = STREAM_STATUS) -> ApiError:
    """An error object, of a reply with this status or of a stream."""
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return provider_error(status, str(error) if isinstance(error, str) else "")
    kind, message = str(error.get("type")), ACCOUNT.sub("", str(error.get("message") or ""))
    return provider_error(status, message, code=_code(kind, status, message))


def _code(kind: str, status: int, message: str) -> str | None:
    if kind in ("invalid_request_error", "rate_limit_error") and OUT_OF_CREDIT.search(message):
        return "insufficient_quota"
    if kind == "invalid_request_error":
        if status == 413:
            return "request_too_large"
        if FILTERED.search(message):
            return "invalid_prompt"
        return "context_length_exceeded" if CONTEXT_TOO_LONG.search(message) else "invalid_value"
    if kind == "not_found_error":
        return "model_not_found" if message.startswith("model") else "invalid_value"
    return CODES.get(kind)
