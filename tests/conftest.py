"""Fixtures at the wire: a scripted provider, and a real gateway in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .support.gateway import Gateway, Server, environment
from .support.provider import Provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    started = Provider().start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url)).start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    """The gateway; the provider expects no call until the test gives it a scenario."""
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario()
    return gateway
