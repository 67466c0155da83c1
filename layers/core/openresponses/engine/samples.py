"""The samples of one turn, one after another: the first, those after a pause, those after the calls that ran here.

context → tools → request → sample → (hosted calls run → next sample)*
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..adapters.base import Delta, ToolCallStarted, Turn, UpstreamRequest
from ..adapters.registry import adapter_named
from ..protocol.errors import ApiError
from ..routing import Route
from .assembler import Assembler
from .calls import CALL_DELTAS, Calls
from .context import Context, load_context
from .fallback import first_that_answers
from .mcp import mcp_tools
from .middleware import Hooks
from .reports import SampleWatch
from .sample import Answers, EchoSample, NoSample, Sample
from .services import Services
from .summaries import with_summaries
from .tools import Toolset, resolve_tools
from .upstream_sample import UpstreamSample

if TYPE_CHECKING:
    from .mcp.tools import McpTools

Json = dict[str, Any]
log = logging.getLogger(__name__)

MAX_PAUSES = 10
TOKEN_LIMIT = "token_limit"  # why a turn that has used max_turn_tokens ends incomplete
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
        self._watch: SampleWatch | None = None
        self._continued: list[Json] = []  # what the next sample sees beyond the context
        self._told = 0  # items of the assembler's output that are in it
        self._mcp: McpTools | None = None
        self.context: Context | None = None
        self.ignored: list[str] = []
        self.ended_by: str | None = None

    async def aclose(self) -> None:
        if self._watch:
            self._watch.ended()
        if self._sample:
            await self._sample.aclose()
        if self._mcp:
            await self._mcp.aclose()

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
            if self._watch:
                self._watch.ended()
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
            most = self._services.settings.max_turn_tokens
            if most is not None and self._assembler.spent >= most:
                self.ended_by = TOKEN_LIMIT
                return
            yield self._passed(await self._next())

    # ---------------------------------------------------------------- calls

    def _passed(self, deltas: list[Delta]) -> list[Delta]:
        """What the assembler may see."""
        if not any(type(delta) in CALL_DELTAS for delta in deltas):
            return deltas
        if self._watch and any(type(delta) is ToolCallStarted for delta in deltas):
            self._watch.called = True
        shown = map(self._calls.shown, deltas)
        return [delta for delta in shown if delta is not None]

    def _said(self) -> list[Json]:
        """The output items since the last call of this."""
        said = self._assembler.output[self._told :]
        self._told = len(self._assembler.output)
        return said

    async def _answer_calls(self) -> AsyncGenerator[list[Delta]]:
        said = self._assembler.output[self._told :]
        async with asyncio.timeout_at(self._deadline), aclosing(self._calls.run(said)) as outputs:
            async for deltas in outputs:
                yield deltas
        self._assembler.end_sample()
        hidden, self.ended_by = self._calls.next_round()
        said = self._said()
        self._continued += [*(self._mcp.said(said) if self._mcp else said), *hidden]

    # ---------------------------------------------------------------- opening

    async def _opened(self) -> AsyncGenerator[list[Delta]]:
        self._commit_at = asyncio.get_running_loop().time() + self._services.settings.commit_seconds
        loading = asyncio.ensure_future(self._load())
        async with aclosing(self._waited(loading)) as silence:
            async for _ in silence:
                yield []
        loaded = loading.result()
        if self._mcp and self._request.get("generate") is not False:
            async with aclosing(self._begin_mcp(self._mcp, loaded)) as batches:
                async for deltas in batches:
                    self._committed = True
                    yield deltas
        self._limit_opening()
        opening = asyncio.ensure_future(self._first(loaded))
        async with aclosing(self._waited(opening)) as silence:
            async for _ in silence:
                yield []
        self._committed = True
        yield opening.result()

    async def _waited(self, task: asyncio.Future[Any]) -> AsyncGenerator[None]:
        """Waits for the task, to its end if this is closed; says when it has lasted so long that the stream begins."""
        try:
            if self._streaming and not self._committed:
                left = self._commit_at - asyncio.get_running_loop().time()
                await asyncio.wait((task,), timeout=max(0.0, left))
                if not task.done():
                    self._committed = True
                    yield
            await asyncio.wait((task,))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def _begin_mcp(self, mcp: McpTools, loaded: Context) -> AsyncGenerator[list[Delta]]:
        """The servers' tools, and the calls that the client has approved. What the provider would refuse without them
        is refused first, with its HTTP status."""
        await self.prepare(loaded)
        async with (
            asyncio.timeout_at(self._deadline),
            aclosing(mcp.begin(loaded, self._calls.spend)) as batches,
        ):
            async for deltas in batches:
                yield deltas
        if self._assembler.output:
            self._assembler.end_sample()
            yield []
        self._continued += self._said()
        self._resolve(loaded)
        await self._leave_out(mcp, loaded)
        self._calls.toolset = self._toolset

    async def _leave_out(self, mcp: McpTools, loaded: Context) -> None:
        """The servers' tools that the provider cannot be given: they are no reason to fail."""
        while True:
            try:
                await self.prepare(loaded)
                return
            except ApiError:
                if not mcp.leave_out():
                    raise
                self._resolve(loaded)

    async def _first(self, loaded: Context) -> list[Delta]:
        route = self.route

        async def open_on(tried: Route) -> list[Delta]:
            self._others_left = bool(route.fallbacks) and tried is not route.fallbacks[-1]
            context = await self._take(tried, loaded)
            deltas = await self._open([*context.items, *self._continued], self._toolset)
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

    async def prepare(self, loaded: Context | None = None) -> UpstreamRequest:
        """The first request, without sending it; deltas() does it all over."""
        loaded = loaded or await self._load()
        context = await self._take(self.route, loaded)
        items = self._mcp.told(context.items) if self._mcp else context.items
        return self._build(self._turn(items, self._toolset))

    async def _take(self, route: Route, loaded: Context) -> Context:
        """Goes by `route` from now on; the context as its provider sees it."""
        self.route = route
        self._adapter = adapter_named(route.provider.adapter)
        self._assembler.provider = route.provider.name
        self.context = await with_summaries(loaded, self._services.sealer, self._tenant, route.provider.name)
        return self.context

    async def _load(self) -> Context:
        owner = self._assembler.response["id"]
        self.context = await load_context(self._services.store, self._tenant, self._request, owner)
        self._mcp = await mcp_tools(self._services, self._tenant, self._request, self.route)
        if any(item["type"] == "mcp_approval_response" for item in self.context.own):
            self._check_approvals(self.context)
        self._resolve(self.context)
        self._calls = Calls(self._services, self._request, self._toolset)
        return self.context

    def _check_approvals(self, context: Context) -> None:
        from .mcp.history import require_servers

        extra = [
            tool for item in context.items if item["type"] == "additional_tools" for tool in item["tools"]
        ]
        tools = [*self._request.get("tools", ()), *extra]
        labels = {tool["server_label"] for tool in tools if tool["type"] == "mcp"}
        require_servers(context.items, context.own, labels.union(self._mcp.labels if self._mcp else ()))

    def _resolve(self, context: Context) -> None:
        """The tools, as far as they are known."""
        self._asked = self._mcp.request if self._mcp else self._request
        local = self._mcp.tools if self._mcp else {}
        self._toolset = resolve_tools(self._asked, context.items, self._services.tools, local)

    async def _next(self) -> list[Delta]:
        assert self.context is not None and self._sample is not None
        await self._sample.aclose()
        self._limit_opening()
        return await self._open([*self.context.items, *self._continued], self._toolset.after_calls())

    async def _open(self, items: list[Json], toolset: Toolset) -> list[Delta]:
        turn = self._turn(self._mcp.told(items) if self._mcp else items, toolset)
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
        sample = self._sample = self._new_sample(turn, self._build(turn))
        watch = self._watch = SampleWatch(self._services, self.route, sample, self._assembler)
        try:
            deltas = await sample.open()
        except BaseException as raised:
            watch.ended(raised)
            raise
        watch.opened()
        return deltas

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
            request=self._asked,
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
            error.param = self._as_asked(error.param)
            raise
        # What an earlier turn gave was named in its answer.
        asked = (self._as_asked(path) for path in request.ignored)
        self.ignored = [path for path in asked if path and path != "previous_response_id"]
        return request

    def _as_asked(self, path: str | None) -> str | None:
        """A place in what the adapter was given, as the client counts it."""
        path = self._mcp.param(path) if self._mcp else path
        return self.context.param(path) if self.context else path

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
            window = self._services.settings.commit_seconds
            self._retry_until = now + window if self._committed else self._commit_at
