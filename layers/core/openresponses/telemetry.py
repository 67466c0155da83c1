"""What an operator learns of a running gateway: how turns, samples and tool calls end. Never content, never a key.

The engine tells a `Telemetry`; `metrics` and `spans` are the tables of what is made of it, on AWS by `cloudwatch`, on
the local server by `logs`, `prometheus` and `otel`. Nothing is told by default.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .adapters.base import Usage

log = logging.getLogger(__name__)

OTHER_MODEL = "other"  # in place of names that are the client's: there may be any number of them

# Of the request that is being answered: as in its `x-request-id`; whose it is; the response that it makes.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)
RESPONSE_ID: ContextVar[str | None] = ContextVar("response_id", default=None)
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)  # what the client sent

# ------------------------------------------------------------------------------- traces

TRACEPARENT_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class Trace(NamedTuple):
    """Where a turn stands in a trace: ids in lower-case hex, `span_id` is the turn's own, `parent_id` the client's."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    sampled: bool = True

    @classmethod
    def of(cls, traceparent: str | None) -> Trace:
        """Continues the client's trace; a new one if it sent none, or nothing that is one (W3C Trace Context, 3.2)."""
        found = TRACEPARENT_FORM.fullmatch(traceparent or "")
        if found is None or (found[4] and found[0].startswith("00")):
            return cls(os.urandom(16).hex(), os.urandom(8).hex())
        return cls(found[1], os.urandom(8).hex(), found[2], bool(int(found[3], 16) & 1))

    @property
    def traceparent(self) -> str:
        """What continues the trace below the turn."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)

# ------------------------------------------------------------------------------- reports


@dataclass(frozen=True, slots=True)
class TurnReport:
    """How a turn ended. Durations are in milliseconds, from the request's arrival at the engine.

    known_model   whether the catalog lists the model: other names are the client's, and there may be any number of them
    status        of the response, or `refused`: the client was answered with a 4xx and there is no response
    reason        why it is incomplete, or the code of its error
    started       Unix seconds
    first_token   until the first output item began; None if none did
    usage         the response's
    cost          of that usage, in US dollars; None where the model has no price
    """

    trace: Trace
    response_id: str
    tenant: str
    provider: str
    model: str
    known_model: bool
    status: str
    reason: str | None
    started: float
    duration: float
    first_token: float | None
    usage: dict[str, Any] | None
    cost: float | None


@dataclass(frozen=True, slots=True)
class SampleReport:
    """How one question to a provider ended, its retries included. Durations are in milliseconds.

    response_model       the model's name as the provider gave it; None if it did not answer
    base_url             None: the provider is built in
    attempts             how often it was asked
    provider_request_id  the provider's own id of the last attempt
    started              Unix seconds
    first_chunk          until the provider said something; None if it did not
    finish_reason        stop, tool_calls, length, content_filter or pause; None: it did not come to its end
    error                why not: an error's code, or `abandoned`: the turn ended before
    """

    trace: Trace
    provider: str
    model: str
    known_model: bool
    response_model: str | None
    base_url: str | None
    attempts: int
    provider_request_id: str | None
    started: float
    duration: float
    first_chunk: float | None
    usage: Usage | None
    finish_reason: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ToolReport:
    """How the call of a tool that runs here ended. `kind` is `hosted` or `mcp`; `server` an MCP server's label, `url`
    its address. `started` is in Unix seconds, `duration` in milliseconds, `error` what kind of failure it was."""

    trace: Trace
    kind: str
    name: str
    call_id: str | None
    server: str | None
    url: str | None
    started: float
    duration: float
    error: str | None


# ------------------------------------------------------------------------------- who is told


class Telemetry(Protocol):
    """Told by the engine; must not wait, and must not raise."""

    def turn_ended(self, report: TurnReport) -> None: ...

    def sample_ended(self, report: SampleReport) -> None: ...

    def tool_ended(self, report: ToolReport) -> None: ...

    def counted(self, metric: str, provider: str, model: str) -> None:
        """One of `metrics.EVENTS` happened. `model` is OTHER_MODEL where the catalog does not list it."""


class NoTelemetry:
    """Tells nobody."""

    def turn_ended(self, report: TurnReport) -> None:
        pass

    def sample_ended(self, report: SampleReport) -> None:
        pass

    def tool_ended(self, report: ToolReport) -> None:
        pass

    def counted(self, metric: str, provider: str, model: str) -> None:
        pass


class Several:
    """Tells each of them; what one raises is logged, and harms nobody."""

    def __init__(self, telemetries: Iterable[Telemetry]) -> None:
        self._telemetries = tuple(telemetries)

    def turn_ended(self, report: TurnReport) -> None:
        self._tell("turn_ended", report)

    def sample_ended(self, report: SampleReport) -> None:
        self._tell("sample_ended", report)

    def tool_ended(self, report: ToolReport) -> None:
        self._tell("tool_ended", report)

    def counted(self, metric: str, provider: str, model: str) -> None:
        self._tell("counted", metric, provider, model)

    def _tell(self, what: str, *report: Any) -> None:
        for telemetry in self._telemetries:
            try:
                getattr(telemetry, what)(*report)
            except Exception as error:
                log.error("%s.%s: %s", type(telemetry).__name__, what, type(error).__name__)


def bounded(model: str, known: Collection[str]) -> str:
    """The model's name where it is a known one: what metrics may be counted by."""
    return model if model in known else OTHER_MODEL


class Redacted:
    """Content, as a log may show it: its length and the beginning of its hash. Costs nothing unless it is shown."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return f"[{len(self._data)} bytes #{hashlib.sha256(self._data).hexdigest()[:8]}]"
