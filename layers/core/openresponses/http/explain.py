"""`POST /playground/explain`: what a request would become, without sending it. A route of the local server, for its
playground and for `openresponses explain`; no part of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request

from ..explain import explain
from ..protocol.request import parse_json
from .auth import retention_of
from .body import read_body
from .replies import JsonReply

if TYPE_CHECKING:
    from .app import Gateway


async def explained(gateway: Gateway, request: Request) -> JsonReply:
    """The explanation of the body, a request of `POST /v1/responses`. Raises ApiError "invalid_api_key",
    "invalid_json"; what is wrong with the request is in the explanation."""
    tenant = await gateway.authenticate(request)
    body = parse_json(await read_body(request, gateway.settings.max_body_bytes))
    body = retention_of(request).applied(body)

    async def work() -> tuple[object, dict[str, str]]:
        return await explain(gateway.services, body, tenant=tenant), {}

    return JsonReply(work())
