"""What a client or a provider says stays what it is: no line of a header, of an event stream or of a log, no step of a
path."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from openresponses.logs import JsonLines, TextLines

from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import DIALECTS, MODELS, says

Json = dict[str, Any]

EVIL = {
    "a header": "a\r\nx-evil: 1\r\n\r\n",
    "an event": '\n\nevent: response.completed\ndata: {"type":"response.completed"}\n\ndata: [DONE]\n\n',
    "a carriage return": "a\rdata: [DONE]\r\revent: error",
    "other line breaks": "a\u2028data: [DONE]\u2029\x85\x0b\x0cb",
    "a log line": "a\n2026-01-01 00:00:00 ERROR openresponses: forged",
    "a terminal": "\x1b[31mred\x1b[0m\x07",
    "a zero": "a\x00b",
}
# What every answer may have in its head, and no more.
HEADERS = {
    *(
        "date",
        "server",
        "content-type",
        "content-length",
        "transfer-encoding",
        "cache-control",
        "x-accel-buffering",
    ),
    *(
        "x-request-id",
        "x-openresponses-route",
        "x-openresponses-ignored",
        "connection",
        "traceparent",
        "vary",
    ),
}


def function(name: str) -> Json:
    return {"type": "function", "name": name, "parameters": {"type": "object"}}


# Every text of a request that is shown, logged, or put into a header or a path somewhere.
PLACES: dict[str, Any] = {
    "model": lambda evil: {"model": evil},
    "model of a provider": lambda evil: {"model": f"openai/{evil}"},
    "input": lambda evil: {"input": evil},
    "instructions": lambda evil: {"instructions": evil},
    "metadata": lambda evil: {"metadata": {evil[:60]: evil}},
    "safety_identifier": lambda evil: {"safety_identifier": evil},
    "service_tier": lambda evil: {"service_tier": evil[:60]},
    "include": lambda evil: {"include": [evil]},
    "previous_response_id": lambda evil: {"previous_response_id": evil},
    "conversation": lambda evil: {"conversation": evil},
    "item reference": lambda evil: {"input": [{"type": "item_reference", "id": evil}]},
    "item type": lambda evil: {"input": [{"type": evil}]},
    "item id": lambda evil: {"input": [{"role": "user", "content": "x", "id": evil}]},
    "call": lambda evil: {"input": [{"type": "function_call", "call_id": evil, "name": "f", "arguments": evil},
                                    {"type": "function_call_output", "call_id": evil, "output": evil}]},
    "tool name": lambda evil: {"tools": [function(evil)]},
    "tool type": lambda evil: {"tools": [{"type": evil}]},
    "tool choice": lambda evil: {"tools": [function("f")], "tool_choice": {"type": "function", "name": evil}},
    "server label": lambda evil: {"tools": [{"type": "mcp", "server_label": evil, "server_url": "https://127.0.0.1/"}]},
    "a tool's field": lambda evil: {"tools": [{"type": "web_search", evil: 1, "x": {evil: 1}}]},
    "a field": lambda evil: {evil: 1},
}  # fmt: skip


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("place", PLACES)
def test_a_text_of_the_clients(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, place: str, evil: str
) -> None:
    dialect = "chat" if place != "model of a provider" else "openai"
    scenario = gateway.scenario(says(dialect, "Hello"))
    with caplog.at_level(logging.DEBUG, "openresponses"):
        model = "openrouter/a/b" if place == "a tool's field" else MODELS["chat"]
        told = gateway.ask({"model": model, "input": "x", **PLACES[place](evil)}, stream=True)
    assert told.status in (200, 400, 404), told.error
    assert set(told.headers) <= HEADERS, told.headers
    assert evil not in told.error.get("message", "")
    assert {request.path for request in scenario.requests} <= {"/v1/chat/completions", "/v1/responses"}
    assert not any("x-evil" in request.headers for request in scenario.requests)
    check_lines(caplog.records)


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect in MODELS])
def test_a_text_of_the_providers(gateway: Gateway, dialect: str, evil: str) -> None:
    """`Gateway.ask` reads the stream strictly: every event one line, nothing between them."""
    gateway.scenario(says(dialect, evil, calls=[("f", {"a": evil})], reasoning=evil))
    body = {"model": MODELS[dialect], "input": "x", "tools": [function("f")]}
    told = gateway.ask(body, stream=True)
    assert told.status == 200 and told.text == evil
    assert json.loads(told.of("function_call")[0]["arguments"]) == {"a": evil}


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect in MODELS])
def test_an_error_of_the_providers(gateway: Gateway, caplog: pytest.LogCaptureFixture, dialect: str) -> None:
    for evil in map(str.upper, EVIL.values()):  # words that are nobody's content
        error = {"error": {"message": evil, "type": evil, "code": evil, "status": evil}, "message": evil}
        gateway.scenario(Answer(json.dumps(error).encode(), status=400, headers={"x-evil": "1"}))
        with caplog.at_level(logging.DEBUG, "openresponses"):
            told = gateway.ask({"model": MODELS[dialect], "input": "x"}, stream=True)
        assert told.status in (400, 404) and set(told.headers) <= HEADERS
    check_lines(caplog.records)


def check_lines(records: list[logging.LogRecord]) -> None:
    for record in records:
        if record.name.startswith("openresponses") and not record.exc_info:
            for form in (TextLines(), JsonLines()):
                line = form.format(record)
                assert line.isprintable(), repr(line)


def test_a_header_has_an_end(gateway: Gateway) -> None:
    """However many knobs a provider has no place for: front doors limit the size of a head."""
    gateway.scenario(says("chat", "Hello"))
    fields = {f"field_{n}": 1 for n in range(1000)}
    told = gateway.ask({"model": "openrouter/a/b", "input": "x", "tools": [{"type": "web_search", **fields}]})
    ignored = told.headers["x-openresponses-ignored"]
    assert ignored.startswith("tools[0].field_0, ") and ignored.endswith(" more") and len(ignored) < 2100


PATHS = [
    "/v1/responses/" + quote("../conversations", safe=""),
    "/v1/responses/%2e%2e/healthz",
    "/v1/responses/" + quote("a\r\nx-evil: 1", safe=""),
    "/v1/responses/resp_%00",
    "/v1/responses/" + "a" * 5000,
    "/v1/models/" + quote("openai/../../x", safe="/"),
    "/v1/models/" + quote("a\nb", safe=""),
    "/v1/conversations/" + quote("conv_\u2028", safe="") + "/items",
    "/v1//responses",
    "//v1/responses",
    "/v1/responses;x=1",
    "/v1/%",
    "/v1/%zz",
    "/v1/%ff",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path(gateway: Gateway, path: str) -> None:
    scenario = gateway.scenario()
    head, body = exchanged(
        gateway, f"GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n".encode("latin-1")
    )
    assert b" 404 " in head.split(b"\r\n")[0] + b" " and b"x-evil" not in head.lower()
    error = json.loads(body)["error"]
    assert error["type"] == "not_found" and len(error["message"]) < 500
    assert not scenario.requests


REQUEST = (
    b"POST /v1/responses HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-type: application/json\r\n"
)
BODY = json.dumps({"model": "echo", "input": "Hello"}).encode()


@pytest.mark.parametrize(
    "header",
    [
        b"x-request-id: mine",
        b"x-request-id: \x1b[31m\xff",
        b"idempotency-key: \xff\x01",
        b"idempotency-key: a\tb",
        b"traceparent: 00-x",
        b"authorization: Bearer \xe2\x80\xa8",
        b"x-forwarded-host: evil.example\r\nforwarded: host=evil.example",
        b"accept: text/event-stream\r\nlast-event-id: 5",
    ],
)
def test_a_header(gateway: Gateway, header: bytes) -> None:
    """None of the client's comes back, and none breaks the answer."""
    length = b"content-length: %d" % len(BODY)
    head, _ = exchanged(gateway, REQUEST + header + b"\r\n" + length + b"\r\n\r\n" + BODY)
    status, *fields = head.split(b"\r\n")
    assert status.split()[1] in (b"200", b"400")
    names = {field.partition(b":")[0].decode().lower() for field in fields if field}
    assert names <= HEADERS, names
    assert b"mine" not in head and b"evil" not in head


def exchanged(gateway: Gateway, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to these very bytes."""
    address = urlsplit(gateway.base_url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=10) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body
