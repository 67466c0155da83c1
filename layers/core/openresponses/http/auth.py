"""Who asks: nobody in particular, the owner of an API key, or whom a token of the identity provider names."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from ..engine.caller import Caller
from ..protocol.errors import ApiError
from ..settings import Settings, SettingsError
from ..store.keys import bearer_of

if TYPE_CHECKING:
    from ..oidc import Identity, TokenVerifier
    from ..store.keys import ApiKeys

Authenticate = Callable[[HTTPConnection], Awaitable[Caller]]
log = logging.getLogger(__name__)

LOCAL_TENANT = "default"


async def local_caller(request: HTTPConnection) -> Caller:
    """Whoever asks a gateway without keys."""
    return Caller(LOCAL_TENANT)


def bearer_owner(keys: ApiKeys | None, tokens: TokenVerifier | None = None) -> Authenticate:
    """Checks the bearer of a request: a token of the identity provider, else an API key. Without `keys` there are
    tokens only, without `tokens` keys."""

    async def authenticate(request: HTTPConnection) -> Caller:
        authorization = request.headers.get("authorization")
        if tokens is not None and tokens.takes(bearer := bearer_of(authorization)):
            identity = await _identity(tokens, bearer)
            return Caller(identity.tenant, identity.key_id)
        if keys is None:
            raise ApiError(
                "invalid_api_key", "Send a token of the identity provider as 'Authorization: Bearer TOKEN'."
            )
        key = await keys.known(authorization)
        return Caller(key.tenant, key.short_id, key.limits)

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
