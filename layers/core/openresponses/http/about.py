"""What a gateway tells of itself: its models, its health, its metrics, its OpenAPI document."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .gateway import Gateway
from .replies import JsonResponse


class AboutRoutes:
    """Handlers over a gateway; `/metrics` only where it has metrics."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[BaseRoute]:
        metrics = [Route("/metrics", self.metrics, methods=["GET"])] if self._gateway.metrics else []
        return [
            Route("/v1/models", self.list_models, methods=["GET"]),
            Route("/v1/models/{model:path}", self.get_model, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            *metrics,
        ]

    async def list_models(self, request: Request) -> Response:
        gateway = self._gateway
        caller = await gateway.authenticate(request)
        models = [
            _model(known.id, known.provider)
            for known in await gateway.router.models(gateway.secrets)
            if gateway.middlewares.shows_model(caller, known.id, gateway.router)
        ]
        return JsonResponse({"object": "list", "data": models})

    async def get_model(self, request: Request) -> Response:
        gateway = self._gateway
        caller = await gateway.authenticate(request)
        name = request.path_params["model"]
        gateway.middlewares.require_model(caller, name, gateway.router)
        route = gateway.router.resolve(name)
        price = {"price": dict(route.profile.price)} if route.profile.price else {}
        return JsonResponse(_model(name, route.provider.name) | price)

    async def health(self, request: Request) -> Response:
        return JsonResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """For whoever may use the gateway: the figures are those of all tenants together, and name none."""
        gateway = self._gateway
        assert gateway.metrics
        await gateway.authenticate(request)
        _ = gateway.services  # which the gauges are read from
        page, content_type = gateway.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    async def openapi(self, request: Request) -> Response:
        from .openapi import document

        return JsonResponse(document())


def _model(name: str, provider: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": provider}
