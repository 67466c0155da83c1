"""What an operator learns of a running gateway: how turns end, and what providers refuse. Never content, never a key.

The engine tells a `Telemetry`, once a turn; `cloudwatch` makes metrics and log lines of it. Nothing is told by default.
"""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

# Of the request that is being answered, as in its `x-request-id`.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


@dataclass(frozen=True, slots=True)
class TurnReport:
    """How a turn ended. Durations are in milliseconds, from the request's arrival at the engine.

    known_model   whether the catalog lists the model: other names are the client's, and there may be any number of them
    status        of the response, or `refused`: the client was answered with a 4xx and there is no response
    reason        why it is incomplete, or the code of its error
    first_token   until the first output item began; None if none did
    usage         the response's
    """

    response_id: str
    tenant: str
    provider: str
    model: str
    known_model: bool
    status: str
    reason: str | None
    duration: float
    first_token: float | None
    usage: dict[str, Any] | None


class Telemetry(Protocol):
    """Told by the engine; must not wait, and must not raise."""

    def turn_ended(self, report: TurnReport) -> None: ...

    def retried(self, provider: str) -> None:
        """A provider is asked once more for the same sample."""

    def throttled(self, provider: str) -> None:
        """A provider answered that it is asked too much."""

    def key_refused(self, provider: str) -> None:
        """A provider refused its key, also after the key was read afresh."""

    def fell_back(self, provider: str) -> None:
        """A provider failed, and another route is tried for the same sample."""

    def circuit_opened(self, provider: str) -> None:
        """A provider failed so often in a row that it is left alone for a while."""


class NoTelemetry:
    """Tells nobody."""

    def turn_ended(self, report: TurnReport) -> None:
        pass

    def retried(self, provider: str) -> None:
        pass

    def throttled(self, provider: str) -> None:
        pass

    def key_refused(self, provider: str) -> None:
        pass

    def fell_back(self, provider: str) -> None:
        pass

    def circuit_opened(self, provider: str) -> None:
        pass


class Redacted:
    """Content, as a log may show it: its length and the beginning of its hash. Costs nothing unless it is shown."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        return f"[{len(self._data)} bytes #{hashlib.sha256(self._data).hexdigest()[:8]}]"
