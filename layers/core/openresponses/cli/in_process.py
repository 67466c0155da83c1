"""A gateway within this process, asked as if over HTTP: an httpx transport that runs an ASGI app, streams included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import httpx
from starlette.types import ASGIApp, Message


class InProcess(httpx.AsyncBaseTransport):
    """Runs the app's lifespan while it is entered, and a task for each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._lives: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        said: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self._told.put_nowait({"type": "lifespan.startup"})
        self._lives = asyncio.ensure_future(self._run(scope, self._told.get, said.put))
        await said.get()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._told.put_nowait({"type": "lifespan.shutdown"})
        if self._lives:
            await self._lives

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = Exchange(await request.aread())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port or 80),
            "client": ("127.0.0.1", 0),
        }
        exchange.runs = asyncio.ensure_future(self._run(scope, exchange.receive, exchange.send))
        exchange.runs.add_done_callback(lambda _: exchange.said.put_nowait({"type": "end"}))
        start = await exchange.said.get()
        if start["type"] == "end":
            await exchange.aclose()
            raise httpx.RemoteProtocolError("the app gave no response")
        return httpx.Response(start["status"], headers=start["headers"], stream=exchange)


class Exchange(httpx.AsyncByteStream):
    """One request and its answer; to close it early is to hang up."""

    def __init__(self, body: bytes) -> None:
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.runs: asyncio.Task[None] | None = None
        self._body: bytes | None = body
        self._gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self._gone.is_set():
            await self.said.put(message)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self.said.get()
            if message["type"] == "end":
                raise httpx.RemoteProtocolError("the app broke off its response")
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def aclose(self) -> None:
        self._gone.set()
        if self.runs:
            await asyncio.wait((self.runs,))
            if not self.runs.cancelled():
                self.runs.exception()  # has been told as the end of the response
