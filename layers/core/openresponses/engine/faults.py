"""Unexpected exceptions as ApiErrors. The log has their kind and place, never their text: it may quote content."""

from __future__ import annotations

import logging

from ..protocol.errors import ApiError
from ..store.base import StoreUnavailable

log = logging.getLogger(__name__)

# What code that reads a provider's answer may raise where the answer is malformed.
MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def as_api_error(error: Exception) -> ApiError:
    """The error that the client is told; a fault of the gateway's own is logged with its traceback."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, StoreUnavailable):
        log.error("the store failed a turn: %s", error)
        return store_unreachable()
    log.error("a fault of the gateway failed a turn", exc_info=without_text(error))
    return gateway_fault()


def gateway_fault() -> ApiError:
    """What the client is told of a fault of the gateway's own, or of an operator's middleware."""
    return ApiError("server_error", "The gateway failed; the request id leads to its log.")


def store_unreachable() -> ApiError:
    """What the client is told where a StoreUnavailable ends its request."""
    return ApiError(
        "server_is_overloaded", "The conversation store cannot be reached; try again.", retry_after=1
    )


def without_text(error: BaseException) -> BaseException:
    """The exception for the log: its kind and traceback, without its text, which may quote content."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
