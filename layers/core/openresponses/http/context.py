"""Routes about a context rather than an answer: compacting it, and counting its tokens."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from ..engine.caller import Caller
from ..protocol.request import parse_json, parse_request
from .body import read_body
from .gateway import Gateway
from .replies import JsonReply, turn_headers

Json = dict[str, Any]
Answer = tuple[Json, dict[str, str]]  # body and headers


class ContextRoutes:
    """Handlers that answer in JSON, whatever they ask of a provider."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        return [
            Route("/v1/responses/compact", self.compact, methods=["POST"]),
            Route("/v1/responses/input_tokens", self.input_tokens, methods=["POST"]),
        ]

    async def compact(self, request: Request) -> JsonReply:
        from ..engine.compaction import FIELDS, compact

        caller, body = await self._asked(request, FIELDS)
        deadline = request.scope.get("openresponses.deadline")

        async def work() -> Answer:
            services = self._gateway.services
            done = await compact(services, body, caller=caller, deadline=deadline)
            return done.resource, turn_headers(done.turn)

        return JsonReply(work())

    async def input_tokens(self, request: Request) -> JsonReply:
        from ..engine.token_count import FIELDS, count_input

        caller, body = await self._asked(request, FIELDS)
        deadline = request.scope.get("openresponses.deadline")
        gateway = self._gateway
        gateway.middlewares.require_model(caller, body["model"], gateway.router)

        async def work() -> Answer:
            count = await count_input(gateway.services, body, tenant=caller.tenant, deadline=deadline)
            headers = {"x-openresponses-estimate": "true"} if count.estimated else {}
            return {"object": "response.input_tokens", "input_tokens": count.tokens}, headers

        return JsonReply(work())

    async def _asked(self, request: Request, fields: Collection[str]) -> tuple[Caller, Json]:
        """Who asks, and the checked body: `fields` mean what they mean in a create request, others are ignored."""
        caller = await self._gateway.authenticate(request)
        given = parse_json(await read_body(request, self._gateway.settings.max_body_bytes))
        return caller, parse_request({name: given[name] for name in fields if name in given})
