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
def base_url(provider: Provider) -> Iterator[str]:
    server = Server(environment(provider.url)).start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def gateway(base_url: str, provider: Provider, http: httpx.Client) -> Gateway:
    """The gateway; the provider expects no call until the test gives it a scenario."""
    gateway = Gateway(base_url, provider, http)
    gateway.scenario()
    return gateway
