"""Every error a client can see: one table, one exception.

    ApiError                 what is raised anywhere below the front door
      code                   a row of ERRORS: decides status, type and whether a retry can help
      param                  the request's path that is wrong, as `input[2].content[0].image_url`
      retry_after            seconds, sent as `Retry-After`

Types are those of the specification's error table, codes are OpenAI's where OpenAI has one, because clients
branch on the codes.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class ErrorKind(NamedTuple):
    """HTTP status, the error object's `type`, and whether the same request may succeed later."""

    status: int
    type: str
    retryable: bool = False


LONGEST_WAIT = 86_400  # seconds that `Retry-After` may say, whatever the provider said

INVALID = ErrorKind(400, "invalid_request")
NOT_FOUND = ErrorKind(404, "not_found")

ERRORS: dict[str, ErrorKind] = {
    "invalid_value": INVALID,
    "invalid_type": INVALID,
    "invalid_json": INVALID,
    "missing_required_parameter": INVALID,
    "unsupported_parameter": INVALID,
    "unsupported_value": INVALID,
    "context_length_exceeded": INVALID,
    "invalid_prompt": INVALID,
    "message_too_large": INVALID,
    "websocket_connection_limit_reached": INVALID,
    "invalid_api_key": ErrorKind(401, "authentication"),
    "permission_denied": ErrorKind(403, "permission"),
    "not_found": NOT_FOUND,
    "model_not_found": NOT_FOUND,
    "response_not_found": NOT_FOUND,
    "item_not_found": NOT_FOUND,
    "previous_response_not_found": NOT_FOUND,
    "conversation_not_found": NOT_FOUND,
    "method_not_allowed": ErrorKind(405, "invalid_request"),
    "request_timeout": ErrorKind(408, "invalid_request", retryable=True),
    "conflict": ErrorKind(409, "invalid_request"),
    "request_too_large": ErrorKind(413, "invalid_request"),
    "rate_limit_exceeded": ErrorKind(429, "too_many_requests", retryable=True),
    "insufficient_quota": ErrorKind(429, "too_many_requests"),
    "server_error": ErrorKind(500, "server_error"),
    "model_error": ErrorKind(500, "model_error"),
    "provider_not_configured": ErrorKind(500, "server_error"),
    "provider_authentication_failed": ErrorKind(502, "server_error"),
    "provider_unavailable": ErrorKind(502, "server_error", retryable=True),
    "provider_error": ErrorKind(502, "model_error", retryable=True),
    "provider_invalid_response": ErrorKind(502, "model_error"),
    "server_is_overloaded": ErrorKind(503, "server_error", retryable=True),
    "time_limit": ErrorKind(504, "server_error", retryable=True),
    "provider_timeout": ErrorKind(504, "server_error", retryable=True),
}


PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")


def quoted(text: str) -> str:
    """How a message repeats what a client sent: a name as it is, anything else, which may be content, by its length."""
    return f"'{text}'" if PLAIN.fullmatch(text) else f"of {len(text)} characters"


class ApiError(Exception):
    """A request that cannot be served, or a turn that failed, in the terms of ERRORS.

    `retryable`: whether trying the provider again may help; None: as the code's row in ERRORS says.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = ERRORS[code]
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.retryable = self.kind.retryable if retryable is None else retryable

    @property
    def status(self) -> int:
        return self.kind.status

    def wait_seconds(self) -> int | None:
        """What `Retry-After` says: a 429 or 503 always says when to come back."""
        if self.status not in (429, 503) and self.retry_after is None:
            return None
        return max(1, round(min(self.retry_after or 1, LONGEST_WAIT)))

    def body(self) -> dict[str, Any]:
        """The error object, as in an HTTP error body and in the stream's `error` event."""
        return {"type": self.kind.type, "code": self.code, "message": self.message, "param": self.param}

    def in_response(self) -> dict[str, Any]:
        """The `error` of a failed response, which has no `param`."""
        return {"code": self.code, "message": self.message, "type": self.kind.type}
