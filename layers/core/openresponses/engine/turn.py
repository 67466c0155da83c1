"""One turn: context → sample → events → persisted. Every front door drains the same generator.

The turn decides when the answer is committed (the first batch of events), when it ends, and that it is stored before
the terminal event is given out. It knows no provider and no transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from ..adapters.base import Delta, Failed, UpstreamRequest
from ..metrics import STORE_FAILURES
from ..protocol.errors import ApiError
from ..protocol.ids import new_response_id
from ..protocol.response import NO_USAGE, new_response
from ..routing import Route
from ..store.base import StoredResponse
from ..telemetry import REQUEST_ID, bounded
from .admission import STOPPED, stopping
from .assembler import Assembler, Event
from .caller import Caller
from .context import CONTINUABLE, visible
from .conversation import conversation_id
from .deadline import turn_deadline
from .faults import MISREAD, as_api_error, without_text
from .middleware import hooks_of
from .prompt import Prompt
from .reports import TurnWatch, outcome
from .samples import Samples
from .services import Services

Json = dict[str, Any]
log = logging.getLogger(__name__)


class ResponseTurn:
    """One response, from the checked request to the terminal event.

    caller     who asks: the tenant whose store this is, and the key
    streaming  the client sees events as they come: they begin within `commit_seconds`, failures after that are events.
               Otherwise a failure is always an ApiError.
    deadline   on the loop's clock: when the process may be stopped; None: never
    error_event   whether a failure after the first batch is told by an `error` event before `response.failed`
    response   the queued response that the client has already been sent; None: a new one
    lifetime   seconds that the response is kept; None: the deployment's
    carried    the middlewares' notes on a request that they have let in already; None: they have not

    `events()` is to be run once. `ignored` and `route` are known with its first batch, `response` after its last.
    """

    def __init__(
        self,
        services: Services,
        request: Json,
        *,
        caller: Caller,
        streaming: bool,
        deadline: float | None = None,
        error_event: bool = True,
        response: Json | None = None,
        lifetime: int | None = None,
        carried: Json | None = None,
    ) -> None:
        self._services = services
        self._request = request
        self.caller = caller
        self._streaming = streaming
        self._lifetime = lifetime
        self._error_event = error_event
        self._inside: asyncio.Task[Any] | None = None  # the reader's task, while it waits in here
        self._stopped = False
        self.response = response or new_response(new_response_id(), request, int(services.clock()))
        self.created_at: int = self.response["created_at"]
        self._watch = TurnWatch(services, caller.tenant, self.response["id"])
        self._deadline = turn_deadline(services.settings, self._watch.begun, deadline, streaming=streaming)
        self._prompt: Prompt | None = None  # once the request is routed
        self._hooks = hooks_of(services, caller, request, self.response, carried)
        if self._hooks is None or carried is not None:
            self._set_up()

    def _set_up(self) -> None:
        """Routes the request. Raises ApiError."""
        services, request = self._services, self._request
        route = services.router.resolve(request["model"])
        self._assembler = Assembler(
            self.response,
            provider=route.provider.name,
            include=request.get("include", ()),
            reasoning_events=services.settings.reasoning_events,
            error_event=self._error_event,
            clock=services.clock,
        )
        owner = self.response["id"]
        self._prompt = prompt = Prompt(services, request, route, tenant=self.caller.tenant, owner=owner)
        self._samples = Samples(
            services,
            request,
            prompt,
            self._assembler,
            streaming=self._streaming,
            deadline=self._deadline,
            hooks=self._hooks,
        )
        if self._hooks:
            self._hooks.context.route_of = lambda: prompt.route
            self._hooks.context.usage_of = self._assembler.usage

    async def _begin(self) -> None:
        """Has the middlewares let the request in, as they change it. Raises ApiError."""
        if self._hooks is None or self._prompt:
            return
        await self._hooks.before_turn()
        self._request = self._hooks.context.request
        try:
            self.response |= new_response(self.response["id"], self._request, self.created_at)
            self._set_up()
        except Exception as raised:
            raise as_api_error(raised) from None

    @property
    def ignored(self) -> list[str]:
        """Paths of the request's knobs that the provider has no place for."""
        return self._prompt.ignored if self._prompt else []

    @property
    def route(self) -> Route:
        """Where the answer comes from: the model's route, or one of its fallbacks."""
        assert self._prompt is not None
        return self._prompt.route

    @property
    def headers(self) -> dict[str, str]:
        """What the middlewares want to be sent with the answer."""
        return self._hooks.context.headers if self._hooks else {}

    @property
    def carried(self) -> Json:
        """What another process needs to run this turn once it was let in: the request, and the middlewares' notes."""
        state = self._hooks.context.state if self._hooks else {}
        return {
            "request": self._request,
            "key_id": self.caller.key_id,
            "limits": dict(self.caller.limits),
            "state": state,
            "request_id": REQUEST_ID.get(),
            "traceparent": self._watch.trace.traceparent,
        }

    async def events(self) -> AsyncGenerator[list[Event]]:
        """Batches of events that became known together; the last one ends with the terminal event.

        Raises ApiError for a failure before the first batch, and for any failure if not streaming.
        """
        async with self._reported():
            await self._begin()
            if self._hooks and self._hooks.context.answer is not None:
                yield await self._answer(self._hooks.context.answer)
                return
            assembler, samples = self._assembler, self._samples
            self._inside = asyncio.current_task()
            try:
                async with aclosing(samples.deltas()) as batches:
                    async for deltas in batches:
                        self._apply(deltas)
                        if assembler.error or (self._hooks and self._hooks.stopped):
                            break
                        if assembler.events or not assembler.started:
                            assembler.start()
                            self._inside = None
                            yield assembler.take()
                            self._inside = asyncio.current_task()
                        if self._stopped and assembler.finish is None:
                            break
                terminal = self._ended()
            except TimeoutError:
                terminal = self._end("time_limit")
            except (asyncio.CancelledError, GeneratorExit):
                if self._was_stopped():
                    terminal = self._ended()
                else:
                    if assembler.started:
                        await self._abandoned()
                    raise
            except Exception as raised:
                error = as_api_error(raised)
                if not assembler.started or not self._streaming:
                    raise error from None
                terminal = assembler.fail(error)
            finally:
                self._inside = None
                await samples.aclose()
            await self._persist()
            await self._conclude()
            yield [*assembler.take(), terminal]

    # ---------------------------------------------------------------- where it runs

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        """A place in this process. Raises ApiError if there is none."""
        turns = self._services.turns
        with turns.place(), turns.running(self):
            yield

    def stop(self) -> None:
        """Ends the turn where it is, as incomplete: what it waits for is cancelled. Who reads its events is not."""
        self._stopped = True
        if self._inside:
            self._inside.cancel()

    def _was_stopped(self) -> bool:
        """Whether the cancellation at hand is stop()'s alone."""
        return self._stopped and self._inside is not None and self._inside.uncancel() == 0

    async def prepare(self) -> UpstreamRequest:
        """Reads the context and makes the provider's request, without running the turn. Raises ApiError."""
        await self._begin()
        assert self._prompt is not None
        return await self._prompt.prepare()

    async def dismiss(self, raised: Exception) -> None:
        """Tells the middlewares that the prepared turn will not be run, because of `raised`."""
        await self._conclude(raised)

    async def _answer(self, output: list[Json]) -> list[Event]:
        """The events of a turn that a middleware has answered: all at once, no provider is asked. Raises ApiError."""
        from .replay import replay

        await self.prepare()  # its input is stored like any other
        assembler = self._assembler
        assembler.output, assembler.started = output, True
        shown = [visible(item, self._request.get("include", ())) for item in output]
        end = {"status": "completed", "completed_at": int(self._services.clock()), "usage": {**NO_USAGE}}
        self.response |= {**end, "output": shown}
        await self._persist()
        await self._conclude()
        return replay(self.response, self._services.settings.reasoning_events)

    def _apply(self, deltas: list[Delta]) -> None:
        """Makes events of what the middlewares leave of the deltas. Raises what they raise."""
        if self._hooks:
            deltas = self._hooks.passed(deltas)
        try:
            for delta in deltas:
                self._assembler.apply(delta)
        except MISREAD as error:
            name = self.route.provider.name
            log.error("%s: deltas that make no event", name, exc_info=without_text(error))
            self._assembler.apply(Failed(ApiError("provider_invalid_response", f"{name} sent nonsense.")))
        if self._assembler.output and not self._watch.spoke:
            self._watch.first_output()

    def _ended(self) -> Event:
        error, finish = self._assembler.error, self._assembler.finish
        if error:
            raise error
        if self._stopped and not self._assembler.started:
            raise stopping()
        why = self._samples.ended_by or (STOPPED if self._stopped else None)
        return self._end(finish.reason if finish and not self._samples.goes_on else why)

    def _end(self, reason: str | None) -> Event:
        if reason is not None:
            for delta in self._samples.unanswered():
                self._assembler.apply(delta)
        return self._assembler.end(reason)

    # ---------------------------------------------------------------- the end

    def record(self) -> StoredResponse | None:
        """The turn as a store keeps it; None if it ended before its context was known."""
        if self._prompt is None or self._prompt.context is None:
            return None
        lifetime = self._lifetime or self._services.settings.history_ttl_days * 86400
        return StoredResponse(
            id=self.response["id"],
            response=self._assembler.stored(),
            input=self._prompt.context.own,
            model=self._request["model"],
            created_at=self.created_at,
            expires_at=int(self.created_at + lifetime),
            lifetime=self._lifetime,
        )

    async def _abandoned(self) -> None:
        """The client is gone: what was said so far is stored, as an incomplete response."""
        self._end("client_disconnected")
        await asyncio.shield(self._persist())

    async def _persist(self) -> None:
        """Stores the response as the client will be told it; if that fails, it is told that it was not stored."""
        record = self.record() if self.response["store"] else None
        if record is None:
            return
        try:
            await self._services.store.put(self.caller.tenant, record)
            await self.append_to_conversation(record)
        except Exception as raised:
            log.error("response %s was not stored: %s", self.response["id"], as_api_error(raised).code)
            route = self.route
            model = bounded(route.model, route.provider.models)
            self._services.telemetry.counted(STORE_FAILURES, route.provider.name, model)
            self.response["store"] = False

    async def append_to_conversation(self, record: StoredResponse) -> None:
        """Adds the turn to the request's conversation, if it has one and the turn can be continued."""
        conversation = conversation_id(self._request)
        if conversation is None or record.status not in CONTINUABLE:
            return
        items = [*record.input, *record.response["output"]]
        if not await self._services.store.conversations.append(self.caller.tenant, conversation, items):
            log.warning("conversation %s was deleted while a turn ran", conversation)

    # ---------------------------------------------------------------- what an operator learns

    @asynccontextmanager
    async def _reported(self) -> AsyncIterator[None]:
        """Gives the turn a place in this process; reports its end, whatever it is, to middlewares and telemetry."""
        raised: Exception | None = None
        try:
            with self._admitted():
                yield
        except Exception as error:
            raised = error
            raise
        finally:
            try:
                await self._conclude(raised)
            finally:
                route = self._prompt.route if self._prompt else None
                self._watch.ended(self.response, self._request.get("model", ""), route, raised)

    async def _conclude(self, raised: Exception | None = None) -> None:
        """Tells the middlewares how the turn ended, once."""
        if self._hooks:
            error = as_api_error(raised) if raised else None
            await self._hooks.after_turn(outcome(self.response, error)[0], error)
