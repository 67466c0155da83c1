"""The samples of one turn, one after another: the first, those after a pause, those after the calls that ran here.

context → tools → request → sample → (hosted calls run → next sample)*
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ..adapters.base import Delta, Turn, UpstreamRequest
from ..adapters.registry import adapter_named
from ..protocol.errors import ApiError
from ..routing import Route
from .assembler import Assembler
from .calls import CALL_DELTAS, Calls
from .context import Context, load_context
from .fallback import first_that_answers
from .middleware import Hooks
from .sample import Answers, EchoSample, NoSample, Sample, UpstreamSample
from .services import Services
from .summaries import with_summaries
from .tools import Toolset, resolve_tools

Json = dict[str, Any]
log = logging.getLogger(__name__)

MAX_PAUSES = 10
LONGEST_WAIT = 20.0  # seconds that a provider's Retry-After may hold up an answer that is not streamed
PATIENCE = 2.0  # the same where another route is left


class Samples:
    """Feeds the assembler, sample by sample.

    `deltas()` is to be run once; `context`, `ignored` and `route` are known with its first batch, `ended_by` after its
    last: why the turn must end incomplete though the model did not, or None. `route` is the one that answers: that of
    the model, or a fallback; a stream that has begun, and a sample after the first, stay with theirs.
    """

    def __init__(
        self,
        services: Services,
        request: Json,
        route: Route,
        assembler: Assembler,
        *,
        tenant: str,
        streaming: bool,
        deadline: float | None,
        hooks: Hooks | None = None,
    ) -> None:
        self._services = services
        self._request = request
        self.route = route
        self._assembler = assembler
        self._tenant = tenant
        self._streaming = streaming
        self._deadline = deadline
        self._hooks = hooks
        self._adapter = adapter_named(route.provider.adapter)
        self._retry_until: float | None = None  # on the loop's clock
        self._committed = self._others_left = False
        self._sample: Sample | None = None
        self._continued: list[Json] = []  # what the next sample sees beyond the context
        self._told = 0  # items of the assembler's output that are in it
        self.context: Context | None = None
        self.ignored: list[str] = []
        self.ended_by: str | None = None

    async def aclose(self) -> None:
        if self._sample:
            await self._sample.aclose()

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        """The deltas of all samples, without those of refused calls.

        An empty batch says that there may be events: it also commits a stream whose provider is slow to begin.
        """
        async with aclosing(self._opened()) as batches:
            async for deltas in batches:
                yield self._passed(deltas)
        pauses = 0
        while True:
            assert self._sample is not None
            async with aclosing(self._sample.deltas()) as batches:
                async for deltas in batches:
                    yield self._passed(deltas)
            if self._hooks and not self._assembler.error:
                yield await self._hooks.after_sample()
            finish = self._assembler.finish
            if self._assembler.error or finish is None or finish.reason not in (None, "pause"):
                return
            if finish.reason == "pause":
                pauses += 1
                if pauses > MAX_PAUSES:
                    raise ApiError("model_error", f"The model paused {MAX_PAUSES} times without an answer.")
                self._assembler.end_sample()
                self._continued += self._said()
            else:
                if not self._calls.pending:
                    return
                self._assembler.end_sample()
                yield []
                async with aclosing(self._answer_calls()) as outputs:
                    async for deltas in outputs:
                        yield deltas
                if self.ended_by or not self._calls.goes_on:
                    return
            yield self._passed(await self._next())

    # ---------------------------------------------------------------- calls

    def _passed(self, deltas: list[Delta]) -> list[Delta]:
        """What the assembler may see."""
        if not any(type(delta) in CALL_DELTAS for delta in deltas):
            return deltas
        return [delta for delta in deltas if not self._calls.keeps(delta)]

    def _said(self) -> list[Json]:
        """The output items since the last call of this."""
        said = self._assembler.output[self._told :]
        self._told = len(self._assembler.output)
        return said

    async def _answer_calls(self) -> AsyncGenerator[list[Delta]]:
        said = self._said()
        self._continued += said
        async with asyncio.timeout_at(self._deadline), aclosing(self._calls.run(said)) as outputs:
            async for deltas in outputs:
                yield deltas
        self._assembler.end_sample()
        hidden, self.ended_by = self._calls.next_round()
        self._continued += [*self._said(), *hidden]

    # ---------------------------------------------------------------- opening

    async def _opened(self) -> AsyncGenerator[list[Delta]]:
        self._limit_opening()
        opening = asyncio.ensure_future(self._first())
        try:
            if self._streaming:
                await asyncio.wait((opening,), timeout=self._services.settings.commit_seconds)
                if not opening.done():
                    self._committed = True
                    yield []
            yield await opening
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.wait((opening,))

    async def _first(self) -> list[Delta]:
        loaded = await self._load()
        route = self.route

        async def open_on(tried: Route) -> list[Delta]:
            self._others_left = bool(route.fallbacks) and tried is not route.fallbacks[-1]
            context = await self._take(tried, loaded)
            deltas = await self._open(context.items, self._toolset)
            if tried is not route:  # unless its provider calls it otherwise
                self._assembler.response["model"] = tried.model
            return deltas

        try:
            return await first_that_answers(
                route,
                open_on,
                may_switch=lambda: not self._committed,
                telemetry=self._services.telemetry,
            )
        except ApiError:
            self.route = route
            raise
        finally:
            self._others_left = False

    async def prepare(self) -> UpstreamRequest:
        """The first request, without sending it; deltas() does it all over."""
        loaded = await self._load()
        context = await self._take(self.route, loaded)
        return self._build(self._turn(context.items, self._toolset))

    async def _take(self, route: Route, loaded: Context) -> Context:
        """Goes by `route` from now on; the context as its provider sees it."""
        self.route = route
        self._adapter = adapter_named(route.provider.adapter)
        self._assembler.provider = route.provider.name
        self.context = await with_summaries(loaded, self._services.sealer, self._tenant, route.provider.name)
        return self.context

    async def _load(self) -> Context:
        request = self._request
        owner = self._assembler.response["id"]
        self.context = await load_context(self._services.store, self._tenant, request, owner)
        self._toolset = resolve_tools(request, self.context.items, self._services.tools)
        self._calls = Calls(
            request, self._toolset, self._services.tools, self._services.settings.max_tool_rounds
        )
        return self.context

    async def _next(self) -> list[Delta]:
        assert self.context is not None and self._sample is not None
        await self._sample.aclose()
        self._limit_opening()
        return await self._open([*self.context.items, *self._continued], self._toolset.after_calls())

    async def _open(self, items: list[Json], toolset: Toolset) -> list[Delta]:
        turn = self._turn(items, toolset)
        if self._hooks:
            await self._hooks.before_sample(turn)
        if self._request.get("generate") is False:
            self._sample = NoSample()
            return await self._sample.open()
        if self._request.get("truncation") != "auto":
            return await self._open_sample(turn)
        from .truncation import open_shortened

        return await open_shortened(turn, self._open_sample, self._count)

    async def _open_sample(self, turn: Turn) -> list[Delta]:
        self._sample = self._new_sample(turn, self._build(turn))
        return await self._sample.open()

    async def _count(self, turn: Turn) -> int | None:
        """The provider's count; None if there is none: then its answer will tell whether the context fits."""
        from .counting import provider_count

        self._build(turn)  # names what cannot be sent as the client counts it
        try:
            return await provider_count(self._services, self.route, turn, deadline=self._deadline)
        except ApiError as error:
            log.warning("%s: tokens were not counted: %s", self.route.provider.name, error.code)
            return None

    def _turn(self, items: list[Json], toolset: Toolset) -> Turn:
        return Turn(
            provider=self.route.provider.name,
            model=self.route.model,
            profile=self.route.profile,
            request=self._request,
            instructions=self._request.get("instructions"),
            input=[item for item in items if item["type"] != "additional_tools"],
            tools=toolset.tools,
            tool_choice=toolset.choice,
            allowed=toolset.allowed,
        )

    def _build(self, turn: Turn) -> UpstreamRequest:
        try:
            request = self._adapter.build(turn)
        except RecursionError:
            raise ApiError("invalid_value", "The request is nested too deeply.") from None
        except ApiError as error:
            error.param = self.context.param(error.param) if self.context else error.param
            raise
        self.ignored = request.ignored
        return request

    def _new_sample(self, turn: Turn, request: UpstreamRequest) -> Sample:
        if isinstance(self._adapter, Answers):
            return EchoSample(self._adapter, turn, deadline=self._deadline)
        longest_wait = self._services.settings.commit_seconds if self._streaming else LONGEST_WAIT
        return UpstreamSample(
            self._services,
            self.route.provider,
            self._adapter,
            turn,
            request,
            deadline=self._deadline,
            longest_wait=PATIENCE if self._others_left else longest_wait,
            until=self._retry_until,
        )

    def _limit_opening(self) -> None:
        """A stream shows life within `commit_seconds`; whatever is tried again is tried before."""
        if self._streaming:
            now = asyncio.get_running_loop().time()
            self._retry_until = now + self._services.settings.commit_seconds
