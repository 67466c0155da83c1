"""One sample: one call of the provider, from its request to its deltas.

A sample is opened, which sends the request and waits for the first delta: until then a failure may be retried, or keeps
its HTTP status. Then it gives the deltas in batches, one for each chunk that the network gave.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import suppress
from typing import Protocol, runtime_checkable

import httpx

from ..adapters.base import (
    UNKNOWN_USAGE,
    Adapter,
    Delta,
    Failed,
    Finished,
    Json,
    Reader,
    Turn,
    UpstreamRequest,
    Usage,
    provider_error,
)
from ..catalog import Provider
from ..metrics import CIRCUITS_OPENED, KEY_REFUSED, RETRIES, THROTTLED
from ..protocol.errors import ApiError
from ..routing import Endpoint
from ..telemetry import REQUEST_ID, bounded
from ..upstream.client import Answer
from ..upstream.framing import DONE, Decoder, Frame, FrameError, WholeDecoder, decoder_for, parse
from ..upstream.retry import seconds_of, with_retries
from .faults import without_text
from .services import Services
from .wellformed import BESIDE_CONTENT, WELL_FORMED

log = logging.getLogger(__name__)

GRACE_SECONDS = 5.0  # for what follows the provider's own end: usage, the end of the connection
MISREAD = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


class Sample(Protocol):
    """What the turn reads, wherever it comes from."""

    async def open(self) -> list[Delta]:
        """Starts it; the first deltas, never empty. Raises ApiError, or TimeoutError at the deadline."""
        ...

    def deltas(self) -> AsyncGenerator[list[Delta]]:
        """The deltas after the first ones. A failure is a Failed delta. Raises TimeoutError at the deadline."""
        ...

    async def aclose(self) -> None: ...

    # For telemetry: where the provider is, how often it was asked, its own id of the last time.
    @property
    def base_url(self) -> str | None: ...

    @property
    def attempts(self) -> int: ...

    @property
    def provider_request_id(self) -> str | None: ...


class UpstreamSample:
    """A call over HTTP.

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
        self._reset()

    def _reset(self) -> None:
        self._reader = self._adapter.reader(self._turn)
        self._answer: Answer | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._decoder: Decoder | None = None
        self._finished = self._failed = self._done = False
        self._left_out: set[type] = set()  # kinds of deltas, said in the log

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
            if services.breaker.failed(endpoint.base_url, error):
                counted(CIRCUITS_OPENED, *self._source)
            if error.status == 429:
                counted(THROTTLED, *self._source)
            elif error.code == "provider_authentication_failed" and refresh:
                counted(KEY_REFUSED, *self._source)
            await self.aclose()
            self._reset()
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
        if isinstance(first, Failed) or (self._failed and not any(_is_content(delta) for delta in deltas)):
            raise next(delta.error for delta in deltas if isinstance(delta, Failed))
        return deltas

    async def _explain(self, answer: Answer) -> ApiError:
        return explained(self._adapter, answer, await answer.read())

    # ---------------------------------------------------------------- reading

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        while not self._done:
            limit = self._now() + (GRACE_SECONDS if self._finished else self._idle)
            try:
                async with asyncio.timeout_at(self._before_deadline(limit)):
                    deltas = await self._next()
            except TimeoutError:
                if self._finished:
                    return
                self._raise_at_deadline()
                silent = f"{self._provider.name} fell silent for {self._idle:g} s."
                deltas = [Failed(self._told(ApiError("provider_timeout", silent)))]
                self._done = True
            except (httpx.TransportError, httpx.DecodingError) as error:
                if self._finished:
                    return
                deltas = [Failed(self._told(self._broken(error)))]
                self._done = True
            if deltas:
                yield deltas

    async def _next(self) -> list[Delta]:
        """The deltas of the next chunk; of the end of the stream, when it has come."""
        assert self._chunks is not None
        chunk = await anext(self._chunks, None)
        if chunk is None:
            self._done = True
            return self._end()
        if not chunk:
            return []
        if self._decoder is None:
            assert self._answer is not None
            self._decoder = decoder_for(self._request.framing, self._answer.content_type, chunk)
        try:
            return self._read(self._decoder.feed(chunk))
        except FrameError as error:
            return self._checked([self._unreadable(str(error))])

    def _read(self, frames: list[Frame]) -> list[Delta]:
        deltas: list[Delta] = []
        done = False
        try:
            for event, data in frames:
                if data == DONE:
                    done = True
                    break
                value = parse(data)
                if isinstance(self._decoder, WholeDecoder):
                    deltas.extend(self._reader.whole(value))
                elif isinstance(value, dict):
                    deltas.extend(self._reader.frame(event, value))
                else:
                    deltas.append(self._unreadable("JSON that is not an object"))
                    break
        except MISREAD as error:
            deltas += self._misread(error, deltas)
        deltas = self._checked(deltas)
        if done and not self._done:
            self._done = True
            deltas += self._end()
        return deltas

    def _misread(self, error: Exception, deltas: list[Delta]) -> list[Delta]:
        """The failure; nothing after the provider's own end: only a cut tail can follow, and the answer is whole."""
        kind = type(error).__name__
        log.warning("%s: unreadable answer (%s)", self._provider.name, kind, exc_info=without_text(error))
        if self._finished or any(type(delta) is Finished for delta in deltas):
            return []
        return [self._unreadable("something that cannot be read")]

    def _checked(self, deltas: list[Delta]) -> list[Delta]:
        """Notes how the answer ends. The deltas, if each is what its type says; else see _without_wrong_types."""
        if self._finished:
            deltas = _usage(deltas)
        for place, delta in enumerate(deltas):
            kind = type(delta)
            if not WELL_FORMED[kind](delta):
                return self._without_wrong_types(deltas)
            if kind is Finished or kind is Failed:
                return self._to_the_end(deltas, place + 1)
        return deltas

    def _to_the_end(self, deltas: list[Delta], end: int) -> list[Delta]:
        """The deltas up to the provider's end of the answer; of what follows, only its counts."""
        if type(deltas[end - 1]) is Finished:
            self._finished = True
        else:
            self._failed = self._done = True
        return deltas[:end] + self._checked(_usage(deltas[end:]))

    def _without_wrong_types(self, deltas: list[Delta]) -> list[Delta]:
        """The deltas up to the first one of wrong content, which fails the turn; without what is wrong beside it."""
        wrong = next(place for place, delta in enumerate(deltas) if not WELL_FORMED[type(delta)](delta))
        kind = type(deltas[wrong])
        if kind not in self._left_out:
            log.warning("%s: a value of the wrong type in %s", self._provider.name, kind.__name__)
        self._left_out.add(kind)
        if kind in BESIDE_CONTENT:
            instead: list[Delta] = [UNKNOWN_USAGE] if kind is Usage else []
            return self._checked(deltas[:wrong] + instead + deltas[wrong + 1 :])
        return [*deltas[:wrong], self._unreadable("a value of the wrong type")]

    def _end(self) -> list[Delta]:
        """What the decoder and the reader still hold; a stream without the provider's own end has failed."""
        try:
            deltas = self._read(self._decoder.end()) if self._decoder else []
        except FrameError as error:
            return self._checked([self._unreadable(str(error))])
        if self._failed:
            return deltas
        try:
            deltas += self._checked(list(self._reader.end()))
        except MISREAD as error:
            deltas += self._misread(error, deltas)
        if not (self._finished or self._failed):
            message = f"The answer of {self._provider.name} ended before it was complete."
            deltas.append(Failed(ApiError("provider_unavailable", message)))
            self._failed = True
        return deltas

    # ---------------------------------------------------------------- limits and failures

    def _before_deadline(self, limit: float) -> float:
        return limit if self._deadline is None or limit < self._deadline else self._deadline

    def _raise_at_deadline(self) -> None:
        """Tells the turn's deadline from the provider's silence."""
        if self._deadline is not None and self._now() >= self._deadline - 0.002:
            raise TimeoutError

    def _told(self, error: ApiError) -> ApiError:
        """The error that the provider told of before it fell silent or broke off, if it did; else `error`."""
        with suppress(*MISREAD):
            return next((delta.error for delta in self._reader.end() if type(delta) is Failed), error)
        return error

    def _broken(self, error: Exception) -> ApiError:
        name, cause = self._provider.name, type(error.__cause__ or error).__name__
        # Only what is said before anything was sent is shown: later words quote the provider's bytes.
        log.warning("%s: %s", name, error if isinstance(error, httpx.ConnectError) else cause)
        if self._answer is None:
            return ApiError("provider_unavailable", f"{name} cannot be reached.")
        if isinstance(error, httpx.DecodingError):
            return ApiError("provider_invalid_response", f"The answer of {name} is not encoded as it says.")
        return ApiError("provider_unavailable", f"The connection to {name} broke in mid-answer.")

    def _unreadable(self, what: str) -> Failed:
        self._failed = self._done = True
        return Failed(ApiError("provider_invalid_response", f"{self._provider.name} sent {what}."))


