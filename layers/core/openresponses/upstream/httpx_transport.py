"""httpx's own transport, which knows the proxies of the environment."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx


class Sender:
    """A client whose answers are read by their callers. What a connection of the pool still holds when its answer has
    ended, nobody has asked for: httpx would take it for the answer to the next request, maybe another tenant's."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=None, follow_redirects=False)

    async def send(self, message: httpx.Request) -> httpx.Response:
        for connection in self._connections():
            if connection.is_idle() and _holds_data(connection):
                await connection.aclose()
        return await self._client.send(message, stream=True)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _connections(self) -> Iterator[Any]:
        for transport in (self._client._transport, *self._client._mounts.values()):
            pool = getattr(transport, "_pool", None)
            yield from pool.connections if pool else ()


def _holds_data(connection: Any) -> bool:
    """Whether httpcore's connection, or the one within it that speaks HTTP, has bytes that it has not read."""
    while (state := getattr(connection, "_h11_state", None)) is None:
        connection = getattr(connection, "_connection", None)
        if connection is None:
            return False
    tls = connection._network_stream.get_extra_info("ssl_object")
    return bool(state.trailing_data[0]) or (tls is not None and _has_record(tls))


def _has_record(tls: ssl.SSLObject) -> bool:
    """Whether a record has come with those before it, and is not read yet: then it is lost with the asking."""
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass
    return True
