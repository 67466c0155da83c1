"""aiohttp's own errors, however they come out of a body, are httpx's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp.http_exceptions import HttpProcessingError, TransferEncodingError
from openresponses.upstream.aiohttp_transport import Stream


class Content:
    """A body that breaks after its first piece."""

    def __init__(self, error: Exception) -> None:
        self.content = self
        self._error = error

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield b"one"
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        HttpProcessingError(code=400, message="no chunk"),
        TransferEncodingError("no chunk"),
        aiohttp.ClientPayloadError("cut"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError("reset"),
        RuntimeError("Connection closed."),
    ],
)
async def test_a_body_that_breaks_is_a_transport_error(error: Exception) -> None:
    broken: Any = Content(error)
    pieces = []
    with pytest.raises(httpx.TransportError):
        async for piece in Stream(broken):
            pieces.append(piece)
    assert pieces == [b"one"]
