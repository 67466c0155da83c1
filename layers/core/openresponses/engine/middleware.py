"""Middleware: an operator's own rules, around every turn, whichever front door it came through.

A middleware is any class with some of these methods; each is given the `TurnContext`. They run in the order of the
configuration, `after_turn` in the opposite one.

    async before_turn(turn)            may change `turn.request`, before it is routed and its context is read
    async before_sample(turn, sample)  may change `sample`, what the adapter will be given (adapters.base.Turn)
    on_event(turn, delta)              each thing that was said (adapters.base.Delta), before it becomes events: the
                                       delta itself, another one instead, or None to drop it. `Finished` ends the turn
    async after_sample(turn)           the sample has ended; `turn.usage` and `turn.response` have it
    async after_turn(turn)             however it ended; once, before the client is told the end
    shows_model(model, router)         whether GET /v1/models lists a name

`turn.add(item)` puts an item into the output; an `ApiError` that is raised before the end ends the turn. What
`after_turn` raises is logged and changes nothing. Because `on_event` stands before the assembler, whatever it does the
stream stays legal, and what is stored is what was told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..adapters.base import (
    Annotation,
    Delta,
    Finished,
    HostedItemEnded,
    ItemEnd,
    MessageStarted,
    PartEnd,
    TextDelta,
    Turn,
)
from ..protocol.errors import ApiError, quoted
from ..store.base import StoreUnavailable
from .caller import Caller
from .faults import as_api_error, gateway_fault, without_text

if TYPE_CHECKING:
    from ..routing import Route, Router
    from .services import Services

Json = dict[str, Any]
log = logging.getLogger(__name__)

HOOK_SECONDS = 10.0  # that one hook may take

NO_SUCH_MODEL = "The model {} does not exist, or you do not have access to it."
KEY_LIMITS = frozenset({"requests_per_minute", "concurrency", "tokens_per_day", "cost_per_day", "models"})


@dataclass(slots=True, kw_only=True)
class TurnContext:
    """What a middleware sees of a turn.

    request    the checked request, without null fields. before_turn may set and remove keys; never change a value in
               place
    response   the response as it stands; read it only
    status     in after_turn: how it ended: completed, incomplete, failed, cancelled, or refused (the client was
               answered with a 4xx and there is no response)
    error      in after_turn: what was raised, if the turn ended by that
    headers    sent with the HTTP answer; of no effect once it has begun
    state      a middleware's own notes, JSON values under names of its own. They go with a background response from
               the process that took its request to the one that makes it
    """

    caller: Caller
    services: Services
    request: Json
    response: Json
    status: str = "in_progress"
    error: ApiError | None = None
    headers: dict[str, str] = field(default_factory=dict)
    state: Json = field(default_factory=dict)
    answer: list[Json] | None = None
    added: list[Delta] = field(default_factory=list)
    route_of: Callable[[], Route] | None = None
    usage_of: Callable[[], Json | None] | None = None

    @property
    def route(self) -> Route | None:
        """Where the turn goes: its model's route, or a fallback; None before it is routed."""
        return self.route_of() if self.route_of else None

    @property
    def usage(self) -> Json | None:
        """The tokens of all samples so far, in the response's form; None if no provider told any."""
        return self.usage_of() if self.usage_of else None

    def add(self, item: Json) -> None:
        """Puts a whole item into the output, behind what is there, under an id of its own. A message's parts are its
        texts; reasoning and calls of the client's tools are the model's alone (ValueError)."""
        if item["type"] in ("reasoning", "function_call", "custom_tool_call"):
            raise ValueError(f"an item of type {item['type']} cannot be added")
        if item["type"] != "message":
            self.added.append(HostedItemEnded(("added", id(item)), {"status": "completed", **item}))
            return
        self.added.append(MessageStarted())
        for part in item["content"]:
            self.added += [TextDelta(part["text"]), *map(Annotation, part.get("annotations", ())), PartEnd()]
        self.added.append(ItemEnd())

    def answer_with(self, output: list[Json]) -> None:
        """In before_turn: these items, ids included, are the answer, and no provider is asked. Raises ValueError for
        a background response: its answer comes from elsewhere."""
        if self.request.get("background"):
            raise ValueError("a background response is not answered at once")
        self.answer = output


class Placed(NamedTuple):
    """A middleware, and whose turns it sees (patterns of tenants; None: everyone's)."""

    middleware: Any
    tenants: Sequence[str] | None = None


