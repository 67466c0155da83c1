"""MCP servers that break, flood or mislead: it is the error of their call or of their list, soon, and nothing of what
opens them is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from ..support.gateway import Gateway, Server, environment
from ..support.provider import Provider
from ..support.speech import MODELS, says

Json = dict[str, Any]
TOKEN = "canary-of-the-server"
LARGE = b"x" * (11 << 20)


def tool(name: str = "do", **fields: Any) -> Json:
    return {"name": name, "inputSchema": {"type": "object", "properties": {}}, **fields}


def text(said: str) -> Json:
    return {"content": [{"type": "text", "text": said}]}


def page(cursor: int) -> Json:
    return {"tools": [tool(f"t{cursor}")], "nextCursor": str(cursor + 1)}


UNREADABLE: list[Any] = [
    *({"type": "string"}, {"type": ["object"]}, {"type": "object", "properties": {"a": 5}}, [5], "x"),
    *({"type": "object", "properties": [5]}, {"type": "object", "required": "a"}, {"$schema": 5}),
]
# What the server answers to tools/list: a result, or the body itself.
LISTS: dict[str, Any] = {
    "endless": page,
    "thousands": {"tools": [tool(f"t{n}") for n in range(1_500)]},
    "long": {"tools": [tool(description="x" * 1_100_000)]},
    "garbage": b"<html>",
    "large_list": b'{"jsonrpc": "2.0", "id": 1, "result": {"tools": [], "x": "%b"}}' % LARGE,
    "twice": {"tools": [tool("a"), tool("a"), tool("a."), tool("a_")]},
    "odd": {
        "tools": [
            tool("a", inputSchema={"properties": {"b": {"type": "string"}}}),
            tool("b", inputSchema=None),
            tool("c", inputSchema={"type": None, "properties": None, "required": None}),
            tool("d", icons=5, outputSchema="x", execution=[], annotations={"readOnlyHint": "x", "title": 5}),
            {"name": "e", "description": ["x"], "annotations": "x"},
            *(tool("x", inputSchema=schema) for schema in UNREADABLE),
            {"inputSchema": {"type": "object"}},
            {"name": 5},
            5,
        ]
    },
    "unresolvable": {
        "tools": [
            tool("a"),
            tool("b", inputSchema={"type": "object", "properties": {"c": {"$ref": "#/$defs/d"}}}),
        ]
    },
    "slow_pattern": {
        "tools": [
            tool(
                outputSchema={"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
            )
        ]
    },
}
# The same for tools/call.
CALLS: dict[str, Any] = {
    "fine": text("fine"),
    "odd": text("fine"),
    "large": b'{"jsonrpc": "2.0", "id": 2, "result": {"content": [], "x": "%b"}}' % LARGE,
    "nothing": b"",
    "deep": b'{"jsonrpc": "2.0", "id": 2, "result": {"content": [], "x": %b}}' % (b"[" * 5000 + b"]" * 5000),
    "no_result": {},
    "other_kind": {"content": [{"type": "hologram"}]},
    "dies": None,
    "elsewhere": 307,
    "kinds": {
        "content": [
            {"type": "resource_link", "name": "page", "uri": "http://169.254.169.254/latest"},
            {"type": "resource", "resource": {"uri": "file:///a.txt", "text": "inside a"}},
            {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": "AAAA"}},
            {"type": "audio", "mimeType": "audio/wav", "data": "AAAAAAAA"},
            {"type": "text", "text": "last", "annotations": {"audience": ["user"]}},
        ],
        "structuredContent": {"beside": "not told twice"},
    },
    "structured": {"content": [], "structuredContent": {"a": [1, None]}},
    "expires": text("again"),
    "no_stream": {**text("not so"), "isError": True},
    "slow_pattern": {"content": [], "structuredContent": {"a": "a" * 40 + "!"}},
}  # fmt: skip


class Hostile(BaseHTTPRequestHandler):
    """Answers as the path says."""

    protocol_version = "HTTP/1.1"
    paths: ClassVar[set[str]] = set()  # that were asked for
    called: ClassVar[list[str]] = []  # paths, once a call
    sessions = 0  # that were opened where they expire: the first one is known no more when a tool is called

    def do_GET(self) -> None:
        self.paths.add(self.path)
        self.reply(b"", 404 if self.path == "/no_stream" else 405)

    def do_DELETE(self) -> None:
        self.reply(b"")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, name = asked["method"], self.path.strip("/")
        self.paths.add(self.path)
        if name == "oauth":
            return self.reply(b"", 401)
        if "id" not in asked:
            return self.reply(b"", 202)
        if method == "initialize":
            version = asked["params"]["protocolVersion"]
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "hostile", "version": "1"}}
            session = None
            if name == "expires":
                Hostile.sessions += 1
                session = f"session-{Hostile.sessions}"
            elif name == "no_stream":
                session = "session"
            return self.answer(asked, {"protocolVersion": version, **about}, session)
        if method == "tools/list":
            listed = LISTS.get(name, {"tools": [tool()]})
            cursor = (asked.get("params") or {}).get("cursor") or 0
            return self.answer(asked, listed(int(cursor)) if callable(listed) else listed)
        if method != "tools/call":
            return self.error(asked, "there is no such method", -32601)
        self.called.append(self.path)
        if name == "expires" and self.headers["mcp-session-id"] == "session-1":
            return self.reply(b"", 404)
        if name == "tells":
            return self.error(asked, f"no such token: {self.headers['authorization']}")
        return self.answer(asked, CALLS.get(name))

    def error(self, asked: Json, message: str, code: int = -32000) -> None:
        error = {"code": code, "message": message}
        self.reply(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode())

    def answer(self, asked: Json, given: Any, session: str | None = None) -> None:
        if given is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(given, int):
            return self.reply(b"", given)
        if isinstance(given, bytes):
            return self.reply(given, kind="text/html" if given.startswith(b"<") else "application/json")
        self.reply(
            json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": given}).encode(), session=session
        )

    def reply(
        self, body: bytes, status: int = 200, kind: str = "application/json", session: str | None = None
    ) -> None:
        with suppress(OSError):
            self.send_response(status)
            if session:
                self.send_header("mcp-session-id", session)
            metadata = f"http://{self.headers['host']}/.well-known/oauth-protected-resource"
            self.send_header("www-authenticate", f'Bearer resource_metadata="{metadata}"')
            self.send_header("location", "http://169.254.169.254/latest")
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def hostile() -> Iterator[Callable[[str], Json]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield lambda name: {
        "type": "mcp",
        "server_label": "bad",
        "server_url": f"{url}/{name}",
        "require_approval": "never",
        "authorization": TOKEN,
    }
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), log_level="DEBUG").start()
    yield started
    started.stop()


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    return Gateway(server.url, provider, http, lambda: server.stored)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("large", "too large"),
        ("nothing", "is not MCP's JSON"),
        ("deep", "is not MCP's JSON"),
        ("no_result", "cannot be read"),
        ("other_kind", "cannot be read"),
        ("dies", "Connection closed"),
        ("elsewhere", "169.254.169.254"),
        ("tells", "no such token: [redacted]"),
        ("slow_pattern", None),
        ("fine", None),
    ],
)
def test_a_call(
    gateway: Gateway,
    hostile: Callable[[str], Json],
    caplog: pytest.LogCaptureFixture,
    name: str,
    said: str | None,
) -> None:
    scenario = gateway.scenario(says("chat", calls=[("bad__do", {})]), says("chat", "Well."))
    begun = time.monotonic()
    told = gateway.ask({"model": MODELS["chat"], "input": "go", "tools": [hostile(name)]}, stream=True)
    assert time.monotonic() - begun < 15
    [call] = told.of("mcp_call")
    assert (told.response["status"], told.text) == ("completed", "Well.")
    assert said in call["error"]["message"] if said else call["error"] is None
    assert TOKEN not in json.dumps(told.events) + caplog.text + scenario.requests[1].body.decode()


@pytest.mark.parametrize(
    ("name", "error", "offered"),
    [
        pytest.param("endless", "more than 50 pages", 0, marks=pytest.mark.slow),
        ("thousands", "more than 1000 tools: name the ones to offer in 'allowed_tools'", 0),
        ("long", "tools of more than 1048576 bytes", 0),
        ("garbage", "text/html", 0),
        ("large_list", "too large", 0),
        ("twice", None, 3),
        ("odd", None, 5),
        ("unresolvable", None, 1),  # the other one is listed, but no tool for this provider
    ],
)
def test_a_list(
    gateway: Gateway, hostile: Callable[[str], Json], name: str, error: str | None, offered: int
) -> None:
    scenario = gateway.scenario(says("gemini", "Well."))
    begun = time.monotonic()
    told = gateway.ask({"model": MODELS["gemini"], "input": "go", "tools": [hostile(name)]}, stream=True)
    assert time.monotonic() - begun < 15
    [listed] = told.of("mcp_list_tools")
    assert (told.response["status"], told.text) == ("completed", "Well.")
    assert error in listed["error"] if error else listed["error"] is None
    declared = scenario.requests[0].json.get("tools", [{}])[0].get("functionDeclarations", [])
    assert len({each["name"] for each in declared}) == offered


def test_some_of_thousands(gateway: Gateway, hostile: Callable[[str], Json]) -> None:
    scenario = gateway.scenario(says("gemini", "Well."))
    few = {**hostile("thousands"), "allowed_tools": ["t9", "t1499"]}
    told = gateway.ask({"model": MODELS["gemini"], "input": "go", "tools": [few]})
    assert [each["name"] for each in told.of("mcp_list_tools")[0]["tools"]] == ["t9", "t1499"]
    assert b"bad__t1499" in scenario.requests[0].body


@pytest.mark.parametrize("name", ["a", "e"])
def test_one_odd_tool_costs_no_other(gateway: Gateway, hostile: Callable[[str], Json], name: str) -> None:
    scenario = gateway.scenario(says("openai", calls=[(f"bad__{name}", {})]), says("openai", "Well."))
    tools = [{**hostile("odd"), "allowed_tools": {"read_only": False}}]
    told = gateway.ask({"model": MODELS["openai"], "input": "go", "tools": tools})
    assert [each["name"] for each in told.of("mcp_list_tools")[0]["tools"]] == [*"abcde"]
    first = scenario.requests[0].json["tools"][0]
    assert first["parameters"] == {"type": "object", "properties": {"b": {"type": "string"}}}
    assert told.of("mcp_call")[0]["error"] is None


@pytest.mark.parametrize(
    ("name", "output"),
    [
        (
            "kinds",
            "[resource: page, http://169.254.169.254/latest]\ninside a\n[resource: file:///a.bin, 3 bytes that are not "
            "text]\n[audio: audio/wav, 6 bytes]\nlast",
        ),
        ("structured", '{"a":[1,null]}'),
    ],
)
def test_what_a_result_may_hold(
    gateway: Gateway, hostile: Callable[[str], Json], name: str, output: str
) -> None:
    """All of it is text for the model; a link is not followed."""
    scenario = gateway.scenario(says("chat", calls=[("bad__do", {})]), says("chat", "Well."))
    told = gateway.ask({"model": MODELS["chat"], "input": "go", "tools": [hostile(name)]})
    assert told.of("mcp_call")[0]["output"] == output
    assert scenario.requests[1].json["messages"][-1]["content"] == output


def test_a_session_that_has_expired_is_opened_again(gateway: Gateway, hostile: Callable[[str], Json]) -> None:
    """As the protocol wants it of a 404: the server has not heard of the call."""
    gateway.scenario(says("chat", calls=[("bad__do", {}), ("bad__do", {})]), says("chat", "Well."))
    told = gateway.ask({"model": MODELS["chat"], "input": "go", "tools": [hostile("expires")]})
    assert [call["output"] for call in told.of("mcp_call")] == ["again", "again"], told.of("mcp_call")
    assert Hostile.sessions == 2


def test_a_server_without_a_stream_of_its_own_has_forgotten_no_session(
    gateway: Gateway, hostile: Callable[[str], Json]
) -> None:
    """A call that failed was made: it is not made again."""
    gateway.scenario(says("chat", calls=[("bad__do", {})]), says("chat", "Well."))
    told = gateway.ask({"model": MODELS["chat"], "input": "go", "tools": [hostile("no_stream")]})
    assert told.of("mcp_call")[0]["error"]["type"] == "mcp_tool_execution_error"
    assert Hostile.called.count("/no_stream") == 1


def test_where_a_server_sends_for_a_token_nobody_goes(
    gateway: Gateway, hostile: Callable[[str], Json]
) -> None:
    """Metadata of OAuth would be an address of the server's choice; tokens come with the request."""
    gateway.scenario(says("chat", "Well."))
    Hostile.paths.clear()
    told = gateway.ask({"model": MODELS["chat"], "input": "go", "tools": [hostile("oauth")]})
    assert "401" in told.of("mcp_list_tools")[0]["error"] and told.text == "Well."
    assert Hostile.paths == {"/oauth"}
