"""A provider that fails as the matrix says, and two gateways before it: a patient one, and one with short silences."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from ..support.client import Client
from ..support.gateway import Server
from ..support.provider import Answer, Provider
from ..support.waiting import wait_for
from .fault import Fault
from .frames import MAX_FRAME_BYTES
from .outcomes import RETRIES
from .runner import LONGEST, Asker, Board, Seen, all_closed, at_once
from .wire import DIALECTS, Dialect

Json = dict[str, Any]

SETTINGS: dict[str, Any] = {
    "max_retries": RETRIES,
    "retry_seconds": 0.01,
    "commit_seconds": 10.0,  # later than any failure: those before the first byte keep their HTTP status
    "log_level": "CRITICAL",
    "breaker_failures": 0,
}
PATIENT = {"first_byte_timeout": 10.0, "idle_timeout": 10.0}
IMPATIENT = {"first_byte_timeout": 1.5, "idle_timeout": 1.0}
# What is no setting.
SCALED = {
    "engine.upstream_sample.GRACE_SECONDS": 0.4,
    "upstream.client.ERROR_BODY_SECONDS": 0.2,
    "upstream.retry.RetryBudget.RESERVE": 1e6,  # thousands of failures in a row are the plan
    "upstream.framing.MAX_FRAME_BYTES": MAX_FRAME_BYTES,
    "upstream.eventstream.MAX_FRAME_BYTES": MAX_FRAME_BYTES,
}

ROW = """
[[provider]]
name = "{name}"
adapter = "{adapter}"
base_url = "{url}"
auth = "none"
"""


@dataclass
class Matrix:
    """The failing provider and the gateways before it."""

    provider: Provider
    board: Board
    patient: Server
    impatient: Server
    http: httpx.Client

    def run(self, cells: list[tuple[Fault, Dialect, str]]) -> list[Seen]:
        """What became of each cell; they run side by side. Nothing is left of them."""
        tasks = {server: tasks_of(server) for server in (self.patient, self.impatient)}
        seen = at_once([self._job(*cell) for cell in cells])
        all_closed(self.provider)
        for server, before in tasks.items():
            wait_for(partial(has_at_most, server, before), "a task of the gateway is left over")
        return seen

    def _job(self, fault: Fault, dialect: Dialect, mode: str) -> Callable[[], Seen]:
        server = self.impatient if fault.silent else self.patient
        provider = f"{'failing' if fault.answer else 'refusing'}-{dialect.name}"
        model = self.board.add(fault.answer(dialect) if fault.answer else Answer())
        client = Client(server.url, self.http)
        return partial(Asker(client, self.board, server.stored_models).ask, provider, model, mode)


def tasks_of(server: Server) -> int:
    """How many tasks run in the gateway's event loop."""

    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    assert server.loop
    return asyncio.run_coroutine_threadsafe(count(), server.loop).result(10)


def has_at_most(server: Server, tasks: int) -> bool:
    return tasks_of(server) <= tasks


def rows(url: str, refusing_url: str) -> str:
    """The provider table of the gateways' own."""
    return "".join(
        ROW.format(name=f"{name}-{dialect.name}", adapter=dialect.adapter, url=where)
        for name, where in (("failing", url), ("refusing", refusing_url))
        for dialect in DIALECTS.values()
    )


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the tests of this folder alone: others in the process know the real values."""
    scale(monkeypatch)


def scale(patch: pytest.MonkeyPatch) -> None:
    for name, value in SCALED.items():
        patch.setattr(f"openresponses.{name}", value)


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    board = Board()
    provider = Provider().start()
    provider.play(board.answer)
    config = tmp_path_factory.mktemp("faults") / "providers.toml"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        config.write_text(rows(provider.url, f"http://127.0.0.1:{nobody.getsockname()[1]}"))
        settings = {**SETTINGS, "config_path": str(config)}
        with pytest.MonkeyPatch.context() as patch:
            scale(patch)
            patient = Server({}, **settings, **PATIENT).start()
            impatient = Server({}, **settings, **IMPATIENT).start()
        with httpx.Client(timeout=LONGEST, trust_env=False) as http:
            yield Matrix(provider, board, patient, impatient, http)
        patient.stop()
        impatient.stop()
    provider.stop()
