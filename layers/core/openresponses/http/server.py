"""The local HTTP server: uvicorn, which lets running answers end before it stops, and whose errors have our shape."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response
from websockets.server import ServerProtocol

from ..engine.admission import Turns
from ..engine.faults import gateway_fault
from ..protocol.errors import ApiError

# For a request's line and headers to arrive, from the connection or from their first byte.
HEAD_SECONDS = 30.0
HEAD_BYTES = 1 << 16  # of the same
TOO_LONG = f"The request's line and headers have more than {HEAD_BYTES >> 10} KB."
NO_HANDSHAKE = (
    "This is no opening handshake of a WebSocket (RFC 6455, section 4.2.1), or has more than 128 headers, "
    "or one of more than 8 KB."
)
# For a client to take what fills the connection's buffer: it holds a turn's place meanwhile.
STALLED_SECONDS = 300.0


class Server(uvicorn.Server):
    """Told to stop, it takes no more connections and turns, and gives those that run `seconds` to end before it closes
    what is still open. Told twice, it closes at once."""

    def __init__(self, config: uvicorn.Config, turns: Turns, seconds: float) -> None:
        super().__init__(config)
        self._turns = turns
        self._seconds = seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        draining = asyncio.create_task(self._turns.drain(self._seconds))
        while not (draining.done() or self.force_exit):
            await asyncio.wait((draining,), timeout=0.1)
        draining.cancel()
        await super().shutdown(sockets)


class NotRead(asyncio.Protocol):
    """Beside a protocol of uvicorn's: who takes nothing of what is sent has gone, though the connection stands. A close
    would wait behind what is not read."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._goes_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._goes_on()
        super().connection_lost(exc)

    def _goes_on(self) -> None:
        if self._stalled:
            self._stalled.cancel()
            self._stalled = None


class Protocol(NotRead, HttpToolsProtocol):
    """uvicorn's, which answers what is no HTTP before any app sees it; a connection on which no request comes is
    closed."""

    _waiting: asyncio.TimerHandle | None = None
    _head = 0  # bytes of a head that has not come to its end

    # ---------------------------------------------------------------- a head that does not end

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._waiting is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        self._head = 0

    def _head_is_there(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None

    # ---------------------------------------------------------------- offers of another protocol

    def _should_upgrade(self) -> bool:
        return self.scope["method"] == "GET" and super()._should_upgrade()

    def _ignores_upgrade(self) -> bool:
        return self.parser.should_upgrade() and not self._should_upgrade()

    def on_headers_complete(self) -> None:
        self._head_is_there()
        self.scope["method"] = self.parser.get_method().decode()
        if not self._ignores_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._ignores_upgrade():
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        waiting = self._waiting
        try:
            self.parser.feed_data(data)
            # Else another request's body may have stood before the head.
            if waiting and self._waiting is waiting:
                self._head += len(data)
                if self._head > HEAD_BYTES:
                    self.send_400_response(TOO_LONG)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._read_on(data[upgrade.args[0] :])

    def _read_on(self, rest: bytes) -> None:
        """A server may ignore an offer (RFC 9110, section 7.8), as Java's client makes one of HTTP/2 with every
        request; httptools leaves off behind its head, and takes the body for the other protocol's."""
        if self.scope["method"] == "CONNECT":
            self.send_400_response("")
            return
        line = b"%b %b HTTP/1.1\r\n" % (self.scope["method"].encode(), self.url)
        kept = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join([line, *kept, b"\r\n", rest]))

    def send_400_response(self, msg: str) -> None:
        body = error_body(ApiError("invalid_value", msg or "The request cannot be read as HTTP/1.1."))
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class WebSocketProtocol(NotRead, WebSocketsSansIOProtocol):
    """uvicorn's, which refuses what is no handshake before any app sees it."""

    def __init__(self, config: uvicorn.Config, *more: Any, **named: Any) -> None:
        super().__init__(config, *more, **named)
        self.conn = Handshake(max_size=config.ws_max_size, logger=logging.getLogger("uvicorn.error"))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc and not self.handshake_initiated and not self.transport.is_closing():
            # Not even read: a line of more than 8 KB, more than 128 headers, a body. uvicorn would say nothing.
            self.transport.write(self.conn.reject(400, "").serialize())
            self.transport.close()


class Handshake(ServerProtocol):
    """Refuses in the one shape of errors: what is no handshake; every one, where the app fails."""

    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, "")
        error = gateway_fault() if status >= 500 else ApiError("invalid_value", NO_HANDSHAKE)
        response.body = error_body(error)
        for name, value in (
            ("content-type", "application/json"),
            ("content-length", str(len(response.body))),
        ):
            del response.headers[name]
            response.headers[name] = value
        return response


def error_body(error: ApiError) -> bytes:
    return orjson.dumps({"error": error.body()})
