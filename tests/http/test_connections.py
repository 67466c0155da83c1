"""Connections on both sides: readers that are slow, sockets that are stale or never come, requests that are no HTTP."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from ..support.client import Client
from ..support.gateway import Gateway, Server, environment
from ..support.provider import SSE, Answer, Provider
from ..support.speech import MODELS, says
from ..support.waiting import wait_for

MODEL = MODELS["anthropic"]
MB = 1 << 20
MUCH = 200 * MB
# What stands between a provider and a reader who does not read: the buffers of the servers, mostly those of the sockets
# on both sides. Linux lets the ones that receive grow up to 32 MB each (net.ipv4.tcp_rmem).
BETWEEN = 80 * MB


class Torrent:
    """An answer without end, piece by piece as the gateway takes it; `given` counts the bytes."""

    def __init__(self) -> None:
        events = says("anthropic", "Hello").body.split(b"\n\n")
        self._head = b"\n\n".join(events[:2]) + b"\n\n"
        text = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
        self._delta = b"event: content_block_delta\ndata: " + text % (b"x" * 60_000) + b"\n\n"
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        while self.given < MUCH:
            self.given += len(self._delta)
            yield self._delta


def test_a_slow_reader_holds_up_the_provider_not_the_memory(gateway: Gateway) -> None:
    torrent = Torrent()
    scenario = gateway.scenario(Answer(pieces=torrent, content_type=SSE, ending="hang"))
    with ExitStack() as stack:
        body = {"model": MODEL, "input": "hi", "stream": True}
        reply = stack.enter_context(
            gateway.http.stream("POST", f"{gateway.base_url}/v1/responses", json=body)
        )
        reading = reply.iter_raw(1024)
        next(reading)
        before = -1
        while before != torrent.given:  # until nothing flows any more
            before = torrent.given
            time.sleep(0.3)
            next(reading)
        assert MB < torrent.given < BETWEEN
    wait_for(lambda: scenario.requests[0].left, "the provider call outlives its reader")


def post_stream(connection: socket.socket, body: bytes) -> None:
    connection.sendall(
        b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


def open_websocket(connection: socket.socket, body: bytes) -> None:
    connection.sendall((UPGRADE.format(path="/v1/responses") + HANDSHAKE).encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    # A text frame of RFC 6455, section 5.2, masked with zeros.
    connection.sendall(bytes([0x81, 0x80 | len(body)]) + bytes(4) + body)


UPGRADE = "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
HANDSHAKE = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"


@pytest.mark.parametrize("begin", [post_stream, open_websocket])
def test_a_client_that_never_reads_loses_its_place(
    provider: Provider,
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[socket.socket, bytes], None],
) -> None:
    monkeypatch.setattr("openresponses.http.server.STALLED_SECONDS", 0.5)
    server = Server(environment(provider.url), max_concurrent_turns=1).start()
    scenario = provider.play(Answer(pieces=Torrent(), content_type=SSE, ending="hang"))
    where = urlsplit(server.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((where.hostname, where.port))
        text = {"model": MODEL, "input": "hi", "type": "response.create", "stream": True}
        begin(connection, json.dumps(text).encode())
        wait_for(lambda: scenario.requests, "the provider is not asked")
        client = Client(server.url, http)
        assert client.ask({"model": "echo", "input": "hi"}).status == 503, "the place is taken"
        wait_for(lambda: scenario.requests[0].left, "the provider call outlives its reader", 10)
        wait_for(lambda: client.ask({"model": "echo", "input": "hi"}).status == 200, "the place is not free")
        assert MODEL in server.stored_models, "what was said is stored"
    server.stop()


@pytest.mark.parametrize(
    "more", ["x: " + "y" * 9000, "\r\n".join(f"x-{n}: y" for n in range(200)), "content-length: 5"]
)
def test_a_handshake_that_is_too_large_is_refused(gateway: Gateway, more: str) -> None:
    reply = talk(gateway, UPGRADE.format(path="/v1/responses") + f"{more}\r\n" + HANDSHAKE, end=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_value")


@pytest.mark.parametrize("lacks", ["sec-websocket-key", "sec-websocket-version"])
def test_what_is_no_websocket_handshake_is_refused_in_our_shape(gateway: Gateway, lacks: str) -> None:
    kept = "".join(f"{line}\r\n" for line in HANDSHAKE.split("\r\n") if line and not line.startswith(lacks))
    reply = talk(gateway, UPGRADE.format(path="/v1/responses") + kept + "\r\n", end=False)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/json")
    assert reply.json()["error"]["code"] == "invalid_value"


def test_a_fault_before_a_websocket_is_open_is_told_as_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("openresponses.http.websocket.check_origin", fails)
    reply = talk(gateway, UPGRADE.format(path="/v1/responses") + HANDSHAKE, end=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "server_error")


@pytest.fixture(scope="module")
def deaf() -> Iterator[str]:
    """A URL where nobody takes a connection: the queue before it is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        time.sleep(0.05)
        yield f"http://127.0.0.1:{address[1]}"


@pytest.fixture(scope="module")
def fresh(provider: Provider, http: httpx.Client, deaf: str) -> Iterator[Gateway]:
    """A gateway with a pool of its own, and a provider that cannot be reached."""
    elsewhere = {**environment(provider.url), "ANTHROPIC_BASE_URL": deaf}
    server = Server(elsewhere, connect_timeout=1.0, first_byte_timeout=20.0).start()
    yield Gateway(server.url, provider, http)
    server.stop()


def test_a_socket_that_went_stale_is_replaced_in_silence(fresh: Gateway, provider: Provider) -> None:
    scenario = fresh.scenario(says("chat", "Hello"))
    for count in (1, 2, 3):
        assert fresh.ask({"model": MODELS["chat"], "input": "hi"}).text == "Hello"
        assert len(scenario.requests) == count, "and asked once"
        provider.hang_up()


