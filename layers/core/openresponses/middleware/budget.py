"""`budget`: tokens and dollars a day (UTC), counted in the store.

A turn reserves roughly what it will take before it is let in, and settles what it took at its end, however it ends.
Let in is whoever finds a counter below its limit, so that only what is in flight can pass it; when all turns have
ended, a counter is the sum of their usages. A process that dies leaves its reservations for the rest of the day.

Costs are counted in millionths of a dollar: a model's price, in dollars per million tokens, times tokens. Where
several rows match a tenant, the first one that has a limit is its limit.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from ..adapters.base import ModelProfile, Turn
from ..engine.middleware import TurnContext
from ..protocol.errors import ApiError
from ..store.keys import day_of
from .windows import DAY, KEPT, Per, check_options, end_of, window

Json = dict[str, Any]
log = logging.getLogger(__name__)

BYTES_PER_TOKEN = 4
RESERVED_OUTPUT = 1000  # tokens; fewer where the request wants fewer at most
DOLLAR = 1_000_000


@dataclass(kw_only=True)
class Budget:
    """Answers 429 `rate_limit_exceeded` once a budget is spent, until midnight, which `Retry-After` and the message
    tell.

    unpriced   a model without a price, where there is a budget in dollars: "refuse" answers 403 `permission_denied`,
               "free" lets it pass and counts no cost
    """

    tokens_per_day: int | None = None
    cost_per_day: float | None = None
    per: Per = "tenant"
    unpriced: Literal["refuse", "free"] = "refuse"

    def __post_init__(self) -> None:
        check_options(self, "tokens_per_day", "cost_per_day")
        if self.unpriced not in ("refuse", "free"):
            raise ValueError("unpriced: must be refuse or free")
        if self.tokens_per_day is None and self.cost_per_day is None:
            raise ValueError("tokens_per_day: give this, or cost_per_day")
        self._limits: dict[str, int] = {}
        if self.tokens_per_day is not None:
            self._limits["tokens"] = self.tokens_per_day
        if self.cost_per_day is not None:
            self._limits["cost"] = max(1, round(self.cost_per_day * DOLLAR))

    async def before_turn(self, turn: TurnContext) -> None:
        profile = turn.services.router.resolve(turn.request["model"]).profile
        if "cost" in self._limits and self.unpriced == "refuse" and not profile.price:
            model = turn.request["model"]
            message = f"The model '{model:.100}' has no price here, and your budget is in dollars."
            raise ApiError("permission_denied", message, param="model")
        note = turn.state.get(self._note) or self._today(turn)
        names = [name for name in self._limits if name not in note["reserved"]]
        if turn.request.get("background"):  # whether there is a budget at all; it reserves when it begins
            await self._reserve(turn, note, dict.fromkeys(names, 0))
            note["reserved"] |= dict.fromkeys(names)
        else:
            spent = _spent(profile, *_estimate(turn.request))
            await self._reserve(turn, note, {name: spent[name] for name in names})
        turn.state[self._note] = note

    async def before_sample(self, turn: TurnContext, sample: Turn) -> None:
        note = turn.state[self._note]
        waiting = [name for name in self._limits if note["reserved"][name] is None]
        if waiting:
            if not any(note["reserved"].values()):  # it may have waited through a midnight
                note |= {**self._today(turn), "reserved": note["reserved"]}
            spent = _spent(sample.profile, *_estimate(turn.request))
            await self._reserve(turn, note, {name: spent[name] for name in waiting})

    async def after_turn(self, turn: TurnContext) -> None:
        note = turn.state.pop(self._note, None)
        if note is None:
            return
        used: Json = turn.usage or {"input_tokens": 0, "output_tokens": 0}
        cached = used.get("input_tokens_details", {}).get("cached_tokens", 0)
        profile = turn.route.profile if turn.route else ModelProfile()
        spent = _spent(profile, used["input_tokens"], used["output_tokens"], cached)
        if "cost" in note["reserved"] and turn.usage and not profile.price:
            log.warning("%s has no price: its cost is not counted", turn.route)
        settled = {name: spent[name] - (reserved or 0) for name, reserved in note["reserved"].items()}
        await turn.services.store.counters.add(
            turn.caller.tenant, note["window"], settled, expires_at=note["expires_at"]
        )

    @property
    def _note(self) -> str:
        return f"budget {self.per}"

    def _today(self, turn: TurnContext) -> Json:
        """What a turn knows of the counters that it adds to, and is settled with, also after midnight: how much it has
        reserved, by counter; None: nothing yet."""
        now = turn.services.clock()
        name = window(f"day#{day_of(now)}", turn.caller, self.per)
        return {"window": name, "expires_at": end_of(now, DAY) + KEPT, "reserved": {}}

    async def _reserve(self, turn: TurnContext, note: Json, amounts: dict[str, int]) -> None:
        """Raises ApiError if a budget is spent."""
        added = amounts and await turn.services.store.counters.add(
            turn.caller.tenant,
            note["window"],
            amounts,
            limits={name: self._limits[name] for name in amounts},
            expires_at=note["expires_at"],
        )
        if added is None:
            now = turn.services.clock()
            ends = end_of(now, DAY)
            midnight = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(ends))
            message = f"Today's budget is spent; the next one begins at {midnight}."
            raise ApiError("rate_limit_exceeded", message, retry_after=ends - now)
        note["reserved"] |= amounts


def _estimate(request: Json) -> tuple[int, int]:
    """Input and output tokens that a turn will take, roughly. No more output is reserved than is usual: the most that a
    request may get would keep others out who have a budget left."""
    size = len(orjson.dumps([request.get("instructions"), request.get("input"), request.get("tools")]))
    return size // BYTES_PER_TOKEN, min(request.get("max_output_tokens", RESERVED_OUTPUT), RESERVED_OUTPUT)


def _spent(profile: ModelProfile, input_tokens: int, output_tokens: int, cached: int = 0) -> dict[str, int]:
    """The counters' amounts for these tokens; `cached` are among those of the input."""
    cost = profile.cost(input_tokens, output_tokens, cached)
    return {"tokens": input_tokens + output_tokens, "cost": round(cost or 0)}
