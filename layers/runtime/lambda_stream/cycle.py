"""One streamed HTTP exchange between an ASGI app and Lambda.

Nothing is sent before the app's first piece of body, as ASGI asks: until then a failure is still a clean error of the
invocation. From then on an event stream is told in band, and Lambda in the trailers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mangum.types import ASGI, LambdaHandler, Message

from lambda_stream.runtime_api import Failure, ResponseStream

PRELUDE_END = b"\0" * 8
# The front door frames the body itself.
HOP_BY_HOP = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive"}


class IncompleteResponse(Exception):
    """The app returned before its response was complete."""


class StreamingCycle:
    """`reader` is Mangum's reader of the event: it knows the request, and how the prelude is spelled.

    `run` raises the app's own exception if nothing was sent; a later one is told in the stream, and returned.
    """

    def __init__(self, reader: LambdaHandler, begin: Callable[[], Awaitable[ResponseStream]]) -> None:
        self._reader = reader
        self._begin = begin
        self._stream: ResponseStream | None = None
        self._start: Message | None = None
        self._requested = False
        self._complete = asyncio.Event()
        self._records = 0

    async def run(self, app: ASGI) -> Exception | None:
        # 2.4: a send() raises OSError when nobody reads any more, so the app need not watch receive() for it.
        scope = {**self._reader.scope, "asgi": {"version": "3.0", "spec_version": "2.4"}}
        try:
            await app(scope, self.receive, self.send)
            if not self._complete.is_set():
                raise IncompleteResponse
        except Exception as error:
            if self._stream is None:
                raise
            if not self._complete.is_set():
                await self._fail(self._stream, error)
            return error
        return None

    async def receive(self) -> Message:
        """The whole body, then nothing until the response is done: Lambda does not tell that a client has gone."""
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": self._reader.body, "more_body": False}
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" if self._start is None:
                self._start = message
            case "http.response.body" if self._start is not None and not self._complete.is_set():
                await self._body(message.get("body", b""), message.get("more_body", False))
            case kind:
                raise RuntimeError(f"unexpected ASGI message {kind}")

    async def _body(self, body: bytes, more: bool) -> None:
        if self._stream is None:
            if more and not body:
                return
            self._stream = await self._begin()
            await self._stream.write(self._prelude(), PRELUDE_END, body)
        else:
            await self._stream.write(body)
        self._records += body.count(b"\n\n")
        if not more:
            await self._stream.end()
            self._complete.set()

    def _prelude(self) -> bytes:
        assert self._start is not None
        headers = [[k, v] for k, v in self._start.get("headers", ()) if k.lower() not in HOP_BY_HOP]
        prelude = self._reader({"status": self._start["status"], "headers": headers, "body": b""})
        return json.dumps({k: v for k, v in prelude.items() if k not in ("body", "isBase64Encoded")}).encode()

    async def _fail(self, stream: ResponseStream, error: Exception) -> None:
        """The app itself has failed, so that its own in-band error is not to be hoped for."""
        try:
            async with asyncio.timeout(0.5):
                if self._is_event_stream():
                    await stream.write(sse_error(self._records))
                await stream.end(Failure.of(error))
        except (OSError, TimeoutError):
            stream.abort()

    def _is_event_stream(self) -> bool:
        headers = dict(self._start.get("headers", ())) if self._start else {}
        return bool(headers.get(b"content-type", b"").startswith(b"text/event-stream"))


def sse_error(sequence_number: int) -> bytes:
    """The error event, numbered after all that was sent (comments counted, so there may be a gap)."""
    error = {
        "type": "server_error",
        "code": "server_error",
        "message": "The server failed in mid-answer.",
        "param": None,
    }
    event: dict[str, Any] = {"type": "error", "sequence_number": sequence_number, "error": error}
    return b"event: error\ndata: %s\n\n" % json.dumps(event).encode()
