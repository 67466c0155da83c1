"""`GET /v1/responses`, upgraded: messages in, frames out, one turn at a time. What a turn is, engine/session.py knows.

The server below (uvicorn) answers pings, sends its own, and waits with a send until a slow client has read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing, suppress
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..engine.caller import Caller
from ..engine.deadline import DEADLINE_MARGIN
from ..engine.faults import as_api_error
from ..engine.services import Services
from ..engine.session import Json, Session
from ..protocol.errors import ApiError
from ..protocol.websocket import KEY_SECONDS, MAX_WAITING, envelope, too_many_waiting
from .auth import Authenticate

GRACE_SECONDS = 5.0  # for a turn to say its end, when the connection has reached its limit
# Close codes of RFC 6455, section 7.4.1.
GOING_AWAY, POLICY_VIOLATION, INTERNAL_ERROR = 1001, 1008, 1011


def check_origin(headers: Headers) -> None:
    """A page of another site may not use this gateway through its visitor's browser: no CORS guards WebSockets.

    Raises ApiError. Clients that are no browsers send no origin, or the gateway's own.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise ApiError("permission_denied", "Pages of other sites may not open a WebSocket here.")


class Connection:
    """Serves one WebSocket, for `websocket_seconds` at most.

    When the client goes, the running turn is cancelled, and so is its provider call.
    """

    def __init__(
        self, websocket: WebSocket, services: Services, caller: Caller, authenticate: Authenticate
    ) -> None:
        """`authenticate` has just said that it is the caller. Raises ApiError for one whose limits cannot be
        understood."""
        self._websocket = websocket
        self._authenticate = authenticate
        self._key_holds_until = asyncio.get_running_loop().time() + KEY_SECONDS
        self._seconds = services.settings.websocket_seconds
        self._deadline = asyncio.get_running_loop().time() + self._seconds
        deadline = self._deadline + DEADLINE_MARGIN
        self._session = Session(services, caller, deadline=deadline, retention=caller.retention)
        self._waiting: deque[bytes] = deque()
        self._turns: asyncio.Task[None] | None = None

    def forget(self, tenant: str, response_id: str) -> None:
        """The response was deleted."""
        if tenant == self._session.tenant:
            self._session.local.forget(response_id)

    async def serve(self) -> None:
        await self._websocket.accept()
        try:
            async with asyncio.timeout_at(self._deadline):
                while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
                    if not await self._take(message):
                        break
        except TimeoutError:
            await self._reach_limit()
        except WebSocketDisconnect:
            pass
        finally:
            await self._cancel_turns()

    async def _take(self, message: Message) -> bool:
        """Puts a message in the queue; False if the connection ends because there are too many."""
        text = message.get("text")
        self._waiting.append(message["bytes"] if text is None else text.encode())
        if len(self._waiting) > MAX_WAITING:
            await self._cancel_turns()
            await self._end(too_many_waiting(), POLICY_VIOLATION)
            return False
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._answer_waiting())
        return True

    async def _answer_waiting(self) -> None:
        while self._waiting:
            if not await self._key_holds():
                return
            begun = False
            try:
                async with aclosing(self._session.answer(self._waiting.popleft())) as batches:
                    async for frames in batches:
                        begun = True
                        for frame in frames:
                            await self._send(frame)
            except WebSocketDisconnect:
                return
            except Exception as raised:
                error = as_api_error(raised)
                with suppress(WebSocketDisconnect):
                    await self._end(None if begun else error, INTERNAL_ERROR)
                return

    async def _key_holds(self) -> bool:
        """Whether the key that opened the connection is still good for a turn; the connection ends with it."""
        now = asyncio.get_running_loop().time()
        if now < self._key_holds_until:
            return True
        try:
            await self._authenticate(self._websocket)
        except Exception as raised:
            self._waiting.clear()
            with suppress(WebSocketDisconnect):
                await self._end(as_api_error(raised), POLICY_VIOLATION)
            return False
        self._key_holds_until = now + KEY_SECONDS
        return True

    async def _reach_limit(self) -> None:
        """The running turn has the same deadline: it says its end first."""
        self._waiting.clear()
        if self._turns:
            await asyncio.wait((self._turns,), timeout=GRACE_SECONDS)
            await self._cancel_turns()
        minutes = f"{self._seconds / 60:g} minutes"
        message = f"This connection has reached its limit of {minutes}. Open another one to go on."
        with suppress(WebSocketDisconnect):
            await self._end(ApiError("websocket_connection_limit_reached", message), GOING_AWAY)

    async def _end(self, error: ApiError | None, code: int) -> None:
        if error:
            await self._send(envelope(error))
        await self._websocket.close(code, error.code if error else None)

    async def _send(self, frame: Json) -> None:
        await self._websocket.send({"type": "websocket.send", "text": orjson.dumps(frame).decode()})

    async def _cancel_turns(self) -> None:
        self._waiting.clear()
        if self._turns:
            self._turns.cancel()
            await asyncio.wait((self._turns,))
