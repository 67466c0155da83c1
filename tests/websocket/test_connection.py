"""The connection itself: who may open one, how it ends, and what it costs."""

from __future__ import annotations

import base64
import gc
import json
import os
import socket as sockets
import statistics
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from openresponses.engine.caller import Caller
from openresponses.http import websocket
from openresponses.http.auth import bearer_owner
from openresponses.protocol.errors import ApiError
from openresponses.protocol.websocket import MAX_WAITING
from openresponses.store.keys import digest_of
from openresponses.store.sqlite_keys import SQLiteKeys
from starlette.requests import HTTPConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ..support.gateway import Gateway, Server, environment
from ..support.provider import SSE, Answer, Provider
from ..support.sockets import Socket
from ..support.speech import MODELS, says
from .conftest import Connect

Json = dict[str, Any]

ECHO: Json = {"model": "echo", "store": False}
KEY = "the-key"
LIMITS: dict[str, Any] = {"max_body_bytes": 20_000, "websocket_seconds": 1.0}


async def authenticate(request: HTTPConnection) -> Caller:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        raise ApiError("invalid_api_key", "No.")
    return Caller("acme")


@pytest.fixture(scope="module")
def limited(provider: Provider) -> Iterator[Server]:
    """A gateway with small limits and with keys."""
    started = Server(environment(provider.url), authenticate=authenticate, **LIMITS).start()
    yield started
    started.stop()


def closed(socket: Socket) -> tuple[int, str]:
    """The code and reason of the server's close."""
    with pytest.raises(ConnectionClosed) as ended:
        socket.frame()
    assert ended.value.rcvd
    return ended.value.rcvd.code, ended.value.rcvd.reason


# --------------------------------------------------------------------------- opening


def test_no_key_no_connection(limited: Server) -> None:
    """As over HTTP, before anything is accepted."""
    with pytest.raises(InvalidStatus) as refused:
        Socket(limited.url)
    response = refused.value.response
    assert response.status_code == 401
    assert json.loads(response.body or b"")["error"]["code"] == "invalid_api_key"
    assert response.headers["x-request-id"].startswith("req_")
    with Socket(limited.url, {"Authorization": f"Bearer {KEY}"}) as socket:
        assert socket.ask(**ECHO, input="Hi").response["status"] == "completed"
        assert socket.connection.response
        assert socket.connection.response.headers["x-request-id"].startswith("req_")


