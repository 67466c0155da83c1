"""Fallback routes: where the provider that was asked for fails before it has said anything, others are tried."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..metrics import FALLBACKS
from ..protocol.errors import ApiError
from ..routing import Route
from ..telemetry import Telemetry, bounded

T = TypeVar("T")
log = logging.getLogger(__name__)

# What a retry can help, another provider can, too; an account that is spent, only another provider.
ELSEWHERE = frozenset({"insufficient_quota"})


def helped_elsewhere(error: ApiError) -> bool:
    """Whether another route may do what this one has not. What is wrong with the request or the gateway's settings
    stays so."""
    return error.kind.retryable or error.code in ELSEWHERE


async def first_that_answers(
    route: Route,
    open_on: Callable[[Route], Awaitable[T]],
    *,
    may_switch: Callable[[], bool],
    telemetry: Telemetry,
) -> T:
    """What `open_on` gives for the route, or for the first of its fallbacks that does not fail.

    A fallback that cannot take the request, or fails in any way, is passed over. Raises the error of `route`: that is
    what the client asked for. `may_switch` is False once the client was told where its answer comes from.
    """
    try:
        return await open_on(route)
    except ApiError as error:
        if not (route.fallbacks and helped_elsewhere(error)):
            raise
        told, failed = error, route
    reason = told
    for other in route.fallbacks:
        if not may_switch():
            break
        log.warning("%s: %s; falling back to %s", failed, reason.code, other)
        provider = failed.provider
        telemetry.counted(FALLBACKS, provider.name, bounded(failed.model, provider.models))
        try:
            return await open_on(other)
        except ApiError as error:
            failed, reason = other, error
    else:
        log.warning("%s: %s; no fallback is left", failed, reason.code)
    raise told
