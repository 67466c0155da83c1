"""What must hold for every answer, whatever was asked and whatever the provider said."""

from __future__ import annotations

from typing import Any

import orjson

from ..support import grammar, schema
from .dice import CANARY
from .gateway import Exchange, Reply
from .streams import Case

Json = dict[str, Any]

# Codes of a 400 or 404 that is about no parameter in particular.
WITHOUT_PARAM = {"invalid_json", "not_found", "method_not_allowed", "request_too_large", "conflict"}
HEADERS_ONLY = {"HEAD"}


class Wrong(AssertionError):
    """An answer that breaks a rule."""


def check_reply(exchange: Exchange, reply: Reply) -> Json | None:
    """The response, if there is one. Raises AssertionError."""
    must(reply.status, "no answer at all")
    must(reply.status < 500, f"status {reply.status}: {reply.body[:300]!r}")
    must("x-request-id" in reply.headers, "no x-request-id")
    check_headers(reply)
    if exchange.method in HEADERS_ONLY:
        return None
    if reply.status >= 400:
        check_error(reply)
        return None
    if reply.headers["content-type"].startswith("text/event-stream"):
        return resumed(reply.body) if exchange.method == "GET" else told_by(reply.body)
    value = orjson.loads(reply.body)
    if value.get("object") == "response" and value.get("status") not in (None, "queued", "in_progress"):
        grammar.check_end(value)
    return value  # type: ignore[no-any-return]


def told_by(body: bytes) -> Json:
    """The response that a whole stream told. Raises AssertionError for an illegal one."""
    return grammar.check_any_stream(grammar.parse(body))


def resumed(body: bytes) -> Json | None:
    """The end of a stream that is told again from somewhere on; None if nothing is left of it."""
    if body == b"data: [DONE]\n\n":
        return None
    events = grammar.parse(body)
    first = events[0]["sequence_number"]
    must([event["sequence_number"] for event in events] == list(range(first, first + len(events))), "a gap")
    return events[-1].get("response")


def check_error(reply: Reply) -> Json:
    body = orjson.loads(reply.body)
    schema.check_error(body)
    error: Json = body["error"]
    must(CANARY not in reply.body.decode(), f"content in an error: {error}")
    must(error["code"] in WITHOUT_PARAM or error["param"] or reply.status in (401, 429), f"no param: {error}")
    must(len(error["message"]) < 1000, f"a message of {len(error['message'])} characters")
    must(error["message"].isprintable() or "\n" not in error["message"], f"a line break in {error}")
    return error


def check_headers(reply: Reply) -> None:
    for name, value in reply.headers.items():
        must(not set("\r\n\0") & set(name + value), f"a line break in header {name}")


def must(condition: object, message: str) -> None:
    if not condition:
        raise Wrong(message)


# --------------------------------------------------------------------------- turns


def check_turn(case: Case, reply: Reply, stored: Any) -> None:
    """A whole turn: told by a legal stream or as one object, or an error in our shape; stored as it was told."""
    check_headers(reply)
    if reply.status != 200:
        error = check_provider_error(reply)
        must(not case.ours or CANARY not in error["message"], f"content in an error: {error}")
        return
    streamed = b'"stream": true' in case.exchange.body
    told = told_by(reply.body) if streamed else orjson.loads(reply.body)
    if not streamed:
        grammar.check_any_end(told)
    error = told["error"] or {}
    must(error.get("code") != "server_error", f"the gateway itself failed: {error}")
    must(not case.ours or CANARY not in error.get("message", ""), f"content in an error: {error}")
    if told["store"] and stored is not None:
        must(stored.response["id"] == told["id"], "the response was not stored")
        kept = orjson.loads(orjson.dumps(stored.response))
        visible = [dict(item) for item in kept["output"]]
        if b"encrypted_content" not in case.exchange.body:
            visible = [{k: v for k, v in item.items() if k != "encrypted_content" or item["type"] != "reasoning"}
                       for item in visible]  # fmt: skip
        must({**kept, "output": visible} == told, "stored is not what was told")


def check_provider_error(reply: Reply) -> Json:
    body = orjson.loads(reply.body)
    schema.check_error(body)
    error: Json = body["error"]
    must(error["code"] != "server_error", f"the gateway itself failed: {error}")
    must(reply.status in PROVIDER_FAULTS, f"status {reply.status}: {error}")
    return error


# What an answer of a provider may come to: its refusals, its limits, its failures.
PROVIDER_FAULTS = {400, 403, 404, 413, 429, 500, 502, 503, 504}
