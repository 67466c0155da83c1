"""The routes of responses: create one, over HTTP or a WebSocket; read, list and delete what is stored.

authenticate → read the body → parse → turn → reply
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from ..engine.context import visible, visible_response
from ..engine.turn import ResponseTurn
from ..protocol.errors import ApiError
from ..protocol.ids import RESPONSE_ID
from ..protocol.pages import page
from ..protocol.request import parse_json, parse_request
from ..telemetry import Redacted
from .background import BackgroundRoutes
from .body import read_body
from .gateway import Gateway, response_not_found
from .replies import JsonResponse, StreamReply, TurnReply, error_response, flag, included, stored_reply

if TYPE_CHECKING:
    from .websocket import Connection

Json = dict[str, Any]
log = logging.getLogger(__name__)


class ResponseRoutes:
    """Handlers over a gateway; what is asked with `background: true` is passed on to its routes."""

    def __init__(self, gateway: Gateway, background: BackgroundRoutes) -> None:
        self._gateway = gateway
        self._background = background
        self._connections: WeakSet[Connection] = WeakSet()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/responses", self.create, methods=["POST"]),
            WebSocketRoute("/v1/responses", self.websocket),
            Route("/v1/responses/{response_id}", self.get, methods=["GET"]),
            Route("/v1/responses/{response_id}", self.delete, methods=["DELETE"]),
            Route("/v1/responses/{response_id}/input_items", self.list_input_items, methods=["GET"]),
        ]

    async def create(self, request: Request) -> ASGIApp:
        gateway = self._gateway
        caller = await gateway.authenticate(request)
        data = await read_body(request, gateway.settings.max_body_bytes)
        log.debug("request %s", Redacted(data))
        retention = caller.retention
        body = parse_request(retention.applied(parse_json(data)))
        streaming = body.get("stream", False)
        turn = ResponseTurn(
            gateway.services,
            body,
            caller=caller,
            streaming=streaming,
            deadline=request.scope.get("openresponses.deadline"),
            lifetime=retention.lifetime,
        )
        reply: ASGIApp
        if body.get("background"):
            reply = self._background.reply(request, caller.tenant, body, turn)
        elif streaming:
            reply = StreamReply(turn, gateway.settings.keep_alive_seconds)
        else:
            reply = TurnReply(turn)
        if "idempotency-key" in request.headers:
            return await self._once(request, caller.tenant, data, body, turn, reply)
        return reply

    async def _once(
        self, request: Request, tenant: str, data: bytes, body: Json, turn: ResponseTurn, reply: ASGIApp
    ) -> ASGIApp:
        """`reply` for the first request with this key, the stored response for those after it."""
        from .idempotency import Idempotent, replayed

        store, key = self._gateway.store, request.headers["idempotency-key"]
        once = Idempotent(store.idempotency, tenant, key, data, self._gateway.services.clock)
        earlier = await once.earlier(turn.response["id"])
        if earlier is None:
            return once.around(reply, turn.response["id"])
        record = await store.get(tenant, earlier)
        if record is None:
            raise ApiError(
                "conflict", "This request was answered before, but its response is not stored any more."
            )
        if body.get("background"):
            return await self._background.again(request, tenant, body, record)
        return replayed(
            visible_response(record.response, body.get("include", ())),
            streaming=body.get("stream", False),
            reasoning_events=self._gateway.settings.reasoning_events,
        )

    async def websocket(self, websocket: WebSocket) -> None:
        from .websocket import Connection, check_origin

        try:
            check_origin(websocket.headers)
            caller = await self._gateway.authenticate(websocket)
            connection = Connection(websocket, self._gateway.services, caller, self._gateway.authenticate)
        except ApiError as error:
            await websocket.send_denial_response(error_response(error))
            return
        self._connections.add(connection)
        await connection.serve()

    # ---------------------------------------------------------------- stored responses

    async def get(self, request: Request) -> Response | StreamReply:
        caller, record = await self._gateway.stored_response(request)
        if flag(request, "stream"):
            return self._background.resume(request, caller.tenant, record)
        return stored_reply(request, await self._background.current(caller.tenant, record))

    async def delete(self, request: Request) -> Response:
        tenant = (await self._gateway.authenticate(request)).tenant
        response_id = request.path_params["response_id"]
        known = RESPONSE_ID.fullmatch(response_id)
        if not known or not await self._gateway.store.delete(tenant, response_id):
            raise response_not_found(response_id)
        for connection in self._connections:
            connection.forget(tenant, response_id)
        return JsonResponse({"id": response_id, "object": "response", "deleted": True})

    async def list_input_items(self, request: Request) -> Response:
        _, record = await self._gateway.stored_response(request)
        items = [visible(item, included(request)) for item in record.input]
        return JsonResponse(page(items, dict(request.query_params)))
