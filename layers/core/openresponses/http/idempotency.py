"""`Idempotency-Key`: a request that is sent again within 24 hours is answered by the response to the first one.

The same key with another body is a 400, one whose request is still running a 409. A request that came to nothing (an
HTTP error) leaves its key free, and so does one whose process died, once its lease is over. Kept are the key's digest,
the body's digest and the response's id, for each tenant.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.replay import replay
from ..protocol.errors import ApiError
from ..store.base import StoreUnavailable
from ..store.idempotency import Claim, Idempotency
from .replies import JsonResponse
from .sse import DONE, encode

Json = dict[str, Any]
log = logging.getLogger(__name__)

LIFETIME = 24 * 3600  # seconds
LEASE = 30  # seconds that a running request holds its key without saying so again
BEAT = LEASE / 3  # between two times that it says so
LONGEST_KEY = 255


class Idempotent:
    """The reply to a request that came with a key: claims it before the turn, keeps or frees it after."""

    def __init__(
        self, keys: Idempotency, tenant: str, key: str, body: bytes, clock: Callable[[], float]
    ) -> None:
        if not 0 < len(key) <= LONGEST_KEY:
            message = f"'Idempotency-Key' must have 1 to {LONGEST_KEY} characters."
            raise ApiError("invalid_value", message, param="Idempotency-Key")
        self._keys = keys
        self._tenant = tenant
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._digest = hashlib.sha256(body).hexdigest()
        self._clock = clock
        self._writing = asyncio.Lock()  # a lease that is prolonged late must not undo the end
        self._settled = False

    async def earlier(self, response_id: str) -> str | None:
        """Claims the key for `response_id`: None. Or the id of the response that answered the same request before.

        Raises ApiError for a key that came with another body, or whose request is still running.
        """
        found = await self._keys.claim(self._tenant, self._key, self._running(response_id))
        if found is None:
            return None
        if found.digest != self._digest:
            message = "This 'Idempotency-Key' was used with another request body."
            raise ApiError("invalid_value", message, param="Idempotency-Key")
        if not found.done:
            # By then it has ended, its lease was prolonged, or its process is dead and the key free.
            wait = found.expires_at - self._clock()
            message = "The request with this 'Idempotency-Key' is still running."
            raise ApiError("conflict", message, retry_after=wait)
        return found.response_id

    def _running(self, response_id: str) -> Claim:
        return Claim(self._digest, response_id, False, int(self._clock()) + LEASE)

    def around(self, reply: ASGIApp, response_id: str) -> ASGIApp:
        """`reply`; afterwards the key stands for its response, or is free again if the reply was an error.

        That is settled before the client has the last of it: who asks again at once is answered.
        """

        async def replied(scope: Scope, receive: Receive, send: Send) -> None:
            status = 0
            holding = asyncio.create_task(self._hold(response_id))

            async def watched(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                elif not message.get("more_body") and not self._settled:
                    await self._settle(status, response_id)
                await send(message)

            try:
                await reply(scope, receive, watched)
            finally:
                holding.cancel()
                if not self._settled:
                    await asyncio.shield(self._settle(status, response_id))

        return replied

    async def _hold(self, response_id: str) -> None:
        """Prolongs the lease until this is cancelled, or the request has ended."""
        while True:
            await asyncio.sleep(BEAT)
            async with self._writing:
                if self._settled:
                    return
                try:
                    await self._keys.replace(self._tenant, self._key, self._running(response_id))
                except StoreUnavailable as error:
                    log.warning("idempotency key not held: %s", error)

    async def _settle(self, status: int, response_id: str) -> None:
        try:
            async with self._writing:
                self._settled = True
                if status == 200:
                    done = Claim(self._digest, response_id, True, int(self._clock()) + LIFETIME)
                    await self._keys.replace(self._tenant, self._key, done)
                else:
                    await self._keys.release(self._tenant, self._key)
        except StoreUnavailable as error:  # the answer matters more; the claim ends by itself
            log.warning("idempotency key not settled: %s", error)


def replayed(response: Json, *, streaming: bool, reasoning_events: str) -> Response:
    """The response of an earlier request, told again in the form that is asked for now. `reasoning_events` is the
    setting."""
    headers = {"x-openresponses-replayed": "true"}
    if not streaming:
        return JsonResponse(response, headers=headers)
    data = encode(replay(response, reasoning_events)) + DONE
    return Response(data, headers=headers, media_type="text/event-stream; charset=utf-8")
