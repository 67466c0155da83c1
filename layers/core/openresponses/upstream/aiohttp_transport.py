"""aiohttp below httpx. ImportError where it is not installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

# RuntimeError: a body is read on after its connection was closed for what came in it.
BROKEN = (aiohttp.ClientError, HttpProcessingError, RuntimeError)


class Stream(AiohttpResponseStream):
    """A body. All that can break it is a transport error of httpx's."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._aiohttp_response.content.iter_chunked(self.CHUNK_SIZE):
                yield chunk
        except BROKEN as error:
            raise httpx.ReadError("The answer broke.") from error


class Transport(AiohttpTransport):
    """Says what is no HTTP as httpx's own transport does: httpx_aiohttp lets it pass as an error of aiohttp's, and
    aiohttp forgets a body whose connection it closes for garbage in mid-body: who reads it would wait forever."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession]) -> None:
        super().__init__(verify=False, client=session)  # the session's own connector verifies
        self._bodies: dict[asyncio.Future[None], aiohttp.StreamReader] = {}  # by the end of their connection

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (aiohttp.ClientError, HttpProcessingError) as error:
            raise httpx.RemoteProtocolError("The answer is no HTTP.") from error
        if isinstance(response.stream, AiohttpResponseStream):
            received = response.stream._aiohttp_response
            self._watch(received)
            response.stream = Stream(received)
        return response

    def _watch(self, received: aiohttp.ClientResponse) -> None:
        """Has the body break with its connection."""
        connection = received.connection
        if connection is None or connection.protocol is None:
            return  # all of the body is there
        closed = connection.protocol.closed
        if closed is None:
            _break(received.content)
            return
        if closed not in self._bodies:  # the connection's first answer
            closed.add_done_callback(self._closed)
        self._bodies[closed] = received.content

    def _closed(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # it has been seen
        _break(self._bodies.pop(closed))


def _break(body: aiohttp.StreamReader) -> None:
    if not body.is_eof() and body.exception() is None:
        body.set_exception(aiohttp.ClientPayloadError("The connection was closed in mid-body."))


class Handler(ResponseHandler):
    """A connection. One on which something comes behind an answer, with its end or while the connection waits in the
    pool, is not used again: nobody has asked for it, and aiohttp would take it for the answer to the next request,
    maybe another tenant's."""

    _received = 0  # reads of the socket
    _released_after: int | None = None  # so many, into the pool

    def data_received(self, data: bytes) -> None:
        self._received += bool(data)  # aiohttp calls it without any, to go on with what it holds
        super().data_received(data)

    @property
    def should_close(self) -> bool:
        """Asked when the connection is given back."""
        self._released_after = self._received
        return super().should_close

    def close(self) -> None:
        """At once: a close would wait for the provider to read what it was sent and, over TLS, to say goodbye, and take
        its answer for so long. None of it is of use any more."""
        self.abort()

    def is_connected(self) -> bool:
        """Asked of what waits in the pool. The end of an answer gives the connection back in the midst of a read: what
        is behind it is parsed only then."""
        silent = self._released_after in (None, self._received) and not super().should_close
        return silent and super().is_connected()


def transport(*, behind_proxy: bool) -> httpx.AsyncBaseTransport:
    """A transport with one pool; its limits are the caller's."""

    def session() -> aiohttp.ClientSession:
        # No limit: a turn waits for its provider, never for another turn. No cookies: they would join tenants.
        connector = aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context(), keepalive_timeout=60)
        make: Any = partial(Handler, loop=asyncio.get_running_loop())
        connector._factory = make
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=behind_proxy
        )

    return Transport(session)
