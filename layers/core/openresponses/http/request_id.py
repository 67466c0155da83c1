"""`x-request-id` on every reply: generated here, never taken from the client. Its `traceparent` is continued."""

from __future__ import annotations

import os

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..telemetry import REQUEST_ID, TRACEPARENT

# The reply to an HTTP request, to an upgrade that is accepted, and to one that is not.
STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class RequestIds:
    """ASGI middleware that names each request; `scope["openresponses.request_id"]` holds the name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = f"req_{os.urandom(16).hex()}"
        scope["openresponses.request_id"] = request_id
        REQUEST_ID.set(request_id)
        TRACEPARENT.set(
            next(
                (value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None
            )
        )
        header = (b"x-request-id", request_id.encode())

        async def send_named(message: Message) -> None:
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_named)