class Middlewares:
    """The configured middlewares, in order. Those of a key's own limits stand before them."""

    def __init__(self, placed: Iterable[Placed] = ()) -> None:
        self._placed = tuple(placed)

    def of(self, caller: Caller) -> list[Any]:
        """What a turn of this caller goes through. Raises ApiError for limits that cannot be understood."""
        chain: list[Any] = []
        if not KEY_LIMITS.isdisjoint(caller.limits):
            from ..middleware.key_limits import of_key

            chain += of_key(caller)
        if self._placed:
            from ..catalog import matches

            chain += [m for m, tenants in self._placed if tenants is None or matches(tenants, caller.tenant)]
        return chain

    def shows_model(self, caller: Caller, model: str, router: Router) -> bool:
        """Whether GET /v1/models lists the name for this caller."""
        return all(m.shows_model(model, router) for m in self.of(caller) if hasattr(m, "shows_model"))

    def require_model(self, caller: Caller, model: str, router: Router) -> None:
        """Raises ApiError where the caller may not ask for the model: it says no more than of one that nobody has."""
        if not self.shows_model(caller, model, router):
            raise ApiError("model_not_found", NO_SUCH_MODEL.format(quoted(model)), param="model")


def configured_middlewares(router: Router) -> Middlewares:
    """Those of the `[[middleware]]` rows. Raises SettingsError."""
    if not router.middlewares:
        return Middlewares()
    from ..middleware import load_middlewares

    return load_middlewares(router.middlewares)


class Hooks:
    """The middlewares of one turn."""

    def __init__(self, chain: Sequence[Any], context: TurnContext) -> None:
        self.context = context
        self.stopped = False  # whether on_event has ended the turn
        self._chain = chain
        self._entered: list[Any] = []  # whose before_turn was begun: these see the end
        self._watchers = [m.on_event for m in chain if hasattr(m, "on_event")]

    async def before_turn(self) -> None:
        """Raises ApiError."""
        for middleware in self._chain:
            self._entered.append(middleware)
            await self._call(middleware, "before_turn")

    def resume(self) -> None:
        """In place of before_turn, in another process than that one's."""
        self._entered = list(self._chain)

    async def before_sample(self, sample: Turn) -> None:
        """Raises ApiError."""
        for middleware in self._chain:
            await self._call(middleware, "before_sample", sample)

    async def after_sample(self) -> list[Delta]:
        """What is to be added to the output now. Raises ApiError."""
        for middleware in self._chain:
            await self._call(middleware, "after_sample")
        return self.take_added()

    def take_added(self) -> list[Delta]:
        added, self.context.added = self.context.added, []
        return added

    def passed(self, deltas: list[Delta]) -> list[Delta]:
        """What the assembler is given instead of `deltas`. Raises what on_event raises."""
        if self.context.added:
            deltas = [*self.take_added(), *deltas]
        for on_event in self._watchers:
            seen: list[Delta] = []
            for delta in deltas:
                try:
                    kept = on_event(self.context, delta)
                except asyncio.CancelledError:  # of its own: nothing has been waited for
                    raise gateway_fault() from None
                if kept is None:
                    continue
                seen.append(kept)
                if kept is not delta and type(kept) is Finished:
                    self.stopped = True
                    break
            deltas = seen
        return deltas

    async def after_turn(self, status: str, error: ApiError | None = None) -> None:
        """Tells every middleware that has seen the beginning; never raises for what one does."""
        self.context.status, self.context.error = status, error
        while self._entered:
            middleware = self._entered.pop()
            try:
                await self._call(middleware, "after_turn")
            except ApiError:  # which _call has logged
                continue

    async def _call(self, middleware: Any, name: str, *arguments: Any) -> None:
        hook = getattr(middleware, name, None)
        if hook is None:
            return
        try:
            await to_its_end(hook(self.context, *arguments))
        except ApiError as error:
            if name == "after_turn":
                log.error("%s.after_turn: %s", type(middleware).__name__, error.code)
            raise
        except StoreUnavailable as error:
            raise as_api_error(error) from None
        except Exception as error:
            log.error("%s.%s failed", type(middleware).__name__, name, exc_info=without_text(error))
            raise gateway_fault() from None


def hooks_of(
    services: Services, caller: Caller, request: Json, response: Json, carried: Json | None
) -> Hooks | None:
    """The middlewares of a turn; None if there are none. `carried`: their notes on a request that they have let in."""
    chain = services.middlewares.of(caller)
    if not chain:
        return None
    hooks = Hooks(
        chain, TurnContext(caller=caller, services=services, request={**request}, response=response)
    )
    if carried is not None:
        hooks.context.state |= carried
        hooks.resume()
    return hooks


async def to_its_end(hook: Coroutine[Any, Any, Any]) -> None:
    """Runs the hook to its end, also if the turn is cancelled meanwhile: what it counts, it must know of. It has
    HOOK_SECONDS. Raises what it raises."""
    task = asyncio.ensure_future(_in_time(hook))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise RuntimeError("the hook cancelled itself") from None
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # the turn's own end comes first
        raise


async def _in_time(hook: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.timeout(HOOK_SECONDS):
        await hook
