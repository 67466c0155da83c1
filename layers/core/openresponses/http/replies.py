"""Replies: JSON, errors in our shape, and a turn's answer as an event stream or as one JSON object."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..engine.assembler import TERMINAL
from ..engine.context import visible_response
from ..engine.turn import ResponseTurn
from ..protocol.errors import ApiError
from ..store.base import StoredResponse
from .sse import DONE, KEEP_ALIVE, encode

if TYPE_CHECKING:
    from ..engine.tail import Tail

EVENT_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

FLAGS = {"true": True, "1": True, "false": False, "0": False}
PLAIN_PATH = re.compile(r"[A-Za-z0-9_.\[\]-]{1,200}")
LONGEST_HEADER = 2000  # characters; API Gateway takes 10,240 bytes of all headers


class JsonResponse(Response):
    """A JSON body."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def error_response(error: ApiError, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """The error as an HTTP reply, with `headers` beside its own."""
    seconds = error.wait_seconds()
    own = {} if seconds is None else {"retry-after": str(seconds)}
    return JsonResponse({"error": error.body()}, status_code=error.status, headers={**(headers or {}), **own})


def included(request: Request) -> list[str]:
    """What the query's `include` asks for; some clients write it `include[]`."""
    return request.query_params.getlist("include") + request.query_params.getlist("include[]")


def flag(request: Request, name: str) -> bool:
    """A truth value of the query; false if it is not there. Raises ApiError."""
    value = request.query_params.get(name, "false").lower()
    if value not in FLAGS:
        raise ApiError("invalid_value", f"'{name}' must be true or false.", param=name)
    return FLAGS[value]


def stored_reply(request: Request, record: StoredResponse) -> JsonResponse:
    """A stored response, with what the query's `include` asks for."""
    return JsonResponse(visible_response(record.response, included(request)))


class JsonReply:
    """Sends what `work` comes to: a JSON body and headers. When the client goes, the work is cancelled."""

    def __init__(self, work: Awaitable[tuple[Any, Mapping[str, str]]]) -> None:
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply: Response | None = None
        try:
            async with cancelled_if_gone(receive):
                body, headers = await self._work
                reply = JsonResponse(body, headers=headers)
        except ApiError as error:
            reply = error_response(error)
        if reply:
            await reply(scope, receive, send)


class TurnReply:
    """Runs a turn and sends its answer. When the client goes, the turn is cancelled, and so is its provider call."""

    def __init__(self, turn: ResponseTurn) -> None:
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply: Response | None = None
        try:
            async with cancelled_if_gone(receive), aclosing(self._turn.events()) as batches:
                async for _ in batches:
                    pass
                reply = JsonResponse(self._turn.response, headers=turn_headers(self._turn))
        except ApiError as error:
            reply = error_response(error, self._turn.headers)
        if reply:
            await reply(scope, receive, send)


class StreamReply:
    """Runs a turn, or follows one, and sends its events as they come, with a comment after each `keep_alive` seconds of
    silence. `headers` go with the reply; a turn's own are known when it begins."""

    def __init__(
        self, events: ResponseTurn | Tail, keep_alive: float, headers: Mapping[str, str] | None = None
    ) -> None:
        self._events = events
        self._keep_alive = keep_alive
        self._headers = headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = last = False
        now = asyncio.get_running_loop().time

        async def comment() -> None:
            if started:
                await send({"type": "http.response.body", "body": KEEP_ALIVE, "more_body": True})

        try:
            async with (
                cancelled_if_gone(receive, idle=self._keep_alive, on_idle=comment) as watch,
                aclosing(self._events.events()) as batches,
            ):
                async for events in batches:
                    if not started:
                        await send(self._start())
                        started = True
                    last = events[-1]["type"] in TERMINAL
                    data = encode(events) + DONE if last else encode(events)
                    watch.active_at = now()
                    await send({"type": "http.response.body", "body": data, "more_body": not last})
                if not started:
                    await send(self._start())
                if not last:  # resumed at the end, or to be resumed
                    await send({"type": "http.response.body", "body": DONE, "more_body": False})
        except ApiError as error:
            told = self._events.headers if isinstance(self._events, ResponseTurn) else {}
            await error_response(error, told)(scope, receive, send)

    def _start(self) -> Message:
        own = turn_headers(self._events) if isinstance(self._events, ResponseTurn) else {}
        extra = [(key.encode(), value.encode()) for key, value in {**self._headers, **own}.items()]
        return {"type": "http.response.start", "status": 200, "headers": [*EVENT_STREAM_HEADERS, *extra]}


def turn_headers(turn: ResponseTurn) -> dict[str, str]:
    """Which provider and model answered, and which knobs of the request it has no place for."""
    headers = {"x-openresponses-route": str(turn.route)}
    if turn.ignored:
        headers["x-openresponses-ignored"] = _listed(turn.ignored)
    return headers | turn.headers


def _listed(paths: list[str]) -> str:
    """The paths as a header: as many as have room. A key of the client's own may be anything, and is cut off."""
    plain = dict.fromkeys(found[0].rstrip(".") for path in paths if (found := PLAIN_PATH.match(path)))
    listed: list[str] = []
    room = LONGEST_HEADER
    for path in plain:
        room -= len(path) + 2
        if room < 0:
            return f"{', '.join(listed)} and {len(plain) - len(listed)} more"
        listed.append(path)
    return ", ".join(listed)


class Watch:
    """When something was last sent, on the loop's clock."""

    __slots__ = ("active_at",)

    def __init__(self, active_at: float) -> None:
        self.active_at = active_at


@asynccontextmanager
async def cancelled_if_gone(
    receive: Receive, *, idle: float | None = None, on_idle: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Watch]:
    """Cancels what runs inside when the client disconnects, and ends quietly then.

    Calls `on_idle` whenever `idle` seconds have passed since `active_at`.
    """
    loop = asyncio.get_running_loop()
    inside = asyncio.current_task()
    assert inside is not None
    state = Watch(loop.time())
    gone = False

    async def watch() -> None:
        nonlocal gone
        while True:
            try:
                async with asyncio.timeout_at(state.active_at + idle if idle else None):
                    message = await receive()
            except TimeoutError:
                if on_idle and idle and loop.time() >= state.active_at + idle:
                    state.active_at = loop.time()
                    await on_idle()
                continue
            if message["type"] == "http.disconnect":
                gone = True
                inside.cancel()
                return

    watching = loop.create_task(watch())
    try:
        yield state
    except asyncio.CancelledError:
        if not gone or inside.uncancel() > 0:
            raise
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
