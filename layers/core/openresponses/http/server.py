"""The HTTP server of one's own machine: uvicorn, whose end cuts no answer off, and whose errors are in our shape."""

from __future__ import annotations

import asyncio
import socket

import orjson
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ..engine.admission import Turns
from ..protocol.errors import ApiError


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


class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's, which answers what is no HTTP before any app sees it."""

    def send_400_response(self, msg: str) -> None:
        error = ApiError("invalid_value", "The request cannot be read as HTTP/1.1.")
        body = orjson.dumps({"error": error.body()})
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
