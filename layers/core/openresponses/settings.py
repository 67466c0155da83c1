"""The gateway's own settings: read once, checked, typed. Nothing else looks at the environment.

Each field of `Settings` is one environment variable, `OPENRESPONSES_<FIELD>`; default, unit and meaning stand
beside it, and `TABLE` lists them. Provider settings (`ANTHROPIC_API_KEY`, ...) are read through `secrets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self


class SettingsError(Exception):
    """A wrong setting; `str()` is one line that names it and says what is expected."""


# ------------------------------------------------------------------------------- how text becomes a value


class Kind(NamedTuple):
    """What a value must be, in words, and its parser, which raises ValueError or KeyError."""

    expected: str
    parse: Callable[[str], Any]


def _positive(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value > 0):
        raise ValueError
    return value


def _at_least(least: int) -> Kind:
    def parse(text: str) -> int:
        if (value := int(text)) < least:
            raise ValueError
        return value

    return Kind(f"a whole number, {least} or more", parse)


def _one_of(*choices: str) -> Kind:
    by_name = {choice.lower(): choice for choice in choices}
    return Kind("one of " + ", ".join(choices), lambda text: by_name[text.lower()])


TEXT = Kind("text", str)
POSITIVE = Kind("a number above 0", _positive)
SWITCHES = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
SWITCH = Kind("1 or 0", lambda text: SWITCHES[text.lower()])
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
REASONING_EVENTS = ("summary", "openai", "spec")


def setting(default: Any, kind: Kind, unit: str, meaning: str, *, variable: str = "") -> Any:
    """A field of Settings; `variable` is its variable's name after the prefix, if not the field's own."""
    return field(default=default, metadata={"variable": variable, "row": (kind, unit, meaning)})


# --------------------------------------------------------------------------- the settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the gateway. Durations are in seconds unless the unit says otherwise.

    `environ` is the mapping that the settings were read from, kept for the providers' own variables.
    """

    config_path: str | None = setting(
        None, TEXT, "path", "TOML file with your own providers, routes, aliases and models", variable="CONFIG"
    )
    history_ttl_days: float = setting(30.0, POSITIVE, "days", "How long a stored response lives")
    max_body_bytes: int = setting(8 << 20, _at_least(1), "bytes", "Largest request body; above it: 413")
    connect_timeout: float = setting(5.0, POSITIVE, "seconds", "Connecting to a provider")
    first_byte_timeout: float = setting(60.0, POSITIVE, "seconds", "Waiting for a provider's first byte")
    idle_timeout: float = setting(60.0, POSITIVE, "seconds", "Silence in the middle of a provider's answer")
    reasoning_idle_timeout: float = setting(
        120.0, POSITIVE, "seconds", "The same while the model reasons, or may reason"
    )
    keep_alive_seconds: float = setting(
        15.0, POSITIVE, "seconds", "Silence after which a stream gets a keep-alive comment"
    )
    commit_seconds: float = setting(
        10.0,
        POSITIVE,
        "seconds",
        "A stream begins at the latest then; failures before it keep their HTTP status",
    )
    max_turn_seconds: float = setting(
        3600.0, POSITIVE, "seconds", "Longest turn; then it ends incomplete (`time_limit`)"
    )
    max_json_seconds: float | None = setting(
        None,
        POSITIVE,
        "seconds",
        "The same for an answer that does not stream. Unset: no limit; on AWS 285, as API Gateway waits 300",
    )
    websocket_seconds: float = setting(
        3600.0, POSITIVE, "seconds", "Longest WebSocket connection; a turn that runs then ends incomplete"
    )
    max_retries: int = setting(
        2, _at_least(0), "retries", "Further attempts at a provider before the first byte"
    )
    retry_seconds: float = setting(
        0.5, POSITIVE, "seconds", "Longest wait before the first of them, random, doubled each time up to 8 s"
    )
    breaker_failures: int = setting(
        50,
        _at_least(0),
        "attempts",
        "Failures in a row after which a provider is left alone for a while; 0: never",
    )
    breaker_seconds: float = setting(
        10.0, POSITIVE, "seconds", "How long it is left alone; then one call tries it again"
    )
    max_concurrent_turns: int | None = setting(
        None, _at_least(1), "turns", "Turns that this process runs at once; above it: 503. Unset: no limit"
    )
    shutdown_seconds: float = setting(
        8.0,
        POSITIVE,
        "seconds",
        "Told to stop, the local server gives open turns so long; then they end incomplete (`server_stopped`)",
    )
    max_tool_rounds: int = setting(
        10, _at_least(1), "rounds", "Times a turn may run tools and ask the model again"
    )
    max_turn_tokens: int | None = setting(
        None,
        _at_least(1),
        "tokens",
        "Tokens, in and out, after which a turn does not ask the model again and ends incomplete. Unset: no limit",
    )
    mcp: Literal["auto", "gateway"] = setting(
        "auto",
        _one_of("auto", "gateway"),
        "",
        "Who calls MCP servers: `auto`, the provider where it can, or always the gateway",
    )
    mcp_allow_private: bool = setting(
        False, SWITCH, "", "MCP servers of requests may have http URLs and private addresses"
    )
    mcp_connect_timeout: float = setting(
        10.0, POSITIVE, "seconds", "Connecting to an MCP server, and again listing its tools"
    )
    mcp_call_timeout: float = setting(
        60.0, POSITIVE, "seconds", "A call of an MCP server's tool, where its row says nothing else"
    )
    reasoning_events: Literal["summary", "openai", "spec"] = setting(
        "summary",
        _one_of(*REASONING_EVENTS),
        "",
        "Names of the reasoning events: `summary` (all clients know them), or raw in `openai` or `spec` form",
    )
    background_lease_seconds: float = setting(
        30.0, POSITIVE, "seconds", "A background response whose process died ends as failed after this time"
    )
    background_queue_seconds: float = setting(
        60.0, POSITIVE, "seconds", "A background response that nobody has begun by then ends as failed"
    )
    log_level: str = setting("INFO", _one_of(*LOG_LEVELS), "", "Least severe messages to log")
    log_format: Literal["text", "json"] = setting(
        "text",
        _one_of("text", "json"),
        "",
        "Log lines of the local server; with json also one a sample and a tool call",
    )
    metrics: bool | None = setting(
        None,
        SWITCH,
        "",
        "Serve `/metrics` on the local server, for Prometheus. Unset: if it listens on loopback and asks for no keys",
    )
    require_keys: bool = setting(False, SWITCH, "", "Answer only requests that carry a known API key")
    oidc_issuer: str | None = setting(
        None,
        TEXT,
        "URL",
        "Identity provider whose tokens are taken as well; then every request needs one, or a key",
    )
    oidc_audience: str | None = setting(None, TEXT, "", "What those tokens name as their audience (`aud`)")
    oidc_tenant_claim: str = setting("tenant", TEXT, "", "Their claim that names the tenant")
    playground: bool = setting(True, SWITCH, "", "Serve the playground at `/`; on AWS 0, by default")
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str], **overrides: Any) -> Self:
        """The settings in `environ`, where an empty value counts as not set. `overrides` (typed values by
        field name) win. Raises SettingsError."""
        values: dict[str, Any] = {"environ": environ}
        for row in TABLE:
            if text := environ.get(row.variable, "").strip():
                values[row.field] = _parse(row, text)
        return cls(**(values | overrides))


LAYER_CONFIG = Path(__file__).parents[1] / "openresponses.toml"


def with_layer_config(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ`, with the configuration file that the Lambda layer was built with, if there is one and no other is
    named."""
    named = {"OPENRESPONSES_CONFIG": str(LAYER_CONFIG)} if LAYER_CONFIG.is_file() else {}
    return {**named, **environ}


class Setting(NamedTuple):
    """A row of the settings table, for `Settings.load` and the docs."""

    field: str
    variable: str
    default: Any
    kind: Kind
    unit: str
    meaning: str


TABLE: tuple[Setting, ...] = tuple(
    Setting(
        of.name,
        "OPENRESPONSES_" + (of.metadata["variable"] or of.name.upper()),
        of.default,
        *of.metadata["row"],
    )
    for of in fields(Settings)
    if of.metadata
)


def _parse(row: Setting, text: str) -> Any:
    try:
        return row.kind.parse(text)
    except (ValueError, KeyError):
        unit = f" ({row.unit})" if row.unit else ""
        raise SettingsError(f"{row.variable} must be {row.kind.expected}{unit}, not {text[:40]!r}.") from None
