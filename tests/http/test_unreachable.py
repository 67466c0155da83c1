"""Providers that cannot be reached, must not be trusted, or do not take what they are sent: raw sockets and TLS."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ..support.client import Client
from ..support.gateway import Server
from ..support.speech import says
from ..support.tls import DAY, NOW, certificate, tls
from ..support.waiting import wait_for

LARGE = "x" * 6_000_000  # more than the sockets between the two hold
HELLO = says("chat", "Hello")
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b" % (
    len(HELLO.body),
    HELLO.body,
)
TOO_LARGE = b'{"error":{"message":"Too large."}}'
EARLY = (
    b"HTTP/1.1 413 Content Too Large\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
    % (
        len(TOO_LARGE),
        TOO_LARGE,
    )
)


@dataclass
class Seen:
    """What a server of a test was sent."""

    data: bytes = b""
    connections: int = 0
    open: list[socket.socket] = field(default_factory=list)


@contextmanager
def serving(
    serve: Callable[[socket.socket, Seen], None],
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[int, Seen]]:
    """Its port, and what it sees; each connection is served in a thread of its own."""
    seen = Seen()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family)

    def one(connection: socket.socket) -> None:
        with (
            suppress(OSError),
            tls.wrap_socket(connection, server_side=True) if tls else connection as opened,
        ):
            serve(opened, seen)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                seen.connections += 1
                seen.open.append(connection)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        listener.close()
        for connection in seen.open:
            connection.close()


def answers(connection: socket.socket, seen: Seen) -> None:
    while not seen.data.endswith(b"}"):  # the end of the body
        if not (data := connection.recv(65536)):
            return
        seen.data += data
    connection.sendall(WHOLE)


def greets(connection: socket.socket, seen: Seen) -> None:
    connection.sendall(b"220 smtp ready\r\n")
    seen.data += connection.recv(65536)


def never_reads(connection: socket.socket, seen: Seen) -> None:
    seen.data += connection.recv(1024)
    time.sleep(30)


def answers_early(connection: socket.socket, seen: Seen) -> None:
    """Says 413 behind the head, and goes on reading, as RFC 9110 wants it (section 9.3 of RFC 9112)."""
    seen.data += connection.recv(1024)
    connection.sendall(EARLY)
    while connection.recv(1 << 20):
        pass


def answers_early_and_resets(connection: socket.socket, seen: Seen) -> None:
    seen.data += connection.recv(1024)
    connection.sendall(EARLY)


def resets(connection: socket.socket, seen: Seen) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextmanager
def gateway(tmp_path: Path, url: str, transport: str, patch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A gateway whose provider `there` is at the URL."""
    if transport == "httpx":
        import sys

        patch.setitem(sys.modules, "openresponses.upstream.aiohttp_transport", None)
    config = tmp_path / "providers.toml"
    config.write_text(f'[[provider]]\nname = "there"\nadapter = "chat"\nbase_url = "{url}"\nauth = "none"\n')
    server = Server({}, config_path=str(config), first_byte_timeout=2.0, log_level="CRITICAL").start()
    try:
        with httpx.Client(timeout=30, trust_env=False) as http:
            yield Client(server.url, http)
    finally:
        server.stop()


def established(port: int) -> bool:
    """Whether this machine has an open connection to the port: by Linux's proc_net_tcp(5)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


TRANSPORTS = pytest.mark.parametrize("transport", ["aiohttp", "httpx"])


@TRANSPORTS
@pytest.mark.parametrize(
    ("serve", "status", "code"),
    [
        (never_reads, 504, "provider_timeout"),
        (answers_early, 413, "request_too_large"),
        (resets, 502, "provider_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_provider_that_does_not_take_the_request(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    serve: Callable[[socket.socket, Seen], None],
    status: int,
    code: str,
    stream: bool,
) -> None:
    with serving(serve) as (port, _), ExitStack() as stack:
        client = stack.enter_context(gateway(tmp_path, f"http://127.0.0.1:{port}", transport, monkeypatch))
        told = client.ask({"model": "there/m", "input": LARGE}, stream=stream)
        assert (told.status, told.error["code"]) == (status, code)
        if serve is never_reads:  # others may be asked again
            wait_for(lambda: not established(port), "the gateway holds its connection", 3.0)


@TRANSPORTS
def test_an_early_answer_whose_connection_is_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    """A reset takes with it what was not read yet: the answer counts if it came."""
    with serving(answers_early_and_resets) as (port, _), ExitStack() as stack:
        client = stack.enter_context(gateway(tmp_path, f"http://127.0.0.1:{port}", transport, monkeypatch))
        told = client.ask({"model": "there/m", "input": LARGE})
        assert (told.status, told.error["code"]) in (
            (413, "request_too_large"),
            (502, "provider_unavailable"),
        )


@TRANSPORTS
def test_an_address_of_ipv6_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    with ExitStack() as stack:
        port, _ = stack.enter_context(serving(answers, host="::1"))
        client = stack.enter_context(gateway(tmp_path, f"http://[::1]:{port}", transport, monkeypatch))
        assert client.ask({"model": "there/m", "input": "hi"}).text == "Hello"


@TRANSPORTS
def test_a_name_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    known = socket.getaddrinfo

    def lookup(host: str, *more: object, **named: object) -> object:
        if "nobody.invalid" in str(host):
            raise socket.gaierror(socket.EAI_NONAME, "secret words")
        return known(host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with gateway(tmp_path, "https://nobody.invalid", transport, monkeypatch) as client:
        told = client.ask({"model": "there/m", "input": "hi"})
        assert (told.status, told.error["code"]) == (502, "provider_unavailable")
        assert "secret" not in told.error["message"]


# --------------------------------------------------------------------------- TLS


@TRANSPORTS
@pytest.mark.parametrize(
    "wrong", ["nothing", "signs itself", "has expired", "is for another host", "speaks no TLS"]
)
def test_tls_that_cannot_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, wrong: str
) -> None:
    """Nothing of the request, its key and its content, goes to somebody else."""
    name = "elsewhere.example" if wrong == "is for another host" else "localhost"
    path = certificate(tmp_path, name=name, until=NOW - DAY if wrong == "has expired" else NOW + DAY)
    if wrong != "signs itself":
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = None if wrong == "speaks no TLS" else tls(path)
    with ExitStack() as stack:
        port, seen = stack.enter_context(serving(answers if context else greets, tls=context))
        client = stack.enter_context(gateway(tmp_path, f"https://localhost:{port}", transport, monkeypatch))
        told = client.ask({"model": "there/m", "input": "secret words"})
        if wrong == "nothing":
            assert told.text == "Hello"
            return
        assert (told.status, told.error["code"]) == (502, "provider_unavailable")
        assert b"secret" not in seen.data and b"POST" not in seen.data
        assert seen.connections
