"""A sample over HTTP: the provider's request is sent, retried while nothing was said, and its answer read to the end.

This file owns the limits of time, and says what a broken connection means; engine/answer.py reads the bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator

import httpx

from ..adapters.base import (
    Adapter,
    Delta,
    Failed,
    MessageStarted,
    Started,
    Turn,
    UpstreamRequest,
    Usage,
    provider_error,
)
from ..catalog import Provider
from ..metrics import CIRCUITS_OPENED, KEY_REFUSED, RETRIES, THROTTLED
from ..protocol.errors import ApiError
from ..telemetry import REQUEST_ID, bounded
from ..upstream.client import Answer
from ..upstream.endpoint import Endpoint
from ..upstream.retry import seconds_of, with_retries
from .answer import AnswerReader
from .faults import MISREAD, without_text
from .services import Services

log = logging.getLogger(__name__)

NO_CONTENT = frozenset({Started, MessageStarted, Usage, Failed})
GRACE_SECONDS = 5.0  # for what follows the provider's own end: usage, the end of the connection


class UpstreamSample:
    """A call over HTTP. It gives a batch of deltas for each chunk that the network gave.

    deadline       on the loop's clock, or None
    longest_wait   seconds that a provider's Retry-After may ask for
    until          on the loop's clock, or None: no further attempt begins after it
    """

    def __init__(
        self,
        services: Services,
        provider: Provider,
        adapter: Adapter,
        turn: Turn,
        request: UpstreamRequest,
        *,
        deadline: float | None,
        longest_wait: float,
        until: float | None = None,
    ) -> None:
        self._services = services
        self._provider = provider
        self._adapter = adapter
        self._turn = turn
        self._request = request
        self._deadline = deadline
        self._longest_wait = longest_wait
        self._until = until
        self._source = provider.name, bounded(turn.model, provider.models)
        self.base_url: str | None = None
        self.attempts = 0
        self.provider_request_id: str | None = None
        self._now = asyncio.get_running_loop().time
        effort = turn.request.get("reasoning", {}).get("effort")
        settings = services.settings
        self._idle = settings.idle_timeout if effort in (None, "none") else settings.reasoning_idle_timeout
        self._answer: Answer | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._reader: AnswerReader | None = None

    async def aclose(self) -> None:
        if self._answer:
            await self._answer.aclose()

    # ---------------------------------------------------------------- opening

    async def open(self) -> list[Delta]:
        settings = self._services.settings
        return await with_retries(
            self._attempt,
            name=self._provider.name,
            budget=self._services.retry_budget,
            max_retries=settings.max_retries,
            first_delay=settings.retry_seconds,
            longest_wait=self._longest_wait,
            deadline=self._deadline,
            until=self._until,
        )

    async def _attempt(self, refresh: bool) -> list[Delta]:
        services, name = self._services, self._provider.name
        counted = services.telemetry.counted
        endpoint = await services.router.endpoint(self._provider, services.secrets, refresh=refresh)
        self.base_url = endpoint.base_url
        if self._provider.request_id_header and (request_id := REQUEST_ID.get()):
            endpoint.headers[self._provider.request_id_header] = request_id
        services.breaker.admit(endpoint.base_url, name)
        if self.attempts:
            counted(RETRIES, *self._source)
        self.attempts += 1
        try:
            deltas = await self._once(endpoint)
        except ApiError as error:
            if services.breaker.failed(endpoint.base_url, error, name):
                counted(CIRCUITS_OPENED, *self._source)
            if error.status == 429:
                counted(THROTTLED, *self._source)
            elif error.code == "provider_authentication_failed" and refresh:
                counted(KEY_REFUSED, *self._source)
            await self.aclose()
            self._answer = self._chunks = self._reader = None
            raise
        services.breaker.succeeded(endpoint.base_url)
        return deltas

    async def _once(self, endpoint: Endpoint) -> list[Delta]:
        """Sends the request once; the first deltas. Raises ApiError for whatever comes instead of them."""
        services = self._services
        limit = self._now() + services.settings.first_byte_timeout
        try:
            async with asyncio.timeout_at(self._before_deadline(limit)):
                self._answer = answer = await services.upstream.post(endpoint, self._request)
                self.provider_request_id = answer.request_id
                if answer.status >= 300:
                    raise await self._explain(answer)
                self._chunks = answer.chunks()
                self._reader = reader = self._new_reader(answer)
                while not (deltas := await self._next()):
                    pass
        except TimeoutError:
            self._raise_at_deadline()
            seconds = services.settings.first_byte_timeout
            silent = f"{self._provider.name} did not answer within {seconds:g} s."
            told = self._told(ApiError("provider_timeout", silent))
            told.retryable = False  # nobody waits for it twice
            raise told from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._told(self._broken(error)) from None
        first = deltas[0]
        if isinstance(first, Failed) or (reader.failed and not any(_is_content(delta) for delta in deltas)):
            raise next(delta.error for delta in deltas if isinstance(delta, Failed))
        return deltas

    def _new_reader(self, answer: Answer) -> AnswerReader:
        reader = self._adapter.reader(self._turn)
        return AnswerReader(self._provider.name, reader, self._request.framing, answer.content_type)

    async def _explain(self, answer: Answer) -> ApiError:
        return explained(self._adapter, answer, await answer.read())

    # ---------------------------------------------------------------- reading

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        reader = self._reader
        assert reader is not None
        while not reader.done:
            limit = self._now() + (GRACE_SECONDS if reader.stopped else self._idle)
            try:
                async with asyncio.timeout_at(self._before_deadline(limit)):
                    deltas = await self._next()
            except TimeoutError:
                if reader.stopped:
                    deltas = reader.end()
                else:
                    self._raise_at_deadline()
                    silent = f"{self._provider.name} fell silent for {self._idle:g} s."
                    deltas = [Failed(self._told(ApiError("provider_timeout", silent)))]
                    reader.done = True
            except (httpx.TransportError, httpx.DecodingError) as error:
                if reader.stopped:
                    deltas = reader.end()
                else:
                    deltas = [Failed(self._told(self._broken(error)))]
                    reader.done = True
            if deltas:
                yield deltas

    async def _next(self) -> list[Delta]:
        """The deltas of the next chunk; of the end of the stream, when it has come."""
        assert self._chunks is not None and self._reader is not None
        chunk = await anext(self._chunks, None)
        return self._reader.end() if chunk is None else self._reader.feed(chunk)

    # ---------------------------------------------------------------- limits and failures

    def _before_deadline(self, limit: float) -> float:
        return limit if self._deadline is None or limit < self._deadline else self._deadline

    def _raise_at_deadline(self) -> None:
        """Raises TimeoutError if the time that ran out was the turn's, not what the provider had for its answer."""
        if self._deadline is not None and self._now() >= self._deadline - 0.002:
            raise TimeoutError

    def _told(self, error: ApiError) -> ApiError:
        """The error that the provider told of before it fell silent or broke off, if it did; else `error`."""
        return (self._reader.told_error() if self._reader else None) or error

    def _broken(self, error: Exception) -> ApiError:
        name, cause = self._provider.name, type(error.__cause__ or error).__name__
        # The text of a failure to connect is safe to log; that of a later one may quote what the provider sent.
        log.warning("%s: %s", name, error if isinstance(error, httpx.ConnectError) else cause)
        if self._answer is None:
            return ApiError("provider_unavailable", f"{name} cannot be reached.")
        if isinstance(error, httpx.DecodingError):
            return ApiError("provider_invalid_response", f"The answer of {name} is not encoded as it says.")
        return ApiError("provider_unavailable", f"The connection to {name} broke in mid-answer.")


def _is_content(delta: Delta) -> bool:
    return type(delta) not in NO_CONTENT


def explained(adapter: Adapter, answer: Answer, body: bytes) -> ApiError:
    """A provider's error reply, as ours."""
    try:
        error = adapter.explain(answer.status, body)
    except MISREAD as raised:
        log.warning("an error reply that cannot be read", exc_info=without_text(raised))
        error = provider_error(answer.status, "")
    if error.retry_after is None:
        error.retry_after = seconds_of(answer.headers.get("retry-after"))
    return error
