"""The samples of one turn, one after another: the first, those after a pause, those after the calls that ran here.

prompt → sample → (hosted calls run → next sample)*
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..adapters.base import Delta, ToolCallStarted, Turn, UpstreamRequest, answers_itself
from ..protocol.errors import ApiError
from ..routing import Route
from .assembler import Assembler
from .calls import CALL_DELTAS, Calls
from .context import NOT_COMPLETED
from .fallback import first_that_answers
from .hosted_tools import hosted_output
from .middleware import Hooks
from .prompt import Prompt
from .reports import SampleWatch
from .sample import EchoSample, NoSample, Sample
from .services import Services
from .tools import Toolset
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

    `deltas()` is to be run once; `ended_by` is known after its last batch: why the turn must end incomplete though the
    model did not, or None. The first sample settles the prompt's route, that of the model or a fallback: a stream that
    has begun, and a sample after the first, stay with theirs.
    """

    def __init__(
        self,
        services: Services,
        request: Json,
        prompt: Prompt,
        assembler: Assembler,
        *,
        streaming: bool,
        deadline: float | None,
        hooks: Hooks | None = None,
    ) -> None:
        self._services = services
        self._request = request
        self._prompt = prompt
        self._assembler = assembler
        self._streaming = streaming
        self._deadline = deadline
        self._hooks = hooks
        self._commit_at = 0.0  # on the loop's clock: when a stream begins at the latest; set by deltas()
        self._retry_until: float | None = None  # on the same: no further attempt begins after it
        self._committed = self._others_left = False
        self._calls = Calls(services, request, Toolset([], "auto", None))
        self._sample: Sample | None = None
        self._watch: SampleWatch | None = None
        self._continued: list[Json] = []  # what the next sample sees beyond the context
        self._told = 0  # items of the assembler's output that are in it
        self.ended_by: str | None = None

    async def aclose(self) -> None:
        if self._watch:
            self._watch.ended()
        if self._sample:
            await self._sample.aclose()
        await self._prompt.aclose()

    async def deltas(self) -> AsyncGenerator[list[Delta]]:
        """The deltas of all samples, without those of refused calls.

        An empty batch means that the assembler may have new events; the first one also starts a stream whose provider
        is slow to answer.
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
            if self._assembler.error or not self.goes_on:
                return
            if self._is_paused:
                pauses += 1
                if pauses > MAX_PAUSES:
                    raise ApiError("model_error", f"The model paused {MAX_PAUSES} times without an answer.")
                self._calls.demand_is_met = True  # a provider's own tool has been called
                self._assembler.end_sample()
                self._continued += self._said()
            else:
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

    @property
    def goes_on(self) -> bool:
        """Whether the sample that has come to its end is not the last: the provider paused, or calls are due here."""
        finish = self._assembler.finish
        return self._is_paused or (finish is not None and finish.reason is None and self._calls.pending)

    @property
    def _is_paused(self) -> bool:
        finish = self._assembler.finish
        return finish is not None and finish.reason == "pause"

    # ---------------------------------------------------------------- calls

    def _passed(self, deltas: list[Delta]) -> list[Delta]:
        """The deltas without those of refused calls."""
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
        async with aclosing(self._in_time(self._calls.run(self._assembler.take_calls()))) as outputs:
            async for deltas in outputs:
                yield deltas
        self._assembler.end_sample()
        hidden, self.ended_by = self._calls.next_round()
        said = self._said()
        self._continued += hidden.beside(self._prompt.mcp.said(said) if self._prompt.mcp else said)

    async def _in_time(self, batches: AsyncGenerator[list[Delta]]) -> AsyncGenerator[list[Delta]]:
        """The batches until the deadline, then TimeoutError. No time is kept while the reader has the turn: what ran
        out then would end the reader, in the middle of what it writes."""
        async with aclosing(batches):
            while True:
                async with asyncio.timeout_at(self._deadline):
                    deltas = await anext(batches, None)
                if deltas is None:
                    return
                yield deltas

    def unanswered(self) -> list[Delta]:
        """What there is to tell, at the turn's end, of the calls that it leaves without an answer: no provider goes on
        from a call that has none. Nothing may follow an item that the end has cut: there, it is told to the model
        alone (`context`)."""
        begun = self._calls.begun(self._assembler.take_calls())
        if not self._calls.are_running:
            self._assembler.cut()
        left = self._assembler.unanswered
        return [hosted_output(call_id, NOT_COMPLETED) for call_id in begun if call_id in left]

    # ---------------------------------------------------------------- opening

    async def _opened(self) -> AsyncGenerator[list[Delta]]:
        self._commit_at = asyncio.get_running_loop().time() + self._services.settings.commit_seconds
        loading = asyncio.ensure_future(self._load())
        async with aclosing(self._waited(loading)) as silence:
            async for _ in silence:
                yield []
        loading.result()
        if self._prompt.mcp and self._request.get("generate") is not False:
            async with aclosing(self._begin_mcp(self._prompt.mcp)) as batches:
                async for deltas in batches:
                    self._committed = True
                    yield deltas
        self._limit_opening()
        opening = asyncio.ensure_future(self._first())
        async with aclosing(self._waited(opening)) as silence:
            async for _ in silence:
                yield []
        self._committed = True
        yield opening.result()

    async def _waited(self, task: asyncio.Future[Any]) -> AsyncGenerator[None]:
        """Waits for the task. Yields once if it takes so long that the stream must begin without it. If this is closed
        early, the task is cancelled, and has ended when this returns."""
        try:
            if self._streaming and not self._committed:
                left = self._commit_at - asyncio.get_running_loop().time()
                await asyncio.wait((task,), timeout=max(0.0, left))
                if task.done():
                    return
                self._committed = True
                yield
            await asyncio.wait((task,))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def _load(self) -> None:
        await self._prompt.load()
        self._calls.toolset = self._prompt.toolset

    async def _begin_mcp(self, mcp: McpTools) -> AsyncGenerator[list[Delta]]:
        """The servers' tools, and the calls that the client has approved. What the provider would refuse without them
        is refused first, with its HTTP status."""
        await self._prompt.prepare()
        begun = mcp.begin(self._prompt.loaded, self._calls.spend)
        async with aclosing(self._in_time(begun)) as batches:
            async for deltas in batches:
                yield deltas
        if self._assembler.output:
            self._assembler.end_sample()
            yield []
        self._continued += self._said()
        await self._prompt.take_listed()
        self._calls.toolset = self._prompt.toolset

    async def _first(self) -> list[Delta]:
        prompt, route = self._prompt, self._prompt.route

        async def open_on(tried: Route) -> list[Delta]:
            self._others_left = bool(route.fallbacks) and tried is not route.fallbacks[-1]
            self._assembler.provider = tried.provider.name
            context = await prompt.take(tried)
            deltas = await self._open(prompt.turn([*context.items, *self._continued]))
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
            prompt.route = route
            raise
        finally:
            self._others_left = False

    async def _next(self) -> list[Delta]:
        prompt = self._prompt
        assert prompt.context is not None and self._sample is not None
        await self._sample.aclose()
        self._limit_opening()
        items = [*prompt.context.items, *self._continued]
        toolset = prompt.toolset.after_calls() if self._calls.demand_is_met else prompt.toolset
        return await self._open(prompt.turn(items, toolset))

    async def _open(self, turn: Turn) -> list[Delta]:
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
        sample = self._sample = self._new_sample(turn, self._prompt.build(turn))
        watch = self._watch = SampleWatch(self._services, self._prompt.route, sample, self._assembler)
        try:
            deltas = await sample.open()
        except BaseException as raised:
            watch.ended(raised)
            raise
        watch.opened()
        return deltas

    async def _count(self, turn: Turn) -> int | None:
        """The provider's count; None if there is none: then its answer will tell whether the context fits."""
        from .token_count import provider_count

        route = self._prompt.route
        self._prompt.build(turn)  # names what cannot be sent as the client counts it
        try:
            return await provider_count(self._services, route, turn, deadline=self._deadline)
        except ApiError as error:
            log.warning("%s: tokens were not counted: %s", route.provider.name, error.code)
            return None

    def _new_sample(self, turn: Turn, request: UpstreamRequest) -> Sample:
        adapter = self._prompt.adapter
        if answers_itself(adapter):
            return EchoSample(adapter, turn, deadline=self._deadline)
        longest_wait = self._services.settings.commit_seconds if self._streaming else LONGEST_WAIT
        return UpstreamSample(
            self._services,
            self._prompt.route.provider,
            adapter,
            turn,
            request,
            deadline=self._deadline,
            longest_wait=PATIENCE if self._others_left else longest_wait,
            until=self._retry_until,
        )

    def _limit_opening(self) -> None:
        """Sets the time after which nothing is tried again: a stream must begin within `commit_seconds`."""
        if self._streaming:
            now = asyncio.get_running_loop().time()
            window = self._services.settings.commit_seconds
            self._retry_until = now + window if self._committed else self._commit_at
