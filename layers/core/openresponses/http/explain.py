"""`POST /playground/explain`: what a request would become, without sending it. A route of the local server, for its
playground and for `openresponses explain`; no part of the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from ..protocol.request import parse_json
from .body import read_body
from .gateway import Gateway
from .replies import JsonReply


class ExplainRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[BaseRoute]:
        return [Route("/playground/explain", self.explain, methods=["POST"])]

    async def explain(self, request: Request) -> JsonReply:
        """The explanation of the body, a request of `POST /v1/responses`. Raises ApiError "invalid_api_key",
        "invalid_json"; what is wrong with the request is in the explanation."""
        from ..explain.explanation import explain

        gateway = self._gateway
        caller = await gateway.authenticate(request)
        body = parse_json(await read_body(request, gateway.settings.max_body_bytes))
        body = caller.retention.applied(body)

        async def work() -> tuple[object, dict[str, str]]:
            return await explain(gateway.services, body, tenant=caller.tenant), {}

        return JsonReply(work())
