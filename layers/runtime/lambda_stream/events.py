"""Which front door an event came through, and what the app is told of it besides the request.

The events themselves are read by Mangum. The tenant comes from the authorizer of our REST API and from nowhere else;
headers never reach these keys of the scope.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from mangum import Mangum
from mangum.types import ASGI, LambdaHandler, Receive, Scope, Send

from lambda_stream.runtime_api import Invocation


class UnknownEvent(Exception):
    """The event holds no HTTP request that can be read."""


def reader_of(event: Any, context: Invocation) -> LambdaHandler:
    """Mangum's reader for the event. Raises UnknownEvent."""
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        raise UnknownEvent
    try:
        reader = _MANGUM.infer(event, context)
        reader.scope, reader.body  # noqa: B018 - an event may look like a request and yet lack a part of it
    except Exception as error:
        raise UnknownEvent from error
    return reader


def is_rest_api(event: dict[str, Any]) -> bool:
    """From API Gateway's REST API. An HTTP API's events carry a version; hand-made ones mostly no apiId."""
    return "resource" in event and "version" not in event and "apiId" in event["requestContext"]


def is_function_url(event: dict[str, Any]) -> bool:
    return event.get("version") == "2.0" and ".lambda-url." in event["requestContext"].get("domainName", "")


def can_stream(event: dict[str, Any]) -> bool:
    """Whether the front door takes a streamed answer. `sam local` does not, though its events are a REST API's."""
    return not os.environ.get("AWS_SAM_LOCAL") and (is_rest_api(event) or is_function_url(event))


def scope_of(invocation: Invocation, state: dict[str, Any]) -> dict[str, Any]:
    """What the runtime adds to the ASGI scope.

    openresponses.deadline   time.monotonic() at which Lambda ends the process
    openresponses.tenant     from the authorizer; None: the app must check the key itself
    openresponses.limits     the key's limits, from the authorizer
    openresponses.key_id     the key's id (never the key), from the authorizer; None without one
    """
    event = invocation.event
    authorizer = event["requestContext"].get("authorizer") if is_rest_api(event) else None
    authorizer = authorizer or {}
    return {
        "state": state.copy(),
        "openresponses.deadline": time.monotonic() + invocation.get_remaining_time_in_millis() / 1000,
        "openresponses.tenant": authorizer.get("tenant") or None,
        "openresponses.limits": json.loads(authorizer.get("limits") or "{}"),
        "openresponses.key_id": authorizer.get("key_id") or None,
    }


def answer_buffered(app: ASGI, invocation: Invocation) -> Any:
    """The whole answer, in the form of the event's front door, by Mangum, which runs the event loop itself.
    Raises the app's own exception."""
    failure: Exception | None = None

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal failure
        try:
            await app(scope, receive, send)
        except Exception as error:
            failure = error
            raise

    answer = Mangum(watched, lifespan="off")(invocation.event, invocation)
    if failure:
        raise failure
    return answer


def answer_unknown() -> dict[str, Any]:
    """The answer to an event without a request (a warm-up, a test event), in the form of a proxy response."""
    error = {
        "type": "invalid_request",
        "code": "invalid_value",
        "message": "This event is not an HTTP request of API Gateway or of a function URL.",
        "param": None,
    }
    headers = {"content-type": "application/json"}
    return {
        "statusCode": 400,
        "headers": headers,
        "body": json.dumps({"error": error}),
        "isBase64Encoded": False,
    }


async def _no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("only used to read events")


_MANGUM = Mangum(_no_app, lifespan="off")
