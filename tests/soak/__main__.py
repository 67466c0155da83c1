"""python -m tests.soak [--seconds 30] [--streams 200] [--lambda]"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from ..support.provider import Provider
from . import on_lambda
from .clients import Clients
from .gateway import running
from .process import Process
from .provider import answer
from .report import Row, ends, held, memory, report, settle


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make soak", description="Load, failing providers, vanishing clients."
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long (30)")
    parser.add_argument("--streams", type=int, default=200, help="how many at once (200)")
    parser.add_argument("--lambda", action="store_true", dest="on_lambda", help="the built function instead")
    given = parser.parse_args()
    provider = Provider().start()
    provider.play(answer)
    try:
        soak = on_lambda.soak if given.on_lambda else local
        wrong = soak(provider, given.seconds, given.streams)
    finally:
        provider.stop()
    for line in wrong[:20]:
        print("WRONG:", line)
    return 1 if wrong else 0


def local(provider: Provider, seconds: float, streams: int) -> list[str]:
    """The local server. What is wrong."""
    with tempfile.TemporaryDirectory() as folder, running(provider.url, Path(folder)) as gateway:
        asyncio.run(Clients(gateway.url).stream(20, time.monotonic() + 2))
        settle(lambda: provider.busy == 0)
        provider.hang_up()
        process = Process(gateway.pid)
        time.sleep(0.5)
        tasks, handles = gateway.tasks(), process.handles
        clients = Clients(gateway.url)
        asyncio.run(clients.stream(streams, time.monotonic() + seconds, process.look))
        settle(lambda: provider.busy == 0)
        busy = provider.busy
        provider.hang_up()  # what waits in the gateway's pool
        settle(lambda: process.handles <= handles and gateway.tasks() <= tasks)
        rows: list[Row] = [
            *ends(clients),
            ("upstream calls still open", "0", str(busy), busy == 0),
            held("tasks", tasks, gateway.tasks()),
            held("file handles", handles, process.handles),
            memory([process]),
        ]
    return report(f"{streams} streams for {seconds:g} s on the local server", rows, clients)


if __name__ == "__main__":
    sys.exit(main())
