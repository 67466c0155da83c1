"""The local server, as anyone starts it, that prints the number of its tasks at SIGUSR1.

python -m tests.soak.gateway --port PORT --store PATH
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..support.gateway import environment

SETTINGS = {
    "OPENRESPONSES_LOG_LEVEL": "ERROR",
    "OPENRESPONSES_FIRST_BYTE_TIMEOUT": "3",
    "OPENRESPONSES_IDLE_TIMEOUT": "3",
}


def tell_tasks(*_: Any) -> None:
    print(f"tasks {len(asyncio.all_tasks())}", flush=True)


def main() -> None:
    from openresponses.cli import main as command

    signal.signal(signal.SIGUSR1, tell_tasks)
    command(["serve", *sys.argv[1:]])


class Gateway:
    """The running server."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.pid = process.pid
        self.url = url
        self._process = process

    def tasks(self) -> int:
        assert self._process.stdout
        self._process.send_signal(signal.SIGUSR1)
        return int(line_with(self._process.stdout, "tasks ").split()[1])


@contextmanager
def running(provider_url: str, folder: Path) -> Iterator[Gateway]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", __name__, "--port", str(port), "--store", str(folder / "history.db")]
    environ = {**os.environ, **environment(provider_url), **SETTINGS}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line_with(process.stdout, "OpenResponses")
            wait_until_open(port)
            yield Gateway(process, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(20)


def line_with(lines: IO[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def wait_until_open(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the gateway does not listen")


if __name__ == "__main__":
    main()
