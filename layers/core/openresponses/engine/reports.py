"""Times turns, samples and tool calls; tells telemetry how each ended, once. Nothing here is done for an event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..protocol.errors import ApiError
from ..routing import Route
from ..telemetry import (
    RESPONSE_ID,
    TENANT,
    TRACE,
    TRACEPARENT,
    SampleReport,
    ToolReport,
    Trace,
    TurnReport,
)

if TYPE_CHECKING:
    from .assembler import Assembler
    from .local_tools import LocalTool
    from .sample import Sample
    from .services import Services

Json = dict[str, Any]
T = TypeVar("T")

ABANDONED = "abandoned"
FINISH_REASONS = {None: "stop", "max_output_tokens": "length"}  # the others keep their names


class TurnWatch:
    """A turn from its request's arrival to its end. The log lines of this task, and of those that it starts later, say
    whose they are."""

    def __init__(self, services: Services, tenant: str, response_id: str) -> None:
        self._services = services
        self._tenant = tenant
        self._now = asyncio.get_running_loop().time
        self._first_token: float | None = None
        self.begun = self._now()
        self.trace = Trace.of(TRACEPARENT.get())
        self.spoke = False  # whether the first output item has begun
        RESPONSE_ID.set(response_id)
        TENANT.set(tenant)
        TRACE.set(self.trace)

    def first_output(self) -> None:
        self.spoke = True
        self._first_token = (self._now() - self.begun) * 1000

    def ended(self, response: Json, asked: str, route: Route | None, raised: Exception | None) -> None:
        """`asked`: the request's model; `route` is None if the turn ended before it was routed."""
        status, reason = outcome(response, raised)
        duration = self._now() - self.begun
        self._services.telemetry.turn_ended(
            TurnReport(
                trace=self.trace,
                response_id=response["id"],
                tenant=self._tenant,
                provider=route.provider.name if route else "none",
                model=route.model if route else asked,
                known_model=route is not None and route.model in route.provider.models,
                status=status,
                reason=reason,
                started=self._services.clock() - duration,
                duration=duration * 1000,
                first_token=self._first_token,
                usage=response["usage"],
                cost=route.profile.cost_of(response["usage"]) if route else None,
            )
        )


def outcome(response: Json, raised: Exception | None) -> tuple[str, str | None]:
    """How a turn ended: its status, and why it is that."""
    error, details = response["error"] or {}, response["incomplete_details"] or {}
    status, reason = response["status"], error.get("code") or details.get("reason")
    if isinstance(raised, ApiError):
        status = "refused" if raised.status < 500 and raised.status != 429 else "failed"
        reason = raised.code
    elif raised:
        status, reason = "failed", "server_error"
    elif status in ("queued", "in_progress"):
        status = "cancelled"
    return status, reason


class SampleWatch:
    """A sample from its first attempt to its end. `called`: whether the model called a tool."""

    def __init__(self, services: Services, route: Route, sample: Sample, assembler: Assembler) -> None:
        self._services = services
        self._route = route
        self._sample = sample
        self._assembler = assembler
        self._trace = TRACE.get() or Trace.of(None)
        self._started = services.clock()
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()
        self._first_chunk: float | None = None
        self._ended = self.called = False

    def opened(self) -> None:
        """The provider has said something."""
        self._first_chunk = (self._now() - self._begun) * 1000

    def ended(self, raised: BaseException | None = None) -> None:
        """The sample has come to its end, by what was `raised`, if anything. Does nothing the second time."""
        if self._ended:
            return
        self._ended = True
        route, sample, finish = self._route, self._sample, self._finish()
        error = self._error(raised) or (None if finish else ABANDONED)
        self._services.telemetry.sample_ended(
            SampleReport(
                trace=self._trace,
                provider=route.provider.name,
                model=route.model,
                known_model=route.model in route.provider.models,
                response_model=self._assembler.response["model"] if self._first_chunk is not None else None,
                base_url=sample.base_url,
                attempts=sample.attempts,
                provider_request_id=sample.provider_request_id,
                started=self._started,
                duration=(self._now() - self._begun) * 1000,
                first_chunk=self._first_chunk,
                usage=self._assembler.sample_usage,
                finish_reason=None if error else finish,
                error=error,
            )
        )

    def _error(self, raised: BaseException | None) -> str | None:
        error = self._assembler.error or raised
        if error is None:
            return None
        return error.code if isinstance(error, ApiError) else ABANDONED

    def _finish(self) -> str | None:
        finish = self._assembler.finish
        if finish is None:
            return None
        called = self.called and finish.reason is None
        return "tool_calls" if called else FINISH_REASONS.get(finish.reason, finish.reason)


async def watched_call(
    services: Services,
    tool: LocalTool,
    call_id: str | None,
    running: Awaitable[T],
    failure: Callable[[T], str | None],
) -> T:
    """What the call comes to. `failure` tells its kind of failure, None for none."""
    now = asyncio.get_running_loop().time
    started, begun, trace = services.clock(), now(), TRACE.get() or Trace.of(None)
    error: str | None = "cancelled"
    try:
        result = await running
        error = failure(result)
        return result
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        duration = (now() - begun) * 1000
        services.telemetry.tool_ended(
            ToolReport(trace, tool.kind, tool.name, call_id, *tool.server_of, started, duration, error)
        )
