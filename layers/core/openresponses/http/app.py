"""The ASGI app: its routes, and the errors that leave it. Any front door that speaks ASGI can serve it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from ..engine.admission import Turns
from ..engine.faults import as_api_error, gateway_fault
from ..protocol.errors import ApiError
from ..sealing import Sealer, memory_keys
from ..secrets import Secrets
from ..settings import Settings
from ..store.base import Store, StoreUnavailable
from ..telemetry import NoTelemetry, Telemetry
from .about import AboutRoutes
from .auth import Authenticate, local_caller
from .background import BackgroundRoutes, StartWorker
from .context import ContextRoutes
from .conversations import ConversationRoutes
from .gateway import Gateway
from .replies import error_response
from .request_id import RequestIds
from .responses import ResponseRoutes

if TYPE_CHECKING:
    from ..prometheus import PrometheusTelemetry


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

    authenticate   who sent a request; raises ApiError "invalid_api_key". None: everyone is the local tenant
    sealer         seals what clients carry for us. None: nothing sealed outlives this process
    start_worker   tells a worker to run a background response. None: this process runs it
    telemetry      is told how turns end. None: nobody is
    turns          admits turns to this process, and drains them when it stops. None: the app's own
    metrics        collects what /metrics shows; `telemetry` must tell it, too. None: no such page

    The scope may hold "openresponses.deadline": when, on the event loop's clock, the process may be stopped.
    """
    gateway = Gateway(
        settings,
        store,
        secrets,
        authenticate=authenticate or local_caller,
        sealer=sealer or Sealer(memory_keys()),
        telemetry=telemetry or NoTelemetry(),
        turns=turns or Turns(settings.max_concurrent_turns),
        metrics=metrics,
    )
    background = BackgroundRoutes(gateway, start_worker)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        background.open()
        try:
            yield
        finally:
            await background.close()
            await gateway.close()

    app = Starlette(routes=_routes(gateway, background), exception_handlers=ERROR_HANDLERS, lifespan=lifespan)
    app.router.redirect_slashes = False
    return RequestIds(app)


def _routes(gateway: Gateway, background: BackgroundRoutes) -> list[BaseRoute]:
    routes = [
        *ResponseRoutes(gateway, background).routes(),
        *ContextRoutes(gateway).routes(),
        *background.routes(),
        *ConversationRoutes(gateway).routes(),
        *AboutRoutes(gateway).routes(),
    ]
    if gateway.settings.playground:
        from .explain import ExplainRoutes
        from .playground import routes as playground_routes

        routes += [*playground_routes(), *ExplainRoutes(gateway).routes()]
    return [*routes, WebSocketRoute("/{path:path}", no_websocket)]


# --------------------------------------------------------------------------- errors


async def on_api_error(request: Request, error: ApiError) -> Response:
    return error_response(error)


async def on_http_exception(request: Request, error: HTTPException) -> Response:
    """What Starlette's router raises: an unknown path, a wrong method."""
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    what = f"{request.method} {request.url.path:.200}"
    return error_response(ApiError(code, f"There is no {what} here."))


async def no_websocket(websocket: WebSocket) -> None:
    error = ApiError("not_found", f"There is no WebSocket at {websocket.url.path:.200} here.")
    await websocket.send_denial_response(error_response(error))


async def on_store_unavailable(request: Request, error: StoreUnavailable) -> Response:
    """Down, throttled, locked, full."""
    return error_response(as_api_error(error))


async def on_exception(request: Request, error: Exception) -> Response:
    return error_response(gateway_fault())


ERROR_HANDLERS: Any = {
    ApiError: on_api_error,
    HTTPException: on_http_exception,
    StoreUnavailable: on_store_unavailable,
    Exception: on_exception,
}
