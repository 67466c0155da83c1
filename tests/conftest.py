"""Fixtures at the wire: a scripted provider, and a real gateway in front of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .support.canaries import CANARIES
from .support.gateway import Gateway, Server, environment
from .support.provider import Provider
from .traces.report import TABLES, TAGS_OPTION, results_of, table


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        TAGS_OPTION, action="store_true", help="the replay's table by tag too, not by provider only"
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """After a replay of the records, its table."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    for note, heading in TABLES.items():
        if results := list(results_of(note, reports)):
            terminalreporter.section(heading)
            for line in table(results, tags=config.getoption(TAGS_OPTION)):
                terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def _canaries() -> Iterator[None]:
    """Everything that is logged in this process is looked at, whatever the level of what is shown."""
    logging.getLogger().addHandler(CANARIES)
    logging.getLogger("openresponses").setLevel(logging.DEBUG)
    yield
    logging.getLogger().removeHandler(CANARIES)
    assert not (leaks := CANARIES.take()), leaks


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    CANARIES.forget()
    yield
    assert not (leaks := CANARIES.take()), leaks


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
