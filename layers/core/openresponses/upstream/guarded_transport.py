"""httpx2's transport within bounds: for users' URLs under the rules of `guard`, for all a limit of bytes.

Imported where MCP is used only: httpx2 is what the MCP SDK speaks HTTP with.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx2

from .guard import Lookup, Target, addresses, read_url

MAX_REDIRECTS = 3
MAX_BYTES = 10 << 20  # of one answer's body


class TooLarge(httpx2.TransportError):
    """The body has more than MAX_BYTES."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends requests; an answer's body is cut off, with TooLarge, at MAX_BYTES. `cut`: whether one was, for callers to
    whom that exception does not come."""

    def __init__(self) -> None:
        self.cut = False
        self._inner = httpx2.AsyncHTTPTransport(verify=_ssl_context())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"  # a limit of bytes means little where they unfold
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.DecodingError("The answer is compressed, which was not asked for.")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class GuardedTransport(BoundedTransport):
    """Sends requests to where `guard` lets them go: each host is looked up once, redirects are checked like the first.

    Raises Forbidden.
    """

    def __init__(
        self, *, private: bool, lookup: Lookup | None = None, found: dict[Target, str] | None = None
    ) -> None:
        """`found`: addresses of hosts that were checked before."""
        super().__init__()
        self._private = private
        self._lookup = lookup
        self._found = dict(found or {})

    async def check(self, url: str) -> str:
        """The address that requests to this URL go to. Raises Forbidden; OSError if its name is not known."""
        target = read_url(url, private=self._private)
        if target not in self._found:
            found = await addresses(target, private=self._private, lookup=self._lookup)
            self._found[target] = found[0]
        return self._found[target]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        address = await self.check(str(request.url))
        there = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # Host among them, as the URL has it
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        response = await super().handle_async_request(there)
        response.request = request
        return response


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, transport: BoundedTransport) -> None:
        self._stream = stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                self._transport.cut = True
                raise TooLarge(f"The answer has more than {MAX_BYTES} bytes.")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


@cache
def _ssl_context() -> ssl.SSLContext:
    """Made once a process: it reads all certificates of the system."""
    return httpx2.create_ssl_context()


def client(transport: BoundedTransport, *, trust_env: bool, **options: Any) -> httpx2.AsyncClient:
    """A client over the transport. `trust_env`: whether it goes by the proxies that the environment names."""
    return httpx2.AsyncClient(
        transport=transport, trust_env=trust_env, max_redirects=MAX_REDIRECTS, **options
    )
