"""The soak of the built function: the streaming runtime under the tests' own Runtime API, one answer a function at a
time, as Lambda does it."""

from __future__ import annotations

import asyncio
import time

import pytest

from ..support.api_gateway import ApiGateway
from ..support.deployment import deploy
from ..support.gateway import environment
from ..support.moto_server import moto_server
from ..support.provider import Provider
from .clients import Clients
from .gateway import SETTINGS
from .process import Process
from .report import Row, ends, held, memory, report, settle

FUNCTIONS = 8  # processes, however many streams are wished for


def soak(provider: Provider, seconds: float, streams: int) -> list[str]:
    """What is wrong."""
    with moto_server() as endpoint:
        try:
            deployment = deploy(endpoint, environment(provider.url))
        except pytest.skip.Exception as missing:
            return [f"not driven: {missing}"]
        functions = min(streams, FUNCTIONS)
        api = ApiGateway(deployment, functions=functions, environment=SETTINGS).start()
        try:
            return drive(provider, api, seconds, functions)
        finally:
            api.stop()


def drive(provider: Provider, api: ApiGateway, seconds: float, streams: int) -> list[str]:
    asyncio.run(Clients(api.url).stream(streams, time.monotonic() + 10))
    settle(lambda: provider.busy == 0)
    processes = [Process(function.pid) for function in api.processes]
    provider.hang_up()
    time.sleep(1)
    handles = [process.handles for process in processes]

    def look() -> None:
        for process in processes:
            process.look()

    clients = Clients(api.url)
    asyncio.run(clients.stream(streams, time.monotonic() + seconds, look))
    settle(lambda: provider.busy == 0)
    busy = provider.busy
    provider.hang_up()
    time.sleep(1)
    rows: list[Row] = [
        *ends(clients),
        ("upstream calls still open", "0", str(busy), busy == 0),
        held("file handles, all functions", sum(handles), sum(process.handles for process in processes)),
        memory(processes),
    ]
    return report(f"{streams} streams for {seconds:g} s through {streams} functions", rows, clients)
