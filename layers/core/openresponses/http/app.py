"""The ASGI app: its routes, and what every request goes through. Any front door that speaks ASGI can serve it.

authenticate → read the body → parse → turn → reply
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from ..engine.admission import Turns
from ..engine.context import visible
from ..engine.faults import as_api_error
from ..engine.hosted_tools import load_tools
from ..engine.middleware import configured_middlewares
from ..engine.services import Services
from ..engine.turn import ResponseTurn
from ..protocol.errors import ApiError, quoted
from ..protocol.ids import RESPONSE_ID
from ..protocol.pages import page
from ..protocol.request import parse_json, parse_request
from ..routing import Router
from ..sealing import Sealer, memory_keys
from ..secrets import Secrets
from ..settings import Settings
from ..store.base import Store, StoredResponse, StoreUnavailable
from ..telemetry import TENANT, NoTelemetry, Redacted, Telemetry
from ..upstream.breaker import Breaker
from ..upstream.client import Upstream
from .auth import Authenticate, caller_of, local_tenant, retention_of
from .background import BackgroundRoutes, StartWorker
from .body import read_body
from .context import ContextRoutes
from .conversations import ConversationRoutes
from .replies import JsonResponse, StreamReply, TurnReply, error_response
from .request_id import RequestIds

if TYPE_CHECKING:
    from ..prometheus import PrometheusTelemetry
    from .websocket import Connection

Json = dict[str, Any]
log = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    store: Store,
    secrets: Secrets,
    *,
    authenticate: Authenticate | None = None,
    sealer: Sealer | None = None,
    start_worker: StartWorker | None = None,
    telemetry: Telemetry | None = None,
    turns: Turns | None = None,
    metrics: PrometheusTelemetry | None = None,
) -> ASGIApp:
    """The gateway as an ASGI app with a lifespan.

    authenticate   the tenant of a request; raises ApiError "invalid_api_key". None: everyone is the local tenant.
                   It may set the scope's "openresponses.limits" and "openresponses.key_id": those of the key.
    sealer         seals what clients carry for us. None: nothing sealed outlives this process.
    start_worker   tells a worker to run a background response. None: this process runs it.
    telemetry      is told how turns end. None: nobody is.
    turns          the process's turns, for who wants to drain them. None: the app's own.
    metrics        the page at /metrics, among whom `telemetry` tells. None: there is none.

    The scope may hold "openresponses.deadline": when, on the event loop's clock, the process may be stopped.
    """
    sealer = sealer or Sealer(memory_keys())
    authenticate, telemetry = authenticate or local_tenant, telemetry or NoTelemetry()
    turns = turns or Turns(settings.max_concurrent_turns)
    gateway = Gateway(settings, store, secrets, authenticate, sealer, start_worker, telemetry, turns, metrics)
    handlers: Any = {
        ApiError: on_api_error,
        HTTPException: on_http_exception,
        StoreUnavailable: on_store_unavailable,
        Exception: on_exception,
    }
    app = Starlette(routes=gateway.routes(), exception_handlers=handlers, lifespan=gateway.lifespan)
    app.router.redirect_slashes = False
    return RequestIds(app)


class Gateway:
    """The routes' handlers and what they share."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        secrets: Secrets,
        authenticate: Authenticate,
        sealer: Sealer,
        start_worker: StartWorker | None,
        telemetry: Telemetry,
        turns: Turns,
        metrics: PrometheusTelemetry | None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.secrets = secrets
        self.router = Router(settings)
        self.tools = load_tools(self.router.tools, secrets)
        self.middlewares = configured_middlewares(self.router)
        self._authenticate = authenticate
        self.sealer = sealer
        self.telemetry = telemetry
        self.turns = turns
        self.metrics = metrics
        self.background = BackgroundRoutes(self, start_worker)
        self._services: Services | None = None
        self._connections: WeakSet[Connection] = WeakSet()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/responses", self.create_response, methods=["POST"]),
            WebSocketRoute("/v1/responses", self.websocket),
            *ContextRoutes(self).routes(),
            Route("/v1/responses/{response_id}", self.get_response, methods=["GET"]),
            Route("/v1/responses/{response_id}", self.delete_response, methods=["DELETE"]),
            Route("/v1/responses/{response_id}/input_items", self.list_input_items, methods=["GET"]),
            *self.background.routes(),
            *ConversationRoutes(self).routes(),
            Route("/v1/models", self.list_models, methods=["GET"]),
            Route("/v1/models/{model:path}", self.get_model, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            *([Route("/metrics", self.metrics_page, methods=["GET"])] if self.metrics else []),
            *self._playground_routes(),
        ]

    def _playground_routes(self) -> list[BaseRoute]:
        if not self.settings.playground:
            return []
        from .playground import routes

        return [
            *routes(),
            Route("/playground/explain", self.explain, methods=["POST"]),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.background.open()
        try:
            yield
        finally:
            await self.background.close()
            if self._services:
                await self._services.upstream.aclose()
            await self.store.close()

    @property
    def services(self) -> Services:
        """Made in the event loop that serves the first request."""
        if self._services is None:
            upstream = Upstream(self.settings.connect_timeout)
            self._services = Services(
                self.settings,
                self.router,
                self.secrets,
                self.store,
                upstream,
                self.tools,
                mcp=self.router.mcp,
                telemetry=self.telemetry,
                sealer=self.sealer,
                middlewares=self.middlewares,
                breaker=Breaker(self.settings.breaker_failures, self.settings.breaker_seconds),
                turns=self.turns,
            )
            if self.metrics:
                self.metrics.watch(lambda: self.turns.taken, self._services.breaker.states)
        return self._services

    async def authenticate(self, request: HTTPConnection) -> str:
        """The request's tenant, who is named in its log lines from now on. Raises ApiError."""
        tenant = await self._authenticate(request)
        TENANT.set(tenant)
        return tenant

    # ---------------------------------------------------------------- POST /v1/responses

    async def create_response(self, request: Request) -> Any:
        tenant = await self.authenticate(request)
        data = await read_body(request, self.settings.max_body_bytes)
        log.debug("request %s", Redacted(data))
        retention = retention_of(request)
        body = parse_request(retention.applied(parse_json(data)))
        streaming = body.get("stream", False)
        turn = ResponseTurn(
            self.services,
            body,
            tenant=tenant,
            streaming=streaming,
            deadline=request.scope.get("openresponses.deadline"),
            lifetime=retention.lifetime,
            caller=caller_of(request, tenant),
        )
        reply: Any = StreamReply(turn, self.settings.keep_alive_seconds) if streaming else TurnReply(turn)
        if body.get("background"):
            reply = self.background.reply(request, tenant, body, turn)
        if "idempotency-key" in request.headers:
            return await self._once(request, tenant, data, body, turn, reply)
        return reply

    async def _once(
        self, request: Request, tenant: str, data: bytes, body: Json, turn: ResponseTurn, reply: Any
    ) -> Any:
        """`reply` for the first request with this key, the stored response for those after it."""
        from .idempotency import Idempotent, replayed

        key = request.headers["idempotency-key"]
        once = Idempotent(self.store.idempotency, tenant, key, data, self.services.clock)
        earlier = await once.earlier(turn.response["id"])
        if earlier is None:
            return once.around(reply, turn.response["id"])
        record = await self.store.get(tenant, earlier)
        if record is None:
            raise ApiError(
                "conflict", "This request was answered before, but its response is not stored any more."
            )
        if body.get("background"):
            return await self.background.again(request, tenant, body, record)
        output = [visible(item, body.get("include", ())) for item in record.response["output"]]
        return replayed({**record.response, "output": output}, streaming=body.get("stream", False))

    async def websocket(self, websocket: WebSocket) -> None:
        from .websocket import Connection, check_origin

        try:
            check_origin(websocket.headers)
            tenant = await self.authenticate(websocket)
            retention = retention_of(websocket)
        except ApiError as error:
            await websocket.send_denial_response(error_response(error))
            return
        connection = Connection(websocket, self.services, caller_of(websocket, tenant), retention)
        self._connections.add(connection)
        await connection.serve()

    # ---------------------------------------------------------------- stored responses

    async def get_response(self, request: Request) -> Response | StreamReply:
        tenant, record = await self.stored(request)
        if request.query_params.get("stream") in ("true", "1"):
            return self.background.resume(request, tenant, record)
        return self.show(request, await self.background.current(tenant, record))

    def show(self, request: Request, record: StoredResponse) -> Response:
        """The response, with what the request's `include` asks for."""
        include = request.query_params.getlist("include") + request.query_params.getlist("include[]")
        output = [visible(item, include) for item in record.response["output"]]
        return JsonResponse({**record.response, "output": output})

    async def delete_response(self, request: Request) -> Response:
        tenant = await self.authenticate(request)
        response_id = request.path_params["response_id"]
        if not RESPONSE_ID.fullmatch(response_id) or not await self.store.delete(tenant, response_id):
            raise _not_found(response_id)
        for connection in self._connections:
            connection.forget(tenant, response_id)
        return JsonResponse({"id": response_id, "object": "response", "deleted": True})

    async def list_input_items(self, request: Request) -> Response:
        _, record = await self.stored(request)
        include = request.query_params.getlist("include") + request.query_params.getlist("include[]")
        items = [visible(item, include) for item in record.input]
        return JsonResponse(page(items, dict(request.query_params)))

    async def stored(self, request: Request) -> tuple[str, StoredResponse]:
        """Tenant and response of a request that names one. Raises ApiError."""
        tenant = await self.authenticate(request)
        response_id = request.path_params["response_id"]
        record = await self.store.get(tenant, response_id) if RESPONSE_ID.fullmatch(response_id) else None
        if record is None:
            raise _not_found(response_id)
        return tenant, record

    # ---------------------------------------------------------------- the gateway itself

    async def list_models(self, request: Request) -> Response:
        caller = caller_of(request, await self.authenticate(request))
        models = [
            _model(known.id, known.provider)
            for known in await self.router.models(self.secrets)
            if self.middlewares.shows_model(caller, known.id, self.router)
        ]
        return JsonResponse({"object": "list", "data": models})

    async def get_model(self, request: Request) -> Response:
        caller = caller_of(request, await self.authenticate(request))
        name = request.path_params["model"]
        self.middlewares.require_model(caller, name, self.router)
        route = self.router.resolve(name)
        price = {"price": dict(route.profile.price)} if route.profile.price else {}
        return JsonResponse(_model(name, route.provider.name) | price)

    async def health(self, request: Request) -> Response:
        return JsonResponse({"status": "ok"})

    async def metrics_page(self, request: Request) -> Response:
        """For who may use the gateway: it tells of all tenants together, and of none by name."""
        assert self.metrics and self.services
        await self.authenticate(request)
        page, content_type = self.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"content-type": content_type})

    async def openapi(self, request: Request) -> Response:
        from .openapi import document

        return JsonResponse(document())

    async def explain(self, request: Request) -> Any:
        from .explain import explained

        return await explained(self, request)


def _not_found(response_id: str) -> ApiError:
    return ApiError(
        "response_not_found", f"Response with id {quoted(response_id)} not found.", param="response_id"
    )


def _model(name: str, provider: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": provider}


# --------------------------------------------------------------------------- errors


async def on_api_error(request: Request, error: ApiError) -> Response:
    return error_response(error)


async def on_http_exception(request: Request, error: HTTPException) -> Response:
    """What Starlette's router raises: an unknown path, a wrong method."""
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    what = f"{request.method} {request.url.path:.200}"
    return error_response(ApiError(code, f"There is no {what} here."))


async def on_store_unavailable(request: Request, error: StoreUnavailable) -> Response:
    """Down, throttled, locked, full."""
    return error_response(as_api_error(error))


async def on_exception(request: Request, error: Exception) -> Response:
    return error_response(ApiError("server_error", "The gateway failed; the request id leads to its log."))
