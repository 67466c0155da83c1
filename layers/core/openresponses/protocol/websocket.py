"""What passes over a WebSocket besides the streaming events: the client's messages, and the error envelope.

Source: the specification, "WebSocket Transport"; OpenAI's client events for what clients send beyond it.
"""

from __future__ import annotations

from typing import Any

from .errors import INVALID, ApiError, quoted
from .request import parse_request

Json = dict[str, Any]

CREATE = "response.create"
MAX_WAITING = 16  # messages of a connection that may wait for their turn
KEY_SECONDS = 300.0  # after which a connection's key is looked at again, before the next turn
ACKNOWLEDGEMENTS = frozenset({"response.processed"})  # of Codex; they ask for nothing
# Fields of HTTP → the one value that says what happens here anyway (Codex sends `stream: true`), if there is one.
HTTP_FIELDS: dict[str, Any] = {"stream": True, "background": False, "stream_options": None}


def parse_create(message: Json) -> Json:
    """The checked request in a `response.create` message; its body stands beside `type`. Raises ApiError."""
    kind = message.get("type")
    if kind != CREATE:
        code = "missing_required_parameter" if kind is None else "invalid_value"
        raise ApiError(
            code,
            f"'type' must be '{CREATE}', not {quoted(kind) if isinstance(kind, str) else 'that'}.",
            param="type",
        )
    for field, harmless in HTTP_FIELDS.items():
        if message.get(field) not in (None, harmless):
            raise ApiError("unsupported_parameter", f"'{field}' has no place on a WebSocket.", param=field)
    if message.get("stream_id") is not None:
        raise ApiError(
            "unsupported_parameter",
            "One response at a time runs on a connection: open another one instead of a 'stream_id'.",
            param="stream_id",
        )
    return parse_request({key: value for key, value in message.items() if key not in HTTP_FIELDS})


def too_many_waiting() -> ApiError:
    """The end of a connection whose client sends on and on."""
    message = f"At most {MAX_WAITING} messages may wait for their turn."
    return ApiError("rate_limit_exceeded", message, retry_after=1)


def envelope(error: ApiError) -> Json:
    """A failure outside of a response. `headers` holds what an HTTP reply would say in its own."""
    status, body = error.status, error.body()
    if error.code == "previous_response_not_found":  # the specification gives it 400 here
        status, body = INVALID.status, body | {"type": INVALID.type}
    message: Json = {"type": "error", "status": status, "error": body}
    if (seconds := error.wait_seconds()) is not None:
        message["headers"] = {"retry-after": str(seconds)}
    return message
