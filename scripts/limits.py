"""Every limit that the gateway sets, read from the code and the template, and AWS's own that bound it there."""

from __future__ import annotations

import re
from pathlib import Path

from openresponses.adapters.anthropic.request import DEFAULT_MAX_TOKENS
from openresponses.engine import calls, held, hosted_tools, middleware, tool_results
from openresponses.engine.mcp import listing, results
from openresponses.http import body, idempotency, server
from openresponses.protocol import conversations, items, pages, websocket
from openresponses.settings import Settings
from openresponses.store import base, dynamodb_connections, dynamodb_layout
from openresponses.upstream import api_gateway, framing, guarded_transport

Row = tuple[str, object]

TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"
SETTINGS = Settings()


def size(count: int) -> str:
    for unit, step in (("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= step and count % step == 0:
            return f"{count // step} {unit}"
    return f"{count} bytes"


def _setting(value: object, field: str) -> str:
    return f"{value} (`OPENRESPONSES_{field.upper()}`)"


def _seconds(field: str) -> str:
    value = getattr(SETTINGS, field)
    return _setting("none" if value is None else f"{value:g} s", field)


def _in_template(section: str, field: str) -> int:
    """A number of a resource or parameter. Raises LookupError if the template has none there."""
    text = TEMPLATE.read_text(encoding="utf-8")
    found = re.search(rf"^  {section}:\n(?:(?:    .*)?\n)*?\s+{field}: (\d+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"{section}.{field}")
    return int(found[1])


def request() -> list[Row]:
    return [
        ("Body", _setting(size(SETTINGS.max_body_bytes), "max_body_bytes") + "; on AWS 4 MB"),
        ("Its head, on the local server", f"{server.HEAD_SECONDS:g} s, {size(server.HEAD_BYTES)}"),
        ("All of it", f"{body.BODY_SECONDS:g} s"),
        ("Input items", items.MAX_INPUT_ITEMS),
        ("Tools", items.MAX_TOOLS),
        ("`parameters` of a tool", size(items.MAX_TOOL_SCHEMA_BYTES)),
        ("`metadata`", "16 pairs, keys of 64 characters, values of 512"),
        ("Items in one request to a conversation", conversations.MAX_ITEMS),
        (
            "A client's reading of an answer that waits for it, on the local server",
            f"{server.STALLED_SECONDS:g} s",
        ),
        ("Entries of a page of a list", f"{pages.DEFAULT_LIMIT}, at most {pages.MAX_LIMIT}"),
    ]


def turn() -> list[Row]:
    return [
        ("A turn", _seconds("max_turn_seconds") + f"; on AWS {_in_template('MaxTurnSeconds', 'Default')} s"),
        ("An answer that does not stream", _seconds("max_json_seconds") + "; on AWS 285 s"),
        ("Connecting to a provider", _seconds("connect_timeout")),
        ("Silence before a provider's first byte", _seconds("first_byte_timeout")),
        ("Silence after it", _seconds("idle_timeout")),
        ("Silence while the model reasons", _seconds("reasoning_idle_timeout")),
        ("Attempts at a provider, all before the first byte to the client",
         f"{SETTINGS.max_retries + 1} (`OPENRESPONSES_MAX_RETRIES` + 1)"),
        ("One frame of a provider's stream", size(framing.MAX_FRAME_BYTES)),
        ("Output tokens of an Anthropic model that the table does not know", DEFAULT_MAX_TOKENS),
        ("Turns of a process at a time", _seconds("max_concurrent_turns").replace(" s ", " ")),
        ("Tokens of a turn, over all its samples", _seconds("max_turn_tokens")),
        ("A method of a middleware", f"{middleware.HOOK_SECONDS:g} s"),
    ]  # fmt: skip


def tools() -> list[Row]:
    return [
        ("Times a turn runs tools and asks again", _setting(SETTINGS.max_tool_rounds, "max_tool_rounds")),
        ("Times a model is asked again for calls that are forbidden", calls.MAX_REFUSED_ROUNDS),
        ("A tool that runs in the gateway", f"{hosted_tools.DEFAULT_TIMEOUT:g} s, or its row's `timeout`"),
        ("Its result", size(tool_results.MAX_RESULT_BYTES)),
        ("Connecting to an MCP server", _seconds("mcp_connect_timeout")),
        ("A call of an MCP server's tool", _seconds("mcp_call_timeout")),
        ("Tools of an MCP server in a turn", f"{listing.MAX_TOOLS}, of {size(listing.MAX_BYTES)} together"),
        ("An image in an MCP result", f"{size(results.MAX_IMAGE)} of base64"),
        ("An answer of a user's MCP server", size(guarded_transport.MAX_BYTES)),
        ("Its redirects", guarded_transport.MAX_REDIRECTS),
    ]


def kept() -> list[Row]:
    return [
        ("Turns of a conversation", base.MAX_CHAIN),
        ("Life of a response", _setting(f"{SETTINGS.history_ttl_days:g} days", "history_ttl_days")),
        ("Life of an `Idempotency-Key`", "24 hours"),
        ("A running request holds its `Idempotency-Key`", f"{idempotency.LEASE} s without a sign of life"),
        ("A background response that nobody begins", _seconds("background_queue_seconds")),
        ("A background response whose process died", _seconds("background_lease_seconds")),
    ]


def sockets() -> list[Row]:
    return [
        ("A connection", _seconds("websocket_seconds")),
        ("Messages that wait", websocket.MAX_WAITING),
        ("A message on AWS, and a frame", size(api_gateway.FRAME_BYTES)),
        ("State of a connection on AWS", f"{dynamodb_connections.LIFE_SECONDS / 3600:g} hours"),
        ("A client that has gone is noticed on AWS within", f"{held.BEAT_SECONDS:g} s"),
    ]


def aws() -> list[Row]:
    return [
        ("The function that answers", f"{_in_template('ResponsesFunction', 'Timeout')} s"),
        ("API Gateway waits for it", f"{_in_template('ResponsesFunction', 'TimeoutInMillis') // 1000} s"),
        ("The authorizer", f"{_in_template('AuthorizerFunction', 'Timeout')} s"),
        ("Requests a second, all clients together",
         f"{_in_template('ThrottleRate', 'Default')}, bursts of {_in_template('ThrottleBurst', 'Default')}"),
        ("A row of a stored turn, before it overflows into further rows", size(dynamodb_layout.BODY_BYTES)),
        ("Lambda: a function's run", "15 minutes"),
        ("Lambda: a request", "6 MB with its envelope; hence the 4 MB above"),
        ("Lambda: a streamed answer", "200 MB; full speed for the first 6 MB, then 2 MB a second"),
        ("API Gateway, REST: a request", "10 MB, headers 10 KB"),
        ("API Gateway, REST: a stream", "15 minutes; 5 of silence"),
        ("API Gateway, WebSocket: a connection", "2 hours; 10 minutes of silence"),
        ("DynamoDB: a row", "400 KB"),
        ("DynamoDB: a transaction", "100 rows, 4 MB"),
    ]  # fmt: skip


GROUPS = {"request": request, "turn": turn, "tools": tools, "kept": kept, "sockets": sockets, "aws": aws}