def test_a_key_that_ends_ends_its_connection(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(websocket, "KEY_SECONDS", 0.0)
    keys = SQLiteKeys(tmp_path / "keys.db")
    bearer = keys.create("acme")
    server = Server(environment(provider.url), authenticate=bearer_owner(keys)).start()
    try:
        with Socket(server.url, {"Authorization": f"Bearer {bearer}"}) as socket:
            assert socket.ask(**ECHO, input="Hi").response["status"] == "completed"
            assert keys.revoke("acme", digest_of(bearer))
            assert socket.ask(**ECHO, input="Hi").refusal == (401, "invalid_api_key", None)
            assert closed(socket) == (1008, "invalid_api_key")
    finally:
        server.stop()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_is_refused(connect: Connect, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(origin=origin)
    assert refused.value.response.status_code == 403


def test_the_gateways_own_pages_are_served(gateway: Gateway, connect: Connect) -> None:
    assert connect(origin=gateway.base_url).ask(**ECHO, input="Hi").response["status"] == "completed"


def test_other_paths_have_no_websocket(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus):
        Socket(gateway.base_url + "/v2")


def test_compression_is_not_taken(connect: Connect) -> None:
    """It would cost 40 KB a connection, and open the door to bombs."""
    assert connect(compression="deflate").connection.protocol.extensions == []


# --------------------------------------------------------------------------- ending


def test_the_limit_ends_the_connection(limited: Server) -> None:
    with Socket(limited.url, {"Authorization": f"Bearer {KEY}"}) as socket:
        first = socket.ask(model="echo", input="My name is Alice")
        assert socket.answer().refusal == (400, "websocket_connection_limit_reached", None)
        assert closed(socket) == (1001, "websocket_connection_limit_reached")
    with Socket(limited.url, {"Authorization": f"Bearer {KEY}"}) as socket:
        again = socket.ask(model="echo", input="And?", previous_response_id=first.response["id"])
        assert "Alice" in again.text


def test_a_turn_at_the_limit_says_its_end_first(limited: Server) -> None:
    with Socket(limited.url, {"Authorization": f"Bearer {KEY}"}) as socket:
        turn = socket.ask(model="echo", input="/slow 0.1\n/long 100")
        assert turn.response["incomplete_details"] == {"reason": "time_limit"}
        assert 3 < len(turn.text.split()) < 20
        assert socket.answer().refusal[1] == "websocket_connection_limit_reached"
        assert closed(socket)[0] == 1001


def test_a_message_that_is_too_large(limited: Server) -> None:
    with Socket(limited.url, {"Authorization": f"Bearer {KEY}"}) as socket:
        assert socket.ask(**ECHO, input="x" * 25_000).refusal == (413, "request_too_large", None)
        assert socket.ask(**ECHO, input="Hi").response["status"] == "completed"
        socket.create(**ECHO, input="x" * 50_000)
        assert closed(socket)[0] == 1009


def test_too_many_waiting_messages(connect: Connect) -> None:
    socket = connect()
    socket.create(**ECHO, input="/slow 0.2\n/long 1000")
    for _ in range(MAX_WAITING + 1):
        socket.create(**ECHO, input="Hi")
    while (frame := socket.frame())["type"] != "error":
        assert frame["response"]["id"] if "response" in frame else frame
    assert frame["error"]["code"] == "rate_limit_exceeded" and frame["status"] == 429
    assert closed(socket)[0] == 1008


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_client_that_goes_ends_the_provider_call(gateway: Gateway, connect: Connect, how: str) -> None:
    whole = says("anthropic", "Hello there, world").body.split(b"\n\n")
    answer = Answer(pieces=[event + b"\n\n" for event in whole[:4]], content_type=SSE, ending="hang")
    scenario = gateway.scenario(answer)
    socket = connect()
    socket.create(model=MODELS["anthropic"], input="Hi")
    socket.create(model=MODELS["anthropic"], input="This one never runs")
    while socket.frame()["type"] != "response.output_text.delta":
        pass
    left = time.monotonic()
    if how == "abort":
        socket.connection.socket.shutdown(sockets.SHUT_RDWR)
    socket.close()
    while scenario.requests[0].left is None and time.monotonic() < left + 5:
        time.sleep(0.01)
    assert scenario.requests[0].left is not None and scenario.requests[0].left - left < 1
    time.sleep(0.1)
    assert len(scenario.requests) == 1


def test_a_fault_within_a_turn_is_told(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, *_: Any) -> Any:
        raise RuntimeError("a bug")

    socket = connect()
    with monkeypatch.context() as patched:
        patched.setattr("openresponses.engine.samples.Samples._first", broken)
        assert socket.ask(**ECHO, input="Hi").refusal == (500, "server_error", None)
    assert socket.ask(**ECHO, input="Hi").response["status"] == "completed"


def test_a_fault_around_a_turn_ends_the_connection(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("canary".upper())

    socket = connect()
    monkeypatch.setattr("openresponses.engine.session.Session._read", broken)
    assert socket.ask(**ECHO, input="Hi").refusal == (500, "server_error", None)
    assert closed(socket)[0] == 1011
    assert "a fault of the gateway" in caplog.text and "CANARY" not in caplog.text


def test_pings_are_answered_while_a_turn_runs(connect: Connect) -> None:
    socket = connect()
    socket.create(**ECHO, input="/slow 0.05\n/long 10")
    assert socket.connection.ping().wait(2)
    assert socket.answer().response["status"] == "completed"


# --------------------------------------------------------------------------- what it costs


def test_a_slow_reader_does_not_grow_memory(gateway: Gateway) -> None:
    """50 MB are offered to a client that reads nothing: the gateway stops asking the provider for more."""
    piece = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'  # noqa: E501
    begin = b"".join(event + b"\n\n" for event in says("anthropic", "Hello").body.split(b"\n\n")[:2])
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        yield begin
        for _ in range(2000):
            sent += 1
            yield piece % (b"x" * 25_000)

    gateway.scenario(Answer(pieces=pieces(), content_type=SSE))
    with raw_connection(gateway.base_url) as connection:
        tracemalloc.start()
        body = {"type": "response.create", "model": MODELS["anthropic"], "input": "Hi"}
        connection.sendall(masked(json.dumps(body).encode()))
        offered = -1
        while offered != sent or sent == 0:
            offered = sent
            time.sleep(0.4)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sent < 1000, "nothing held the provider back"
    assert peak < 40 << 20  # the sockets' buffers hold some, the assembler the text


def raw_connection(url: str) -> sockets.socket:
    """An upgraded connection that nobody reads."""
    place = urlsplit(url)
    assert place.hostname and place.port
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 16_384)
    connection.connect((place.hostname, place.port))
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /v1/responses HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    connection.sendall(head.encode())
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += connection.recv(1)
    assert b" 101 " in reply
    return connection


def masked(payload: bytes) -> bytes:
    """A client's text frame of 126 to 65535 bytes, or fewer, with a mask of zeros."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + payload


def test_a_continuation_adds_less_than_a_millisecond(connect: Connect) -> None:
    """Measured against turns that continue nothing, on the same connection."""
    socket = connect()
    times: dict[bool, list[float]] = {True: [], False: []}
    previous = socket.ask(**ECHO, input="Hello").response["id"]
    for _ in range(60):
        for continues in (False, True):
            body = {**ECHO, "input": "Hello"} | ({"previous_response_id": previous} if continues else {})
            begun = time.perf_counter()
            socket.create(**body)
            frame = socket.frame()
            times[continues].append(time.perf_counter() - begun)
            assert frame["type"] == "response.created"
            while (frame := socket.frame())["type"] != "response.completed":
                pass
            previous = frame["response"]["id"]
    added = statistics.median(times[True][10:]) - statistics.median(times[False][10:])
    assert added < 0.001, f"{added * 1000:.2f} ms"


@pytest.mark.parametrize(
    ("idle", "active"), [(50, 10), pytest.param(500, 50, marks=pytest.mark.slow)], ids=["scaled", "full"]
)
def test_many_connections(provider: Provider, http: httpx.Client, idle: int, active: int) -> None:
    """An idle connection costs at most 50 KB, and turns beside them all end, in about the same time."""
    server = Server(environment(provider.url)).start()
    connections = []
    try:
        with Socket(server.url) as socket:
            socket.ask(**ECHO, input="Hi")
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        connections = [raw_connection(server.url) for _ in range(idle)]
        for connection in connections[::10]:
            connection.sendall(
                masked(b'{"type":"response.create","model":"echo","input":"Hi","store":false}')
            )
        time.sleep(0.5)
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / idle
        tracemalloc.stop()
        assert each < 50_000, f"{each:.0f} bytes an idle connection"
        took: list[float] = []
        threads = [threading.Thread(target=timed_turn, args=(server.url, took)) for _ in range(active)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(took) == active
        assert max(took) < 3 * statistics.median(took) + 1, sorted(took)
    finally:
        for connection in connections:
            connection.close()
        server.stop()


def timed_turn(url: str, took: list[float]) -> None:
    with Socket(url, open_timeout=30) as socket:
        begun = time.perf_counter()
        turn = socket.ask(**ECHO, input="/slow 0.01\n/long 40")
        assert len(turn.text.split()) == 40
        took.append(time.perf_counter() - begun)
