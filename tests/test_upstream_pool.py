"""Answers that nobody has asked for: a provider that sends two, at once or late, has the second one thrown away. Taken
for the answer to the next request, it would be another turn's, and another tenant's."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import uvloop
from openresponses.adapters.base import UpstreamRequest
from openresponses.upstream.client import Upstream
from openresponses.upstream.endpoint import Endpoint

from .support.tls import certificate, tls

PAUSE = 0.05  # seconds
LARGE_BYTES = 20_000_000  # more than the sockets between the two hold
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
async def listening(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    running: set[asyncio.Task[None] | None] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"https://localhost:{port}" if context else f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await asyncio.gather(*filter(None, running))


class Provider:
    """Answers each request with its body. Behind its first answer comes what is `unasked`; `said`: it has come."""

    def __init__(self, unasked: bytes, comes: str = "with the answer") -> None:
        self._unasked, self._comes = unasked, comes
        self.said = asyncio.Event()
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = whole(await reader.readexactly(length))
            unasked, self._unasked = self._unasked, b""
            for piece in COMES[self._comes](answer, unasked):
                if piece:
                    writer.write(piece)
                else:
                    await asyncio.sleep(PAUSE)
            await writer.drain()
            self.said.set()


# What comes when → the pieces that are sent, the empty ones being a pause.
COMES: dict[str, Callable[[bytes, bytes], tuple[bytes, ...]]] = {
    "with the answer": lambda answer, unasked: (answer + unasked,),
    "with the answer's end": lambda answer, unasked: (answer[:-1], b"", answer[-1:] + unasked),
    "in a piece of its own": lambda answer, unasked: (answer, unasked) if unasked else (answer,),
    "late": lambda answer, unasked: (answer, b"", unasked) if unasked else (answer,),
}


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
@pytest.mark.parametrize("comes", COMES)
@pytest.mark.parametrize(("scheme", "kind"), [*(("http", kind) for kind in UNASKED), ("https", "an answer")])
async def test_an_answer_that_nobody_asked_for_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, scheme: str, comes: str, kind: str
) -> None:
    context = reached_by(transport, scheme, tmp_path, monkeypatch)
    provider = Provider(UNASKED[kind], comes)
    async with listening(provider, context) as url, pool() as upstream:
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


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_request_that_is_not_taken_is_sent_no_further(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    scheme: str,
    run: Callable[[Awaitable[None]], None],
) -> None:
    """On each event loop: a close that waits for what is not sent yet would keep the connection beyond its turn."""
    context = reached_by(transport, scheme, tmp_path, monkeypatch)
    given_up = asyncio.Event()
    taken: list[int] = []

    async def takes_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        taken.append(0)
        while data := await reader.read(1 << 20):
            taken[0] += len(data)

    async def main() -> None:
        async with listening(takes_late, context) as url, pool() as upstream:
            large = UpstreamRequest("/", {"text": "x" * LARGE_BYTES})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(PAUSE * 10):
                    await upstream.post(Endpoint(url, {}), large)
            given_up.set()

    run(main())
    assert taken[0] < LARGE_BYTES


def reached_by(transport: str, scheme: str, folder: Path, patch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    """Has the gateway use the transport, and trust the server that the context is for."""
    if transport == "httpx":
        patch.setitem(sys.modules, "openresponses.upstream.aiohttp_transport", None)
    if scheme == "http":
        return None
    path = certificate(folder)
    patch.setenv("SSL_CERT_FILE", str(path))
    return tls(path)


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
