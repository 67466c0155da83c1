"""aiohttp below httpx. ImportError where it is not installed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import httpx
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
    """Says what is no HTTP as httpx's own transport does: httpx_aiohttp lets it pass as an error of aiohttp's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except (aiohttp.ClientError, HttpProcessingError) as error:
            raise httpx.RemoteProtocolError("The answer is no HTTP.") from error
        if isinstance(response.stream, AiohttpResponseStream):
            response.stream = Stream(response.stream._aiohttp_response)
        return response


def transport(*, behind_proxy: bool) -> httpx.AsyncBaseTransport:
    """A transport with one pool; its limits are the caller's."""

    def session() -> aiohttp.ClientSession:
        # No limit: a turn waits for its provider, never for another turn. No cookies: they would join tenants.
        connector = aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context(), keepalive_timeout=60)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=behind_proxy
        )

    return Transport(verify=False, client=session)  # the session's own connector verifies
