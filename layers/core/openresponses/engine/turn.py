"""One turn: context → sample → events → persisted. Every front door drains the same generator.

The turn decides when the answer is committed (the first batch of events), when it ends, and that it is stored before
the terminal event is given out. It knows no provider and no transport.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ..adapters.base import Delta, Failed, ToolCallStarted, Turn, UpstreamRequest
from ..adapters.registry import adapter_named
from ..protocol.errors import ApiError
from ..protocol.ids import new_response_id
from ..protocol.response import new_response
from ..store.base import StoredResponse, StoreUnavailable
from .assembler import Assembler, Event
from .context import Context, load_context
from .sample import Answers, EchoSample, Sample, UpstreamSample
from .services import Services
from .tools import Toolset, resolve_tools

Json = dict[str, Any]
log = logging.getLogger(__name__)

DEADLINE_MARGIN = 10.0  # seconds before the deadline at which a turn ends itself: time to store and to say so
MAX_PAUSES = 10
INPUT_PLACE = re.compile(r"input\[(\d+)\](.*)")
LONGEST_WAIT = 20.0  # seconds that a provider's Retry-After may hold up an answer that is not streamed


class ResponseTurn:
    """One response, from the checked request to the terminal event.

    tenant     whose store this is
    streaming  the client sees events as they come: they begin within `commit_seconds`, failures after that are events.
               Otherwise a failure is always an ApiError.
    deadline   on the loop's clock: when the process may be stopped; None: never

    `events()` is to be run once. `ignored` and `route` are known with its first batch, `response` after its last.
    """

    def __init__(
        self,
        services: Services,
        request: Json,
        *,
        tenant: str,
        streaming: bool,
        deadline: float | None = None,
    ) -> None:
        self._services = services
        self._request = request
        self._tenant = tenant
        self._streaming = streaming
        self._deadline = self._own_deadline(deadline)
        self.route = services.router.resolve(request["model"])
        self.created_at = int(services.clock())
        self.response = new_response(new_response_id(), request, self.created_at)
        self.ignored: list[str] = []
        self._adapter = adapter_named(self.route.provider.adapter)
        self._assembler = Assembler(
            self.response,
            provider=self.route.provider.name,
            include=request.get("include", ()),
            reasoning_events=services.settings.reasoning_events,
            clock=services.clock,
        )
        self._context: Context | None = None
        self._toolset: Toolset | None = None
        self._sample: Sample | None = None

    def _own_deadline(self, deadline: float | None) -> float | None:
        limits = [] if deadline is None else [deadline - DEADLINE_MARGIN]
        if self._services.settings.max_turn_seconds is not None:
            limits.append(asyncio.get_running_loop().time() + self._services.settings.max_turn_seconds)
        return min(limits, default=None)

    async def events(self) -> AsyncGenerator[list[Event]]:
        """Batches of events that became known together; the last one ends with the terminal event.

        Raises ApiError for a failure before the first batch, and for any failure if not streaming.
        """
        assembler = self._assembler
        try:
            async with aclosing(self._deltas()) as batches:
                async for deltas in batches:
                    for delta in deltas:
                        if type(delta) is ToolCallStarted:
                            self._check_call(delta)
                        assembler.apply(delta)
                    if assembler.error:
                        break
                    if assembler.events or not assembler.started:
                        assembler.start()
                        yield assembler.take()
            terminal = self._ended()
        except TimeoutError:
            terminal = assembler.end("time_limit")
        except ApiError as error:
            if not assembler.started or not self._streaming:
                raise
            terminal = assembler.fail(error)
        except (asyncio.CancelledError, GeneratorExit):
            if assembler.started:
                assembler.end("client_disconnected")
                await asyncio.shield(self._persist())
            raise
        finally:
            if self._sample:
                await self._sample.aclose()
        await self._persist()
        yield [*assembler.take(), terminal]

    def _ended(self) -> Event:
        error, finish = self._assembler.error, self._assembler.finish
        if error:
            raise error
        return self._assembler.end(finish.reason if finish else None)

    # ---------------------------------------------------------------- samples

    async def _deltas(self) -> AsyncGenerator[list[Delta]]:
        """The deltas of all samples of this turn; an empty batch commits a stream whose provider is slow to begin."""
        opening = asyncio.ensure_future(self._open_first())
        try:
            if self._streaming:
                await asyncio.wait((opening,), timeout=self._services.settings.commit_seconds)
                if not opening.done():
                    yield []
            yield await opening
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.wait((opening,))
        for _ in range(MAX_PAUSES):
            assert self._sample is not None
            async with aclosing(self._sample.deltas()) as batches:
                async for deltas in batches:
                    yield deltas
            finish = self._assembler.finish
            if finish is None or finish.reason != "pause":
                return
            yield await self._continue()
        yield [Failed(ApiError("model_error", f"The model paused {MAX_PAUSES} times without an answer."))]

    async def _open_first(self) -> list[Delta]:
        request = self._request
        self._context = await load_context(self._services.store, self._tenant, request, self.response["id"])
        self._toolset = resolve_tools(request, self._context.items)
        return await self._open_sample(self._context.items)

    async def _continue(self) -> list[Delta]:
        """The provider paused: what it said so far goes back to it, and it goes on."""
        assert self._context is not None and self._sample is not None
        await self._sample.aclose()
        self._assembler.end_sample()
        return await self._open_sample([*self._context.items, *self._assembler.output])

    async def _open_sample(self, items: list[Json]) -> list[Delta]:
        assert self._toolset is not None
        turn = Turn(
            provider=self.route.provider.name,
            model=self.route.model,
            profile=self.route.profile,
            request=self._request,
            instructions=self._request.get("instructions"),
            input=[item for item in items if item["type"] != "additional_tools"],
            tools=self._toolset.tools,
            tool_choice=self._toolset.choice,
            allowed=self._toolset.allowed,
        )
        self._sample = self._new_sample(turn, self._build(turn))
        return await self._sample.open()

    def _build(self, turn: Turn) -> UpstreamRequest:
        try:
            request = self._adapter.build(turn)
        except RecursionError:
            raise ApiError("invalid_value", "The request is nested too deeply.") from None
        except ApiError as error:
            error.param = self._own_param(error.param)
            raise
        self.ignored = request.ignored
        return request

    def _own_param(self, param: str | None) -> str | None:
        """An adapter counts input items from the beginning of the context, the client from that of its own input."""
        found = INPUT_PLACE.match(param or "")
        if not found or self._context is None:
            return param
        place = int(found[1]) - (len(self._context.items) - len(self._context.own))
        return f"input[{place}]{found[2]}" if place >= 0 else "previous_response_id"

    def _new_sample(self, turn: Turn, request: UpstreamRequest) -> Sample:
        if isinstance(self._adapter, Answers):
            return EchoSample(self._adapter, turn, deadline=self._deadline)
        settings = self._services.settings
        return UpstreamSample(
            self._services,
            self.route.provider,
            self._adapter,
            turn,
            request,
            deadline=self._deadline,
            longest_wait=settings.commit_seconds if self._streaming else LONGEST_WAIT,
        )

    def _check_call(self, call: ToolCallStarted) -> None:
        """`tool_choice` is a hard limit, whatever the model did."""
        allowed = self._toolset.allowed if self._toolset else None
        if allowed is not None and call.name not in allowed:
            raise ApiError(
                "model_error", f"The model called the tool '{call.name}', which 'tool_choice' does not allow."
            )

    # ---------------------------------------------------------------- the end

    async def _persist(self) -> None:
        """Stores the response as the client will be told it; if that fails, it is told that it was not stored."""
        if not self.response["store"] or self._context is None:
            return
        lifetime = self._services.settings.history_ttl_days * 86400
        record = StoredResponse(
            id=self.response["id"],
            response=self._assembler.stored(),
            input=self._context.own,
            model=self._request["model"],
            created_at=self.created_at,
            expires_at=int(self.created_at + lifetime),
        )
        try:
            await self._services.store.put(self._tenant, record)
        except StoreUnavailable as error:
            log.error("response %s was not stored: %s", self.response["id"], error)
            self.response["store"] = False