@runtime_checkable
class Answers(Protocol):
    """An adapter that is its own provider: it answers instead of sending a request."""

    def reader(self, turn: Turn) -> Reader: ...

    def answer(self, turn: Turn) -> Iterable[tuple[float, Json]]:
        """The frames of the answer, each with the seconds to wait before it."""
        ...


class EchoSample:
    """The built-in provider: its frames come from itself, after its own pauses."""

    base_url = provider_request_id = None
    attempts = 1

    def __init__(self, adapter: Answers, turn: Turn, *, deadline: float | None) -> None:
        self._reader = adapter.reader(turn)
        self._answer = iter(adapter.answer(turn))
        self._deadline = deadline

    async def open(self) -> list[Delta]:
        return await self._next() or []

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        while (deltas := await self._next()) is not None:
            yield deltas

    async def _next(self) -> list[Delta] | None:
        for seconds, frame in self._answer:
            if seconds:
                async with asyncio.timeout_at(self._deadline):
                    await asyncio.sleep(seconds)
            deltas = list(self._reader.frame("", frame))
            if deltas:
                return deltas
        return None

    async def aclose(self) -> None:
        """Nothing is held."""


class NoSample:
    """`generate: false`, a prewarm: the turn is answered, and can be continued, without the model."""

    base_url = provider_request_id = None
    attempts = 0

    async def open(self) -> list[Delta]:
        return [Usage(0, 0), Finished(None)]

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        return
        yield

    async def aclose(self) -> None:
        """Nothing is held."""


def _usage(deltas: list[Delta]) -> list[Delta]:
    return [delta for delta in deltas if type(delta) is Usage]


def _is_content(delta: Delta) -> bool:
    return type(delta).__name__ not in ("Started", "Usage", "Failed", "MessageStarted")


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
