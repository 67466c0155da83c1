"""A gateway that tells all that it can: to a recorder, to Prometheus, and in JSON lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openresponses.engine.caller import Caller
from openresponses.logs import JsonLines, LogTelemetry, named
from openresponses.prometheus import PrometheusTelemetry
from openresponses.protocol.errors import ApiError
from openresponses.telemetry import NoTelemetry, SampleReport, Several, ToolReport, TurnReport

from ..support.gateway import Gateway, Server, environment
from ..support.provider import Provider

ROWS = """
[[model]]
match = ["claude-test"]
price = { input = 3, cached_input = 0.5, output = 15 }

[[alias]]
name = "with-a-spare"
target = "openai/gpt-test"
fallback = ["anthropic/claude-test"]

[[tool]]
name = "add"
python = "tests.engine.test_hosted_tools:add"

[[tool]]
name = "broken"
python = "tests.observability.conftest:broken"
"""


def broken() -> str:
    """Never works."""
    raise RuntimeError("canary of the tool")


class Recorder(NoTelemetry):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.turns: list[TurnReport] = []
        self.samples: list[SampleReport] = []
        self.tools: list[ToolReport] = []
        self.counts: list[tuple[str, str, str]] = []

    def turn_ended(self, report: TurnReport) -> None:
        self.turns.append(report)

    def sample_ended(self, report: SampleReport) -> None:
        self.samples.append(report)

    def tool_ended(self, report: ToolReport) -> None:
        self.tools.append(report)

    def counted(self, metric: str, provider: str, model: str) -> None:
        self.counts.append((metric, provider, model))


class Raising:
    """A Telemetry that breaks its word."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("telemetry is broken")


class Watched(Server):
    """`told` and `lines()` are of all that has happened since `forget()`."""

    told = Recorder()
    _log = io.StringIO()

    def make_app(self, settings: Any) -> Any:
        from openresponses.http.app import create_app
        from openresponses.secrets import EnvironmentSecrets
        from openresponses.store.sqlite import SQLiteStore

        self.metrics = PrometheusTelemetry()
        self.store = SQLiteStore(":memory:", 86400)
        self._count(self.store)
        raising: Any = Raising()
        telemetry = Several((raising, self.metrics, LogTelemetry(logging.INFO), self))
        secrets = EnvironmentSecrets(self.environ)
        return create_app(
            settings,
            self.store,
            secrets,
            authenticate=authenticate,
            telemetry=telemetry,
            metrics=self.metrics,
        )

    def __getattr__(self, name: str) -> Any:
        if name in ("turn_ended", "sample_ended", "tool_ended", "counted"):
            return getattr(self.told, name)
        raise AttributeError(name)

    def forget(self) -> None:
        self.told, self._log = Recorder(), io.StringIO()
        handler.setStream(self._log)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


handler = logging.StreamHandler()


async def authenticate(request: Any) -> Caller:
    if "authorization" not in request.headers:
        raise ApiError("invalid_api_key", "A key is needed.")
    await asyncio.sleep(0)
    return Caller(request.headers["authorization"].removeprefix("Bearer "))


@pytest.fixture(scope="module")
def watched(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    config = Path(tmp_path_factory.mktemp("config")) / "models.toml"
    config.write_text(ROWS)
    handler.setFormatter(JsonLines())
    handler.addFilter(named)
    ours = logging.getLogger("openresponses")
    ours.addHandler(handler)
    level, ours.level = ours.level, logging.DEBUG
    # All providers share a URL, and so a circuit: it may open, but holds nothing up.
    started = Watched(
        environment(provider.url),
        config_path=str(config),
        max_retries=1,
        breaker_failures=2,
        breaker_seconds=1e-9,
        log_level="DEBUG",
    ).start()
    yield started  # type: ignore[misc]
    started.stop()
    ours.removeHandler(handler)
    ours.level = level


@pytest.fixture
def gateway(watched: Watched, provider: Provider, http: Any) -> Gateway:
    watched.forget()
    return Gateway(watched.url, provider, http)
