"""What is told of a turn, a sample and a tool call, attribute by attribute: log lines, spans and docs are made of this.

Names are those of OpenTelemetry's semantic conventions for generative AI where it has one (spans `inference` and
`execute_tool`, in development there as of 2026), `openresponses.…` where not. Never content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .telemetry import SampleReport, ToolReport, TurnReport

# What the conventions call our providers, where that is another name.
PROVIDER_NAMES = {
    **{"gemini": "gcp.gemini", "azure": "azure.ai.openai", "mistral": "mistral_ai", "xai": "x_ai"},
    **dict.fromkeys(("bedrock", "bedrock-chat", "bedrock-responses"), "aws.bedrock"),
}


class Attribute(NamedTuple):
    """A row: the name, its value in a report (None: it is left out), and what it means."""

    name: str
    of: Callable[[Any], Any]
    meaning: str


def _address(url: str | None) -> str | None:
    return urlsplit(url).hostname if url else None


def _port(url: str | None) -> int | None:
    if not url:
        return None
    parts = urlsplit(url)
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 4)


def _usage(field: str) -> Callable[[SampleReport], int | None]:
    return lambda report: getattr(report.usage, field) if report.usage else None


def _counted(*path: str) -> Callable[[TurnReport], Any]:
    def of(report: TurnReport) -> Any:
        found: Any = report.usage
        for name in path:
            found = found and found.get(name)
        return found

    return of


TURN: tuple[Attribute, ...] = (
    Attribute("provider", lambda r: r.provider,
              "Who answered: the model's provider, or a fallback's; `none`: nobody was asked"),
    Attribute("model", lambda r: r.model, "The model's name there"),
    Attribute("status", lambda r: r.status, "The response's, or `refused`: a 4xx, and no response"),
    Attribute("reason", lambda r: r.reason, "Why it is incomplete, or its error's code"),
    Attribute("duration_ms", lambda r: round(r.duration, 1), "From the request's arrival to its end"),
    Attribute("first_token_ms", lambda r: None if r.first_token is None else round(r.first_token, 1),
              "To the first output item"),
    Attribute("input_tokens", _counted("input_tokens"), "Of all samples, cached ones included"),
    Attribute("output_tokens", _counted("output_tokens"), "The same, reasoning included"),
    Attribute("cached_tokens", _counted("input_tokens_details", "cached_tokens"), "Of the input"),
    Attribute("reasoning_tokens", _counted("output_tokens_details", "reasoning_tokens"), "Of the output"),
    Attribute("cost_usd", lambda r: r.cost, "Where the model has a `price`"),
)  # fmt: skip

SAMPLE: tuple[Attribute, ...] = (
    Attribute("gen_ai.operation.name", lambda r: "chat", "`chat`"),
    Attribute("gen_ai.provider.name", lambda r: PROVIDER_NAMES.get(r.provider, r.provider),
              "The provider, as the conventions name it"),
    Attribute("gen_ai.request.model", lambda r: r.model, "The model that was asked for"),
    Attribute("gen_ai.request.stream", lambda r: True, "Providers are always asked to stream"),
    Attribute("gen_ai.response.model", lambda r: r.response_model, "The model's name in the answer"),
    Attribute("gen_ai.response.finish_reasons", lambda r: [r.finish_reason] if r.finish_reason else None,
              "One of `stop`, `tool_calls`, `length`, `content_filter`, `pause`"),
    Attribute("gen_ai.response.time_to_first_chunk", lambda r: _seconds(r.first_chunk), "Seconds, retries included"),
    Attribute("gen_ai.usage.input_tokens", _usage("input_tokens"), "Cached ones included"),
    Attribute("gen_ai.usage.cache_read.input_tokens", _usage("cached_tokens"), "Of the input"),
    Attribute("gen_ai.usage.cache_creation.input_tokens", _usage("cache_write_tokens"), "The same"),
    Attribute("gen_ai.usage.output_tokens", _usage("output_tokens"), "Reasoning included"),
    Attribute("gen_ai.usage.reasoning.output_tokens", _usage("reasoning_tokens"), "Of the output"),
    Attribute("server.address", lambda r: _address(r.base_url), "The provider's host"),
    Attribute("server.port", lambda r: _port(r.base_url), "Its port"),
    Attribute("error.type", lambda r: r.error,
              "Why it failed: an error's code, or `abandoned`, where the turn ended before"),
    Attribute("openresponses.provider", lambda r: r.provider, "The provider's row"),
    Attribute("openresponses.attempts", lambda r: r.attempts, "How often it was asked, retries included"),
    Attribute("openresponses.provider_request_id", lambda r: r.provider_request_id,
              "The provider's own id: what its support asks for"),
    Attribute("duration_ms", lambda r: round(r.duration, 1), "From the first attempt to the end of the answer"),
)  # fmt: skip

TOOL: tuple[Attribute, ...] = (
    Attribute("gen_ai.operation.name", lambda r: "execute_tool", "`execute_tool`"),
    Attribute("gen_ai.tool.name", lambda r: r.name, "The tool's name, at its server if it has one"),
    Attribute("gen_ai.tool.type", lambda r: "extension", "`extension`: it ran on this side"),
    Attribute("gen_ai.tool.call.id", lambda r: r.call_id, "The call's id, of a hosted tool"),
    Attribute("mcp.method.name", lambda r: "tools/call" if r.kind == "mcp" else None,
              "`tools/call`, of an MCP server's tool"),
    Attribute("server.address", lambda r: _address(r.url), "An MCP server's host"),
    Attribute("server.port", lambda r: _port(r.url), "Its port"),
    Attribute("error.type", lambda r: r.error, "The kind of failure: an exception's name, `timeout`, `cancelled`, "
              "`invalid_arguments`; of an MCP server's tool `tool_error`, or the code of JSON-RPC or HTTP"),
    Attribute("openresponses.tool.kind", lambda r: r.kind, "`hosted` or `mcp`"),
    Attribute("openresponses.mcp.server_label", lambda r: r.server, "The MCP server's label"),
    Attribute("duration_ms", lambda r: round(r.duration, 1), "Of the call"),
)  # fmt: skip

# The message of a log line → what else stands in it.
LINES: dict[str, tuple[Attribute, ...]] = {"turn ended": TURN, "sample ended": SAMPLE, "tool ended": TOOL}


def attributes(
    table: tuple[Attribute, ...], report: TurnReport | SampleReport | ToolReport
) -> dict[str, Any]:
    """The values that a report has, by name."""
    values = ((row.name, row.of(report)) for row in table)
    return {name: value for name, value in values if value is not None}
