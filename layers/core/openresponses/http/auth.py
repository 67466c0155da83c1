"""Who asks: the tenant of a request, and what the limits of its key say about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from ..store.retention import Retention

if TYPE_CHECKING:
    from ..store.keys import ApiKeys

Authenticate = Callable[[HTTPConnection], Awaitable[str]]

LOCAL_TENANT = "default"


async def local_tenant(request: HTTPConnection) -> str:
    """The one tenant of a gateway without keys."""
    return LOCAL_TENANT


def key_owner(keys: ApiKeys) -> Authenticate:
    """Checks the bearer key of a request against `keys`; its limits and its id go into the scope."""

    async def authenticate(request: HTTPConnection) -> str:
        key = await keys.known(request.headers.get("authorization"))
        request.scope["openresponses.limits"] = key.limits
        request.scope["openresponses.key_id"] = key.short_id
        return key.tenant

    return authenticate


def retention_of(request: HTTPConnection) -> Retention:
    """The retention of an authenticated request. Raises ApiError."""
    return Retention.of(request.scope.get("openresponses.limits") or {})