def test_connecting_has_a_limit_of_its_own(fresh: Gateway) -> None:
    begun = time.monotonic()
    told = fresh.ask({"model": MODEL, "input": "hi"}, stream=True)
    assert (told.status, told.error["code"]) == (502, "provider_unavailable")
    assert 0.25 < time.monotonic() - begun < 5


def test_what_is_no_http_is_refused_in_our_shape(gateway: Gateway) -> None:
    where = urlsplit(gateway.base_url)
    with socket.create_connection((where.hostname, where.port), 5) as connection:
        connection.sendall(b"secret nonsense\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ") and b"content-type: application/json" in head
    assert httpx.Response(400, content=body).json()["error"] == {
        "type": "invalid_request",
        "code": "invalid_value",
        "message": "The request cannot be read as HTTP/1.1.",
        "param": None,
    }


def talk(gateway: Gateway, head: str, body: bytes = b"", *, end: bool = True) -> httpx.Response:
    """What the gateway says to this request, until it closes the connection."""
    where = urlsplit(gateway.base_url)
    with socket.create_connection((where.hostname, where.port), 5) as connection:
        lines = head + (f"\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n" if end else "")
        connection.sendall(lines.encode() + body)
        top, _, rest = connection.makefile("rb").read().partition(b"\r\n\r\n")
    status, *fields = top.decode().split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    return httpx.Response(int(status.split()[1]) if status else 0, headers=headers, content=rest)


ECHO = b'{"model": "echo", "input": "Hello"}'
POST = "POST /v1/responses HTTP/1.1\r\nhost: x\r\n"


def test_a_body_before_a_head_is_no_part_of_it(gateway: Gateway) -> None:
    """A client that does not wait for its answer sends the next head with the end of a body."""
    body = ECHO.replace(b"Hello", b"x" * 100_000)
    head, rest = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnec", b"tion: close\r\n\r\n"
    where = urlsplit(gateway.base_url)
    with socket.create_connection((where.hostname, where.port), 5) as connection:
        connection.sendall(f"{POST}content-length: {len(body)}\r\n\r\n".encode() + body + head)
        time.sleep(0.3)
        connection.sendall(rest)
        told = connection.makefile("rb").read()
    assert told.count(b"HTTP/1.1 200 OK") == 2, told[-300:]


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0, h2c"])
def test_an_offer_of_another_protocol_costs_a_request_nothing(gateway: Gateway, offer: str) -> None:
    """Java's HTTP client offers HTTP/2 with every request that goes out without TLS."""
    head = f"{POST}connection: upgrade, http2-settings\r\nupgrade: {offer}\r\nhttp2-settings: AAMAAABk"
    assert talk(gateway, head, ECHO).json()["output"][0]["content"][0]["text"] == "You said: Hello"


def test_a_tunnel_is_refused(gateway: Gateway) -> None:
    assert talk(gateway, "CONNECT example.com:443 HTTP/1.1\r\nhost: x").status_code == 400


def test_there_is_a_websocket_at_one_path_only(gateway: Gateway) -> None:
    reply = talk(gateway, UPGRADE.format(path="/v1/models") + HANDSHAKE, end=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")
    assert reply.headers["x-request-id"]


@pytest.mark.parametrize("coding", ["Identity", ""])
def test_a_body_that_is_not_encoded(gateway: Gateway, coding: str) -> None:
    assert talk(gateway, f"{POST}content-encoding: {coding}", ECHO).status_code == 200


@pytest.mark.parametrize("begun", ["", "POST /v1/resp", POST], ids=["nothing", "a line", "a head"])
def test_a_connection_on_which_no_request_comes_is_closed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, begun: str
) -> None:
    monkeypatch.setattr("openresponses.http.server.HEAD_SECONDS", 0.1)
    assert talk(gateway, begun, end=False).status_code == 0


@pytest.mark.parametrize(
    "begun", ["GET /" + "x" * 300_000, POST + "x: " + "y" * 300_000, POST + "x: y\r\n" * 60_000]
)
def test_a_head_without_an_end_is_refused(gateway: Gateway, begun: str) -> None:
    where = urlsplit(gateway.base_url)
    with socket.create_connection((where.hostname, where.port), 5) as connection:
        with suppress(ConnectionError):
            connection.sendall(begun.encode())
        with suppress(ConnectionError):
            assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
        with suppress(ConnectionError):
            assert not connection.recv(4096), "it is closed"


def test_a_head_without_an_end_is_refused_on_a_connection_that_is_kept(gateway: Gateway) -> None:
    where = urlsplit(gateway.base_url)
    with socket.create_connection((where.hostname, where.port), 5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        with suppress(ConnectionError):
            connection.sendall(b"GET /" + b"x" * 2_000_000)
        with suppress(ConnectionError):
            while said := connection.recv(4096):
                assert b"HTTP/1.1 200 " not in said


def test_a_head_may_be_long(gateway: Gateway) -> None:
    """As with a token of 16 KB; what is behind a head does not count."""
    body = b'{"model": "echo", "input": "%b"}' % (b"x" * 100_000)
    assert talk(gateway, POST + "x: " + "y" * 40_000, body).status_code == 200


def test_a_body_that_does_not_come_to_its_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openresponses.http.body.BODY_SECONDS", 0.1)
    head = f"{POST}content-length: 1000\r\nconnection: close\r\n\r\n"
    reply = talk(gateway, head, b'{"model": "echo",', end=False)
    assert (reply.status_code, reply.json()["error"]["code"]) == (408, "request_timeout")
