"""The gateway in this process, for speed: its ASGI app is called directly, and its providers answer from memory.

Everything between is the real thing: routes, checks, adapters, httpx, framing, assembler, store.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import httpx
import orjson

from ..support.gateway import SETTINGS, environment
from ..support.provider import JSON, Answer
from ..support.speech import says

Json = dict[str, Any]
NOWHERE = "http://provider.invalid"
LONGEST = 10.0  # seconds for one exchange; what takes longer hangs

# The end of a provider's path → the dialect of its answer, or the answer itself.
PATHS: dict[str, str | Json] = {
    "/input_tokens": {"object": "response.input_tokens", "input_tokens": 42},
    "/count_tokens": {"input_tokens": 42},
    ":countTokens": {"totalTokens": 42},
    "/responses": "openai",
    "/messages": "anthropic",
    ":streamGenerateContent": "gemini",
    "/api/chat": "ollama",
    "/chat/completions": "chat",
}
SAID = {
    dialect: says(dialect, "Some words.", reasoning="A thought.")
    for dialect in PATHS.values()
    if isinstance(dialect, str)
}


@dataclass(frozen=True)
class Exchange:
    """One HTTP request to the gateway."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Providers(httpx.AsyncBaseTransport):
    """Every provider. `answer` is what they all say; None: a small answer in the dialect of the path."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answer or _plain(request.url.path)
        pieces = [answer.body] if answer.pieces is None else answer.pieces
        headers = {"content-type": answer.content_type, **answer.headers}
        return httpx.Response(answer.status, headers=headers, stream=Pieces(pieces))


def _plain(path: str) -> Answer:
    for end, said in PATHS.items():
        if path.endswith(end):
            return SAID[said] if isinstance(said, str) else Answer(orjson.dumps(said), content_type=JSON)
    raise AssertionError(f"no provider is asked at {path}")


class InProcess:
    """`stored` is what the store was given last."""

    def __init__(self, app: Any, providers: Providers, state: Json) -> None:
        self.app = app
        self.providers = providers
        self._state = state

    @property
    def stored(self) -> Any:
        return self._state.get("last")

    def forget(self) -> None:
        self._state.clear()

    async def send(self, exchange: Exchange) -> Reply:
        """Raises TimeoutError for what hangs."""
        reply, asked, over = Reply(), False, asyncio.Event()

        async def receive() -> Json:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": exchange.body, "more_body": False}
            await over.wait()
            return {"type": "http.disconnect"}

        body: list[bytes] = []

        async def send(message: Json) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {
                    name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]
                }
            else:
                body.append(message.get("body", b""))

        async with asyncio.timeout(LONGEST):
            await self.app(_scope(exchange), receive, send)
        over.set()
        reply.body = b"".join(body)
        return reply


def _scope(exchange: Exchange) -> Json:
    headers = [(b"host", b"gateway"), (b"content-type", b"application/json")]
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in exchange.headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": "http",
        "path": exchange.path,
        "raw_path": quote(exchange.path).encode(),
        "query_string": exchange.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


@asynccontextmanager
async def in_process(**settings: Any) -> AsyncIterator[InProcess]:
    from openresponses.http.app import create_app
    from openresponses.secrets import EnvironmentSecrets
    from openresponses.settings import Settings
    from openresponses.store.sqlite import SQLiteStore

    environ = environment(NOWHERE)
    chosen = Settings.load(environ, **{**SETTINGS, **settings})
    store, providers, state = SQLiteStore(":memory:", 86400), Providers(), Json()
    put = store.put

    async def remembered(tenant: str, record: Any) -> None:
        await put(tenant, record)
        state["last"] = record

    store.put = remembered  # type: ignore[method-assign]
    app = create_app(chosen, store, EnvironmentSecrets(environ))
    loop = asyncio.get_running_loop()
    with (
        patch(
            "openresponses.upstream.client._sender",
            lambda: (providers.handle_async_request, providers.aclose),
        ),
        patch.object(loop, "getaddrinfo", _no_address),
    ):
        async with _alive(app):
            yield InProcess(app, providers, state)


async def _no_address(*_: Any, **__: Any) -> Any:
    raise socket.gaierror("nothing leaves this process")


@asynccontextmanager
async def _alive(app: Any) -> AsyncIterator[None]:
    """The app between its start and its end, by ASGI's lifespan protocol."""
    inbox: asyncio.Queue[Json] = asyncio.Queue()
    told: asyncio.Queue[Json] = asyncio.Queue()
    running = asyncio.ensure_future(
        app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, told.put)
    )
    await inbox.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        assert (await told.get())["type"] == "lifespan.shutdown.complete"
        await running
