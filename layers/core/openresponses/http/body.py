"""The body of a request: its bytes, within the limit."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from ..protocol.errors import ApiError

BODY_SECONDS = 300.0  # for all of it to arrive


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body; ApiError if it is over `limit` bytes, compressed, cut, or does not come to its end."""
    too_large = ApiError("request_too_large", f"The request body is over {limit} bytes.")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("identity", ""):
        message = f"A body with content-encoding {encoding!r:.40} cannot be read."
        raise ApiError("unsupported_value", message, param="content-encoding")
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and (len(declared) > 20 or int(declared) > limit):
        raise too_large
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                pieces.append(chunk)
    except TimeoutError:
        message = f"The request body did not arrive within {BODY_SECONDS:g} s."
        raise ApiError("request_timeout", message) from None
    except ClientDisconnect:  # no fault of ours: nobody is there to be told
        raise ApiError("invalid_json", "The request body ended before it was complete.") from None
    return b"".join(pieces)
