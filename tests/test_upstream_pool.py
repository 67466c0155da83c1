"""Answers that nobody has asked for: a provider that sends two, at once or late, has the second one thrown away. Taken
for the answer to the next request, it would be another turn's, and another tenant's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from openresponses.adapters.base import UpstreamRequest
from openresponses.upstream.client import Upstream
from openresponses.upstream.endpoint import Endpoint

PAUSE = 0.05  # seconds
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"


def whole(text: bytes) -> bytes:
    return HEAD % (len(text), text)


UNASKED = {
    "an answer": whole(b"unasked"),
    "two answers": whole(b"unasked") * 2,
    "half a head": b"HTTP/1.1 200 OK\r\nx: ",
    "a timeout": b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
    "garbage": b"garbage\r\n\r\n",
    "an empty line": b"\r\n",
}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    running: set[asyncio.Task[None] | None] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*filter(None, running))


class Provider:
    """Answers each request with its body. Behind its first answer comes what is `unasked`: with it, or `late`, once the
    connection waits in the gateway's pool; `said`: it has come."""

    def __init__(self, unasked: bytes, *, late: bool = False) -> None:
        self._unasked, self._late = unasked, late
        self.said = asyncio.Event()
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = whole(await reader.readexactly(length))
            unasked, self._unasked = self._unasked, b""
            writer.write(answer if self._late else answer + unasked)
            if self._late and unasked:
                await asyncio.sleep(PAUSE)
                writer.write(unasked)
            await writer.drain()
            self.said.set()


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("kind", UNASKED)
async def test_an_answer_that_nobody_asked_for_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, transport: str, late: bool, kind: str
) -> None:
    if transport == "httpx":
        monkeypatch.setitem(sys.modules, "openresponses.upstream.aiohttp_transport", None)
    provider = Provider(UNASKED[kind], late=late)
    async with listening(provider) as url, pool() as upstream:
        for number in range(3):
            try:
                assert await ask(upstream, url, number) == b'{"n":%d}' % number
            except httpx.TransportError:
                assert number == 0, "only the answer that has it may be taken for none"
            await provider.said.wait()
            await asyncio.sleep(PAUSE)  # it is there


async def test_a_connection_is_used_again() -> None:
    """Where nothing is wrong; else the test above would show little."""
    provider = Provider(b"")
    async with listening(provider) as url, pool() as upstream:
        for number in range(3):
            await ask(upstream, url, number)
    assert provider.connections == 1


@asynccontextmanager
async def pool() -> AsyncIterator[Upstream]:
    upstream = Upstream(5.0)
    try:
        yield upstream
    finally:
        await upstream.aclose()


async def ask(upstream: Upstream, url: str, number: int) -> bytes:
    answer = await upstream.post(Endpoint(url, {}), UpstreamRequest("/", {"n": number}))
    said = await answer.read()
    await answer.aclose()
    return said
