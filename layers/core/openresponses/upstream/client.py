"""HTTP to providers: one pool a process, one POST a sample, the answer as raw chunks.

httpx is the interface; where aiohttp is installed (the local server) it carries the bytes, because httpx's own
transport costs several times more CPU a chunk. On Lambda httpx's own is used, because importing aiohttp costs start-up.
Time limits are the caller's; only connecting is limited here.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import httpx
import orjson

from ..adapters.base import UpstreamRequest
from ..protocol.errors import ApiError
from .endpoint import Endpoint

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
ERROR_BODY_SECONDS = 5.0
# Where a provider tells its own id of a request: OpenAI and most others, Anthropic, AWS, Azure, Google, Cloudflare's.
REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "x-goog-request-id",
    "cf-ray",
)
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,200}", re.ASCII)
# A compressed answer may unfold to so many times what came, and so many bytes more: else a few KB keep a process busy.
UNFOLDS, UNFOLDED = 100, 1 << 20
BROKEN = (TimeoutError, httpx.TransportError, httpx.DecodingError)
STATIC_HEADERS = {
    "content-type": "application/json",
    "accept-encoding": "identity",  # a compressed event stream arrives late
    "user-agent": "openresponses",
}


class Answer:
    """A provider's reply, its body not read yet. `aclose` gives the connection back, or drops it if unread."""

    __slots__ = ("_closed", "_response", "content_type", "status")

    def __init__(self, response: httpx.Response, closed: Callable[[], None]) -> None:
        self._response = response
        self._closed: Callable[[], None] | None = closed
        self.status = response.status_code
        self.content_type: str = response.headers.get("content-type", "")

    @property
    def headers(self) -> httpx.Headers:
        return self._response.headers

    @property
    def request_id(self) -> str | None:
        """The provider's own id of the request, if it told one that can stand in a log."""
        found = next((self.headers[name] for name in REQUEST_ID_HEADERS if name in self.headers), "")
        return found if REQUEST_ID.fullmatch(found) else None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, decoded if the provider compressed it all the same. Raises httpx.TransportError,
        httpx.DecodingError."""
        if self._response.headers.get("content-encoding", "identity") == "identity":
            return aiter(self._response.stream)  # type: ignore[arg-type]
        return self._decoded()

    async def _decoded(self) -> AsyncIterator[bytes]:
        unfolded = 0
        async for chunk in self._response.aiter_bytes():
            unfolded += len(chunk)
            if unfolded > UNFOLDED + UNFOLDS * self._response.num_bytes_downloaded:
                raise httpx.DecodingError("The answer unfolds without end.")
            yield chunk

    async def read(self, limit: int = 1 << 20) -> bytes:
        """At most about `limit` bytes of the body. Of an error's body what comes in time: the status has said the most.
        Raises httpx.TransportError, httpx.DecodingError if the answer is no error."""
        body = b""
        failed = self.status >= 300
        with suppress(*(BROKEN if failed else ())):
            async with asyncio.timeout(ERROR_BODY_SECONDS if failed else None):
                async for chunk in self.chunks():
                    body += chunk
                    if len(body) > limit:
                        break
        return body

    async def aclose(self) -> None:
        await self._response.aclose()
        if self._closed:
            self._closed()
            self._closed = None


class Upstream:
    """The pool of connections to all providers. Made in the event loop, closed with it."""

    def __init__(self, connect_timeout: float) -> None:
        self._timeout = {"connect": connect_timeout, "read": None, "write": None, "pool": None}
        self._send, self._close = _sender()
        self._waiting: Counter[str] = Counter()  # by base URL: how many sockets may be waiting in the pool

    async def post(self, endpoint: Endpoint, request: UpstreamRequest) -> Answer:
        """Sends the request; returns when the provider's headers are there.

        A socket that went stale in the pool (a frozen function, a provider that closed it) is replaced, silently, once.
        Raises httpx.TransportError.
        """
        message = self._message(endpoint, request)
        if endpoint.signer:
            await endpoint.signer.sign(message)
        base_url = endpoint.base_url
        replaced = False
        while True:
            pooled = self._waiting[base_url] > 0
            self._waiting[base_url] -= pooled
            try:
                response = await self._send(message)
            except httpx.TransportError as error:
                if replaced or not (pooled and _was_open(error)):
                    raise
                replaced = True
            else:
                return Answer(response, lambda: self._waiting.update((base_url,)))

    async def aclose(self) -> None:
        await self._close()

    def _message(self, endpoint: Endpoint, request: UpstreamRequest) -> httpx.Request:
        return httpx.Request(
            "POST",
            _url(endpoint.base_url + request.path),
            headers={**STATIC_HEADERS, **endpoint.headers, **request.headers},
            content=_encode(request.body),
            extensions={"timeout": self._timeout},
        )


def _was_open(error: httpx.TransportError) -> bool:
    """Whether the connection stood before it failed; httpx-aiohttp calls a disconnect a ConnectTimeout."""
    broken = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)
    return isinstance(error, broken) or type(error.__cause__).__name__ in (
        "ServerDisconnectedError",
        "ClientOSError",
    )


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise ApiError("invalid_value", f"The request cannot be sent to the provider: {error}.") from None


def _sender() -> tuple[Callable[[httpx.Request], Awaitable[httpx.Response]], Callable[[], Awaitable[None]]]:
    """What sends a request, up to the answer's headers, and what closes it.

    aiohttp's transport, if it is there, by itself: an httpx client around it would look for redirects, cookies and
    authentication in every answer, which costs a sixth of all that a short turn does. Else httpx's own client, which
    knows the proxies of the environment.
    """
    try:
        from .aiohttp_transport import transport
    except ImportError:
        from .httpx_transport import Sender

        sender = Sender()
        return sender.send, sender.aclose
    proxied = any(os.environ.get(name) or os.environ.get(name.lower()) for name in PROXY_VARIABLES)
    pool = transport(behind_proxy=proxied)
    return pool.handle_async_request, pool.aclose


@lru_cache(256)
def _url(url: str) -> httpx.URL:
    """Parsed once for each provider and model, not for every request."""
    return httpx.URL(url)
