"""`Idempotency-Key`: a request that is sent again within 24 hours is answered by the response to the first one.

The same key with another body is a 400, one whose request is still running a 409. A request that came to nothing (an
HTTP error) leaves its key free. Kept are the key's digest, the body's digest and the response's id, for each tenant.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..engine.replay import replay
from ..protocol.errors import ApiError
from ..store.base import StoreUnavailable
from ..store.idempotency import Claim, Idempotency
from .replies import JsonResponse
from .sse import DONE, encode

Json = dict[str, Any]
log = logging.getLogger(__name__)

Reply = Callable[[Scope, Receive, Send], Awaitable[None]]
LIFETIME = 24 * 3600  # seconds
LONGEST_TURN = 900  # seconds: what dies with its process leaves its key free after that
LONGEST_KEY = 255


class Idempotent:
    """The reply to a request that came with a key: claims it before the turn, keeps or frees it after."""

    def __init__(self, keys: Idempotency, tenant: str, key: str, body: bytes, now: float) -> None:
        if not 0 < len(key) <= LONGEST_KEY:
            message = f"'Idempotency-Key' must have 1 to {LONGEST_KEY} characters."
            raise ApiError("invalid_value", message, param="Idempotency-Key")
        self._keys = keys
        self._tenant = tenant
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._digest = hashlib.sha256(body).hexdigest()
        self._now = int(now)

    async def earlier(self, response_id: str) -> str | None:
        """Claims the key for `response_id`: None. Or the id of the response that answered the same request before.

        Raises ApiError for a key that came with another body, or whose request is still running.
        """
        mine = Claim(self._digest, response_id, False, self._now + LONGEST_TURN)
        found = await self._keys.claim(self._tenant, self._key, mine)
        if found is None:
            return None
        if found.digest != self._digest:
            message = "This 'Idempotency-Key' was used with another request body."
            raise ApiError("invalid_value", message, param="Idempotency-Key")
        if not found.done:
            raise ApiError(
                "conflict", "The request with this 'Idempotency-Key' is still running.", retry_after=1
            )
        return found.response_id

    def around(self, reply: Reply, response_id: str) -> Reply:
        """`reply`; afterwards the key stands for its response, or is free again if the reply was an error.

        That is settled before the client has the last of it: who asks again at once is answered.
        """

        async def replied(scope: Scope, receive: Receive, send: Send) -> None:
            status, settled = 0, False

            async def watched(message: Message) -> None:
                nonlocal status, settled
                if message["type"] == "http.response.start":
                    status = message["status"]
                elif not message.get("more_body") and not settled:
                    settled = True
                    await self._settle(status, response_id)
                await send(message)

            try:
                await reply(scope, receive, watched)
            finally:
                if not settled:
                    await asyncio.shield(self._settle(status, response_id))

        return replied

    async def _settle(self, status: int, response_id: str) -> None:
        try:
            if status == 200:
                done = Claim(self._digest, response_id, True, self._now + LIFETIME)
                await self._keys.replace(self._tenant, self._key, done)
            else:
                await self._keys.release(self._tenant, self._key)
        except StoreUnavailable as error:  # the answer matters more; the claim ends by itself
            log.warning("idempotency key not settled: %s", error)


def replayed(response: Json, *, streaming: bool) -> Response:
    """The response of an earlier request, told again in the form that is asked for now."""
    headers = {"x-openresponses-replayed": "true"}
    if not streaming:
        return JsonResponse(response, headers=headers)
    data = encode(replay(response)) + DONE
    return Response(data, headers=headers, media_type="text/event-stream; charset=utf-8")
