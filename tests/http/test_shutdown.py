"""A server that is told to stop: what is open gets time to end, then an end, and nothing new begins."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openresponses.http.auth import LOCAL_TENANT
from openresponses.store.base import StoredResponse
from openresponses.store.sqlite import SQLiteStore

from ..support.client import Client
from ..support.gateway import environment
from ..support.provider import SSE, Answer, Provider, Received
from ..support.sockets import Socket
from ..support.speech import MODELS, says
from ..support.waiting import wait_for
from ..test_cli import Process, command, environ

Json = dict[str, Any]

DRAIN = 1.2  # seconds
TEXT = "Hello there"
BEGUN = b"\n\n".join(says("anthropic", TEXT).body.split(b"\n\n")[:4]) + b"\n\n"
STOPPED = {"reason": "server_stopped"}


def answer(request: Received) -> Answer:
    """By what the request says."""
    if b"slow" in request.body:
        return Answer(says("anthropic", TEXT).body, content_type=SSE, delay=DRAIN / 2)
    if b"silent" in request.body:
        return Answer(content_type=SSE, ending="hang")
    return Answer(pieces=[BEGUN], content_type=SSE, ending="hang")


def stored(path: Path, response_id: str) -> StoredResponse | None:
    async def read() -> StoredResponse | None:
        store = SQLiteStore(str(path), 86400)
        try:
            return await store.get(LOCAL_TENANT, response_id)
        finally:
            await store.close()

    return asyncio.run(read())


@pytest.fixture
def server(tmp_path: Path, provider: Provider, request: pytest.FixtureRequest) -> Any:
    variables = {
        **environment(provider.url),
        "OPENRESPONSES_SHUTDOWN_SECONDS": str(getattr(request, "param", DRAIN)),
        "OPENRESPONSES_LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen(
        command("serve", "--port", "0", "--store", str(tmp_path / "history.db")),
        cwd=tmp_path,
        env=environ(tmp_path, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield Process(process)
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def test_what_is_open_comes_to_its_end(
    server: Process, provider: Provider, http: httpx.Client, tmp_path: Path
) -> None:
    scenario = provider.play(answer)
    client = Client(server.url, http)
    asked: dict[str, Callable[[], Any]] = {
        "in time": lambda: client.ask({"model": MODELS["anthropic"], "input": "slow"}, stream=True),
        "stream": lambda: client.ask({"model": MODELS["anthropic"], "input": "hang"}, stream=True),
        "whole": lambda: client.ask({"model": MODELS["anthropic"], "input": "hang"}),
        "not begun": lambda: client.ask({"model": MODELS["anthropic"], "input": "silent"}, stream=True),
    }
    with ThreadPoolExecutor(len(asked)) as pool, Socket(server.url) as connection:
        url = f"{server.url}/v1/responses"
        request = {"model": MODELS["anthropic"], "input": "hang", "background": True}
        queued = http.post(url, json=request).json()["id"]
        connection.create(model=MODELS["anthropic"], input="hang")
        told = {name: pool.submit(ask) for name, ask in asked.items()}
        wait_for(lambda: len(scenario.requests) == len(asked) + 2)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_refused(server.url), seconds=DRAIN)
        frames = connection.answer(5)
        ended = {name: future.result(10) for name, future in told.items()}
    assert server.process.wait(5) in (0, -signal.SIGTERM)
    assert server.process.stdout and not server.process.stdout.read(), "nothing to complain of"

    assert (ended["in time"].text, ended["in time"].response["status"]) == (TEXT, "completed")
    assert (ended["not begun"].status, ended["not begun"].error["code"]) == (503, "server_is_overloaded")
    assert ended["not begun"].headers["retry-after"]
    for response in (ended["stream"].response, ended["whole"].response, frames.response):
        assert (response["status"], response["incomplete_details"]) == ("incomplete", STOPPED)
        assert TEXT.startswith(response["output"][0]["content"][0]["text"])
        record = stored(tmp_path / "history.db", response["id"])
        assert record and record.response == response
    record = stored(tmp_path / "history.db", queued)
    assert record and record.response["incomplete_details"] == STOPPED
    wait_for(
        lambda: all(request.left for request in scenario.requests[:1])
    )  # no provider call outlives its turn


@pytest.mark.slow
@pytest.mark.parametrize("server", [30.0], indirect=True)
def test_who_cannot_wait_says_so_twice(server: Process, provider: Provider) -> None:
    """As on a terminal: the second Ctrl-C ends it now."""
    scenario = provider.play(answer)
    body = {"model": MODELS["anthropic"], "input": "hang", "stream": True}
    asking = threading.Thread(target=_ask_in_vain, args=(server.url, body))
    asking.start()
    wait_for(lambda: scenario.requests)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    server.process.send_signal(signal.SIGINT)
    server.process.wait(10)
    asking.join(5)
    assert time.monotonic() - begun < 10


def _ask_in_vain(url: str, body: Json) -> None:
    with suppress(httpx.HTTPError):
        httpx.post(f"{url}/v1/responses", json=body, timeout=10)


def is_refused(url: str) -> bool:
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port), 1).close()
    except ConnectionRefusedError:
        return True
    return False
