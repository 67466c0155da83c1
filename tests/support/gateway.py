"""The gateway under test: its real HTTP server on a real port, with the scripted provider behind every route."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn

from .canaries import PROVIDER_KEY, Tap
from .client import Client
from .provider import Provider, Scenario, Script

# Every provider that the tests speak to, with the settings that lead there; one server plays them all, because each
# provider API has paths of its own.
ROWS = (
    "openai",
    "anthropic",
    "gemini",
    "groq",
    "mistral",
    "deepseek",
    "xai",
    "together",
    "openrouter",
    "vllm",
)
KEY = PROVIDER_KEY

# Silences and limits of the tests, in seconds; no retries, so that one request is one provider call.
SETTINGS: dict[str, Any] = {
    "connect_timeout": 2.0,
    "first_byte_timeout": 5.0,
    "idle_timeout": 5.0,
    "reasoning_idle_timeout": 5.0,
    "max_retries": 0,
    "breaker_failures": 0,
    "log_level": "ERROR",
    "mcp_allow_private": True,
}


def environment(provider_url: str) -> dict[str, str]:
    """The provider settings as a user would write them."""
    environ = {"OLLAMA_BASE_URL": provider_url}
    for row in ROWS:
        environ[f"{row.upper()}_API_KEY"] = KEY
        environ[f"{row.upper()}_BASE_URL"] = provider_url
    return environ


def with_bedrock(environ: dict[str, str], patched: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings with those of Bedrock, too, whose credentials stand in the process's own environment."""
    patched.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    patched.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    return {**environ, "BEDROCK_BASE_URL": environ["OLLAMA_BASE_URL"], "AWS_REGION": "eu-central-1"}


class Server:
    """An ASGI app on a uvicorn server in a thread of its own; `url` once it is started."""

    def __init__(self, environ: dict[str, str], *, authenticate: Any = None, **settings: Any) -> None:
        self.environ = environ
        self.authenticate = authenticate
        self.settings = {**SETTINGS, **settings}
        self.url = ""
        self.stored = 0  # responses written so far
        self.fail_store = False  # whether writing fails
        self.last_record: Any = None  # the last StoredResponse
        self.stored_models: set[str] = set()  # what was asked for, of every response written
        self.loop: asyncio.AbstractEventLoop | None = None
        self.store: Any = None
        self._server: uvicorn.Server | None = None
        self._failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)

    def start(self) -> Server:
        self._thread.start()
        assert self._ready.wait(20), "the gateway did not start"
        if self._failure:
            raise self._failure
        return self

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = True
        self._thread.join(10)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from openresponses.cli.serve import websocket_options
        from openresponses.http.server import Protocol
        from openresponses.settings import Settings

        settings = Settings.load(self.environ, **self.settings)
        app = Tap(self.make_app(settings))
        config = uvicorn.Config(
            app,
            http=Protocol,
            port=0,
            log_level="error",
            timeout_graceful_shutdown=1,
            **websocket_options(settings),
        )
        self._server = uvicorn.Server(config)
        self.loop = asyncio.get_running_loop()
        serving = asyncio.ensure_future(self._server.serve())
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        if self._server.started:
            port = self._server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            self._ready.set()
        await serving

    def make_app(self, settings: Any) -> Any:
        """The gateway as an ASGI app, with a store in memory."""
        from openresponses.http.app import create_app
        from openresponses.secrets import EnvironmentSecrets
        from openresponses.store.sqlite import SQLiteStore

        self.store = SQLiteStore(":memory:", int(settings.history_ttl_days * 86400))
        self._count(self.store)
        return create_app(
            settings, self.store, EnvironmentSecrets(self.environ), authenticate=self.authenticate
        )

    def _count(self, store: Any) -> None:
        from openresponses.store.base import StoreUnavailable

        put = store.put

        async def counted(*given: Any) -> None:
            if self.fail_store:
                raise StoreUnavailable("down for the test")
            self.stored += 1
            self.last_record = given[1]
            self.stored_models.add(given[1].model)
            await put(*given)

        store.put = counted


class Gateway(Client):
    """What a test gets: a base URL to speak to, and the provider behind it. Nothing else is assumed of the gateway,
    so the same tests run against any way of serving it."""

    def __init__(
        self, base_url: str, provider: Provider, http: httpx.Client, stored: Callable[[], int] = lambda: 0
    ) -> None:
        super().__init__(base_url, http)
        self.provider = provider
        self.stored = stored  # responses written so far, where the test can see the store

    def scenario(self, *answers: Script) -> Scenario:
        """From now on the provider gives these answers, in order; the last one is repeated."""
        return self.provider.play(*answers)
