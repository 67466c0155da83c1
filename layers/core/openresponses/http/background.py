"""Background responses over HTTP: queue one, read it as it stands, follow its events, cancel it.

Source: OpenAI's background mode; the specification has `background` and the statuses, but no route to cancel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine.context import visible_response
from ..protocol.errors import ApiError
from ..store.base import StoredResponse
from .gateway import Gateway
from .replies import JsonResponse, StreamReply, error_response, stored_reply, turn_headers

if TYPE_CHECKING:
    from ..engine.background import Background, InProcess
    from ..engine.turn import ResponseTurn

Json = dict[str, Any]
StartWorker = Callable[[str, str], Awaitable[None]]  # tenant, response id


class BackgroundRoutes:
    """`start_worker` tells a worker elsewhere to run a response. None: this process runs it."""

    def __init__(self, gateway: Gateway, start_worker: StartWorker | None) -> None:
        self._gateway = gateway
        self._start_worker = start_worker
        self._in_process: InProcess | None = None
        self._background: Background | None = None

    def routes(self) -> list[Route]:
        return [Route("/v1/responses/{response_id}/cancel", self.cancel, methods=["POST"])]

    def open(self) -> None:
        """Where this process runs responses, it also ends those that a former one has left."""
        if self._start_worker is None:
            self._responses()

    async def close(self) -> None:
        if self._in_process:
            await self._in_process.close()

    def _responses(self) -> Background:
        if self._background is None:
            from ..engine.background import Background, InProcess

            if self._start_worker is None:
                self._in_process = InProcess(self._gateway.services)
                self._background = self._in_process.background
            else:
                self._background = Background(self._gateway.services, self._start_worker)
        return self._background

    def reply(self, request: Request, tenant: str, body: Json, turn: ResponseTurn) -> ASGIApp:
        """The answer to `background: true`: queues the response, then shows it, or its stream."""

        async def queue(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                record = await self._responses().submit(tenant, turn)
            except ApiError as error:
                await error_response(error, turn.headers)(scope, receive, send)
                return
            headers = turn_headers(turn)
            shown: ASGIApp = JsonResponse(record.response, headers=headers)
            if body.get("stream"):
                shown = self._tail(request, tenant, record, -1, headers)
            await shown(scope, receive, send)

        return queue

    async def again(
        self, request: Request, tenant: str, body: Json, record: StoredResponse
    ) -> Response | StreamReply:
        """The answer to the same request sent again: the response as it stands, or its stream from the beginning."""
        headers = {"x-openresponses-replayed": "true"}
        if body.get("stream"):
            return self._tail(request, tenant, record, -1, headers)
        current = await self.current(tenant, record)
        return JsonResponse(visible_response(current.response, body.get("include", ())), headers=headers)

    async def current(self, tenant: str, record: StoredResponse) -> StoredResponse:
        """The response as it stands."""
        if not record.response["background"]:
            return record
        return await self._responses().current(tenant, record)

    def resume(self, request: Request, tenant: str, record: StoredResponse) -> StreamReply:
        """The events after `starting_after`. Raises ApiError."""
        if not record.response["background"]:
            raise ApiError(
                "unsupported_parameter", "Only background responses can be streamed again.", param="stream"
            )
        after = request.query_params.get("starting_after", "-1")
        if after != "-1" and not (after.isascii() and after.isdecimal() and len(after) < 10):
            raise ApiError(
                "invalid_value", "'starting_after' must be a sequence number.", param="starting_after"
            )
        return self._tail(request, tenant, record, int(after), {})

    def _tail(
        self, request: Request, tenant: str, record: StoredResponse, after: int, headers: dict[str, str]
    ) -> StreamReply:
        from ..engine.tail import Tail

        deadline = request.scope.get("openresponses.deadline")
        services = self._gateway.services
        tail = Tail(services, self._responses(), tenant, record, after=after, deadline=deadline)
        return StreamReply(tail, services.settings.keep_alive_seconds, headers)

    async def cancel(self, request: Request) -> Response:
        caller, record = await self._gateway.stored_response(request)
        return stored_reply(request, await self._responses().cancel(caller.tenant, record))
