"""What the routes of one gateway share: its parts, who asks, and the stored response that a request names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection, Request

from ..engine.admission import Turns
from ..engine.caller import Caller
from ..engine.hosted_tools import load_tools
from ..engine.middleware import configured_middlewares
from ..engine.services import Services
from ..protocol.errors import ApiError, quoted
from ..protocol.ids import RESPONSE_ID
from ..routing import Router
from ..sealing import Sealer
from ..secrets import Secrets
from ..settings import Settings
from ..store.base import Store, StoredResponse
from ..telemetry import TENANT, Telemetry
from ..upstream.breaker import Breaker
from ..upstream.client import Upstream
from .auth import Authenticate

if TYPE_CHECKING:
    from ..prometheus import PrometheusTelemetry


class Gateway:
    """The parameters are those of `create_app`."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        secrets: Secrets,
        *,
        authenticate: Authenticate,
        sealer: Sealer,
        telemetry: Telemetry,
        turns: Turns,
        metrics: PrometheusTelemetry | None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.secrets = secrets
        self.router = Router(settings)
        self.middlewares = configured_middlewares(self.router)
        self.metrics = metrics
        self._tools = load_tools(self.router.tools, secrets)
        self._authenticate = authenticate
        self._sealer = sealer
        self._telemetry = telemetry
        self._turns = turns
        self._services: Services | None = None

    @property
    def services(self) -> Services:
        """Made in the event loop that serves the first request."""
        if self._services is None:
            self._services = Services(
                self.settings,
                self.router,
                self.secrets,
                self.store,
                Upstream(self.settings.connect_timeout),
                self._tools,
                mcp=self.router.mcp,
                telemetry=self._telemetry,
                sealer=self._sealer,
                middlewares=self.middlewares,
                breaker=Breaker(self.settings.breaker_failures, self.settings.breaker_seconds),
                turns=self._turns,
            )
            if self.metrics:
                self.metrics.watch(lambda: self._turns.taken, self._services.breaker.states)
        return self._services

    async def close(self) -> None:
        if self._services:
            await self._services.upstream.aclose()
        await self.store.close()

    async def authenticate(self, request: HTTPConnection) -> Caller:
        """Who sent the request; its log lines name the tenant from now on. Raises ApiError."""
        caller = await self._authenticate(request)
        TENANT.set(caller.tenant)
        return caller

    async def stored_response(self, request: Request) -> tuple[Caller, StoredResponse]:
        """Who asks, and the response that the path names. Raises ApiError."""
        caller = await self.authenticate(request)
        response_id = request.path_params["response_id"]
        known = RESPONSE_ID.fullmatch(response_id)
        record = await self.store.get(caller.tenant, response_id) if known else None
        if record is None:
            raise response_not_found(response_id)
        return caller, record


def response_not_found(response_id: str) -> ApiError:
    return ApiError(
        "response_not_found", f"Response with id {quoted(response_id)} not found.", param="response_id"
    )
