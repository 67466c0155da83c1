"""Users' URLs: what no request may go to, however it is written, and where the allowed ones go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx2
import pytest
from openresponses.upstream.guard import Forbidden, addresses, is_private, read_url
from openresponses.upstream.guarded_transport import MAX_BYTES, GuardedTransport, TooLarge, client

NOT_HTTPS = (
    "http://example.com/mcp",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com:70/_",
)
FORMS = (
    *("https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.0.0.1/"),
    *("https://127.1/", "https://127.0.1/", "https://0177.0.0.1/", "https://127.0.0.1./", "https://0/"),
    *("https://1.2.3.256/", "https://1.2.3.4.5/", "https://example.com./", "https://-a.example.com/"),
    *("https://user@example.com/", "https://user:secret@example.com/", "https://example.com\\@127.0.0.1/"),
    *("https://example.com#@127.0.0.1/", "https://127.0.0.1%2f.example.com/", "https://exa mple.com/"),
    *("https://example.com/a\r\nHost: b", "https://example.com/\x00", "https:/example.com/", "https:///a"),
    *("https://ⓔxample.com/", "https://examp\u017fe.com/", "https://127。0。0。1/", "https://example.com:0/"),
    *(
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
    ),
    *("//example.com/", "https://example.com/" + "a" * 3000, "", "https://[1.2.3.4]/"),
)
PRIVATE = (
    *("https://127.0.0.1/", "https://127.255.255.254:8443/mcp", "https://10.0.0.1/", "https://172.16.0.1/"),
    *("https://172.31.255.255/", "https://192.168.1.1/", "https://100.64.0.1/", "https://[::1]/"),
    *("https://[0:0:0:0:0:0:0:1]/", "https://[fc00::1]/", "https://[fdff::1]/"),
)
RESERVED = (
    *("https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/v2/credentials", "https://0.0.0.0/"),
    *("https://224.0.0.1/", "https://239.255.255.250/", "https://255.255.255.255/", "https://240.0.0.1/"),
    *("https://192.0.0.192/", "https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/"),
    *("https://203.0.113.9/", "https://192.88.99.1/", "https://[::]/", "https://[::ffff:127.0.0.1]/"),
    *("https://[::ffff:8.8.8.8]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/"),
    *("https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/", "https://[2001::7f00:1]/", "https://[fe80::1]/"),
    *("https://[fd00:ec2::254]/latest/meta-data/", "https://[ff02::1]/", "https://[fec0::1]/", "https://[2001:db8::1]/"),
)  # fmt: skip
PUBLIC = (
    "https://example.com/mcp?key=1",
    "https://EXAMPLE.com:8443",
    "https://8.8.8.8/",
    "https://[2606:4700::1111]/",
)


@pytest.mark.parametrize("url", [*NOT_HTTPS, *FORMS, *PRIVATE, *RESERVED])
def test_a_hostile_url_is_refused(url: str) -> None:
    with pytest.raises(Forbidden):
        read_url(url)


@pytest.mark.parametrize("url", [*FORMS, *RESERVED])
def test_some_are_refused_where_private_addresses_are_allowed(url: str) -> None:
    with pytest.raises(Forbidden):
        read_url(url, private=True)


@pytest.mark.parametrize("url", PUBLIC)
def test_public_ones_are_not(url: str) -> None:
    assert read_url(url).scheme == "https"


@pytest.mark.parametrize("url", [*PRIVATE, "http://127.0.0.1:9000/mcp", "http://localhost/"])
def test_private_ones_are_not_where_the_operator_allows_them(url: str) -> None:
    assert is_private(read_url(url, private=True))


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["93.184.215.14", "10.0.0.1"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%eth0"],
    ],
)
async def test_a_name_with_any_such_address_is_refused(found: list[str]) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return found

    with pytest.raises(Forbidden):
        await addresses(read_url("https://rebound.example.com/"), lookup=lookup)


async def test_a_name_is_looked_up_once() -> None:
    """DNS rebinding: the second answer of the name server changes nothing."""
    answers = [["93.184.215.14"], ["127.0.0.1"]]

    async def lookup(host: str, port: int) -> list[str]:
        return answers.pop(0)

    transport = GuardedTransport(private=False, lookup=lookup)
    assert await transport.check("https://rebound.example.com/a") == "93.184.215.14"
    assert await transport.check("https://rebound.example.com/b") == "93.184.215.14"


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        moved = {"/away": "http://169.254.169.254/", "/loop": "/loop"}.get(self.path)
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("location", moved)
        if self.path == "/zip":
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        if self.path == "/large":
            self.wfile.write(bytes(MAX_BYTES + 1))
        elif not moved:
            self.wfile.write(self.headers["host"].encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


async def on_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_the_request_goes_to_the_address_that_was_checked_and_keeps_its_host(site: int) -> None:
    transport = GuardedTransport(private=True, lookup=on_loopback)
    async with client(transport, trust_env=False) as http:
        assert (await http.get(f"http://mcp.example.com:{site}/")).text == f"mcp.example.com:{site}"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("away", Forbidden),
        ("loop", httpx2.TooManyRedirects),
        ("large", TooLarge),
        ("zip", httpx2.DecodingError),
    ],
)
async def test_redirects_are_checked_and_bodies_have_a_limit(
    site: int, path: str, error: type[Exception]
) -> None:
    transport = GuardedTransport(private=True, lookup=on_loopback)
    async with client(transport, trust_env=False, follow_redirects=True) as http:
        with pytest.raises(error):
            await http.get(f"http://mcp.example.com:{site}/{path}")
