"""Who asks: the tenant of a request, and what the limits of its key say about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from ..protocol.errors import ApiError
from ..settings import Settings, SettingsError
from ..store.keys import bearer_of
from ..store.retention import Retention

if TYPE_CHECKING:
    from ..engine.middleware import Caller
    from ..oidc import Identity, TokenVerifier
    from ..store.keys import ApiKeys

Authenticate = Callable[[HTTPConnection], Awaitable[str]]
log = logging.getLogger(__name__)

LOCAL_TENANT = "default"


async def local_tenant(request: HTTPConnection) -> str:
    """The one tenant of a gateway without keys."""
    return LOCAL_TENANT


def bearer_owner(keys: ApiKeys | None, tokens: TokenVerifier | None = None) -> Authenticate:
    """Checks the bearer of a request: a token of the identity provider, else an API key; limits and id go into the
    scope. Without `keys` there are tokens only, without `tokens` keys."""

    async def authenticate(request: HTTPConnection) -> str:
        authorization = request.headers.get("authorization")
        if tokens is not None and tokens.takes(bearer := bearer_of(authorization)):
            identity = await _identity(tokens, bearer)
            request.scope["openresponses.limits"] = {}
            request.scope["openresponses.key_id"] = identity.key_id
            return identity.tenant
        if keys is None:
            raise ApiError(
                "invalid_api_key", "Send a token of the identity provider as 'Authorization: Bearer TOKEN'."
            )
        key = await keys.known(authorization)
        request.scope["openresponses.limits"] = key.limits
        request.scope["openresponses.key_id"] = key.short_id
        return key.tenant

    return authenticate


async def _identity(tokens: TokenVerifier, bearer: str) -> Identity:
    from ..oidc import InvalidToken, IssuerUnavailable

    try:
        return await asyncio.to_thread(tokens.identity, bearer)
    except InvalidToken as error:
        log.info("token refused: %s", error)
        raise ApiError("invalid_api_key", "This token is not valid here.") from None
    except IssuerUnavailable as error:
        log.error("%s", error)
        raise ApiError(
            "server_is_overloaded", "The identity provider cannot be reached.", retry_after=5
        ) from None


def token_verifier(settings: Settings) -> TokenVerifier | None:
    """Of the identity provider that the settings name. Raises SettingsError."""
    if not settings.oidc_issuer:
        return None
    from ..oidc import TokenVerifier

    if not settings.oidc_audience:
        raise SettingsError("OPENRESPONSES_OIDC_AUDIENCE must be set where OPENRESPONSES_OIDC_ISSUER is.")
    try:
        return TokenVerifier(settings.oidc_issuer, settings.oidc_audience, settings.oidc_tenant_claim)
    except ValueError as error:
        raise SettingsError(f"OPENRESPONSES_OIDC_ISSUER must be {error}.") from None


def caller_of(request: HTTPConnection, tenant: str) -> Caller:
    """Who asks, as far as limits go."""
    from ..engine.middleware import Caller

    scope = request.scope
    return Caller(tenant, scope.get("openresponses.key_id"), scope.get("openresponses.limits") or {})


def retention_of(request: HTTPConnection) -> Retention:
    """The retention of an authenticated request. Raises ApiError."""
    return Retention.of(request.scope.get("openresponses.limits") or {})
