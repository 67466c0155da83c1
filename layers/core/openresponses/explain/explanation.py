"""What becomes of a request: the provider request that it would be, and field by field where it went.

Nothing is sent, and no name is looked up. The request is prepared as for a turn (`ResponseTurn.prepare`). What becomes
of a field is found by preparing it again with the field changed, or without it; only what the gateway handles itself is
a table (`handled`).

    mapped     the provider is asked for it; `to` names the places in its request
    ignored    left out, and named in `x-openresponses-ignored`
    refused    the error that names it; the whole request is refused with the first of them
    gateway    not sent; `detail` says what the gateway does with it
    echoed     not sent; the response tells it back
    unknown    no field of the API; ignored, as clients expect
    no effect  the provider's request is the same without it: it says what holds anyway
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..adapters.base import UpstreamRequest, answers_itself
from ..adapters.registry import adapter_named
from ..catalog import Provider
from ..engine.caller import Caller
from ..engine.services import Services
from ..engine.turn import ResponseTurn
from ..protocol.errors import ApiError
from ..protocol.request import CreateResponse, parse_request
from ..protocol.response import new_response
from ..routing import Route
from ..secrets import Secrets
from ..upstream.client import STATIC_HEADERS
from ..upstream.guard import no_lookup
from .handled import handled
from .places import Steps, at, before, differences, existing, is_within, named
from .variants import variants, without

Json = dict[str, Any]

MAX_REFUSALS = 20
MAX_SECONDS = 5.0  # of looking into fields; a large request is explained as far as that goes
MAX_PLACES = 5

OWN = "the built-in provider reads the request itself"


async def explain(services: Services, request: Json, *, tenant: str) -> Json:
    """The explanation of a request body, as JSON. Raises nothing for what is wrong with the request: that is in
    `error`, with its `status`, and then `request`, what would be sent, is null. Keys never are in it: a header shows
    the name of the key's variable."""
    explained = Explained(replace(services, lookup=no_lookup), request, tenant)
    await explained.look()
    return explained.as_json()


@dataclass(frozen=True, slots=True)
class Built:
    """What a request came to."""

    route: Route
    sent: UpstreamRequest
    response: Json

    @property
    def wire(self) -> Json:
        return {"path": self.sent.path, "headers": self.sent.headers, "body": self.sent.body}


@dataclass(slots=True)
class Explained:
    """The work of `explain`: the request, what was refused of it, what the rest came to."""

    services: Services
    request: Json
    tenant: str
    error: ApiError | None = None
    base: Built | None = None
    rows: list[Json] = field(default_factory=list)
    removed: list[Steps] = field(default_factory=list)
    complete: bool = True
    upstream: Json | None = None
    not_configured: str | None = None

    async def look(self) -> None:
        accepted = await self._without_refused()
        if self.base is None:
            self.complete = False
            return
        await self._address(self.base)
        until = asyncio.get_running_loop().time() + MAX_SECONDS
        async for row in self._fields(accepted):
            self.rows.append(row)
            if asyncio.get_running_loop().time() > until:
                self.complete = False
                return

    def as_json(self) -> Json:
        base = self.base
        return {
            "object": "explanation",
            "model": self.request.get("model"),
            "route": f"{base.route.provider.name}/{base.route.model}" if base else None,
            "not_configured": self.not_configured,
            "request": self.upstream if self.error is None else None,
            "ignored": base.sent.ignored if base else [],
            "error": {**self.error.body(), "status": self.error.status} if self.error else None,
            "fields": self.rows,
            "complete": self.complete,
        }

    # ---------------------------------------------------------------- asking the engine

    async def _build(self, request: Json) -> Built:
        """Raises ApiError as a turn would."""
        body = parse_request(request)
        turn = ResponseTurn(self.services, body, caller=Caller(self.tenant), streaming=False)
        sent = await turn.prepare()
        return Built(turn.route, sent, new_response("", body, 0))

    async def _tried(self, request: Json) -> Built | None:
        await asyncio.sleep(0)  # others want the event loop, too
        try:
            return await self._build(request)
        except ApiError:
            return None

    async def _without_refused(self) -> Json:
        """The request without what is refused of it; notes the refusals, and what the rest came to."""
        request, again = self.request, ""
        for _ in range(MAX_REFUSALS):
            try:
                self.base = await self._build(request)
                return request
            except ApiError as error:
                self.error = self.error or error
                param = error.param or ""
                steps = existing(request, param)
                if param != again:
                    if not self._is_of_removed(param):
                        path = self._named(steps) + param[len(named(steps)) :]
                        self.rows.append(_row(path, "refused", error.message))
                elif steps and is_within(steps, param):  # to leave it out did not help
                    steps = steps[:-1]
                if not steps:
                    return request
                request = without(request, steps)
                self.removed.append(steps)
                again = "" if isinstance(steps[-1], int) else param
        return request

    def _is_of_removed(self, param: str) -> bool:
        """Whether it is only missed since something was left out beside it."""
        return any(param.startswith(named(gone[:-1]) + ".") for gone in self.removed if len(gone) > 1)

    def _named(self, steps: Steps) -> str:
        """The place's name in the client's own request."""
        return named(before(steps, self.removed))

    async def _address(self, base: Built) -> None:
        """Where it would be sent, and with which headers."""
        provider, secrets = base.route.provider, self.services.secrets
        if answers_itself(adapter_named(provider.adapter)):
            return
        try:
            await self.services.router.endpoint(provider, secrets)
        except ApiError as error:
            self.not_configured = error.message
        url, headers = None, {**STATIC_HEADERS, **base.sent.headers}
        try:
            endpoint = await self.services.router.endpoint(provider, _Names(secrets, provider))
            url = endpoint.base_url + base.sent.path
            headers = {**STATIC_HEADERS, **endpoint.headers, **base.sent.headers}
            if endpoint.signer:
                headers["authorization"] = "AWS4-HMAC-SHA256, signed as it is sent"
        except ApiError as error:
            self.not_configured = error.message
        self.upstream = {"method": "POST", "url": url, "headers": headers, "body": base.sent.body}

    # ---------------------------------------------------------------- field by field

    async def _fields(self, accepted: Json) -> AsyncIterator[Json]:
        known = CreateResponse.__annotations__
        for name, value in accepted.items():
            if name not in known:
                yield _row(name, "unknown", "no field of the API")
                continue
            async for row in self._looked_into(accepted, (name,), value):
                yield row

    async def _looked_into(self, accepted: Json, steps: Steps, value: Any) -> AsyncIterator[Json]:
        """The rows of a field: one for it, or those of what is in it."""
        parts = _parts(value)
        row = (
            await self._as_whole(accepted, steps, value)
            if parts
            else await self._leaf(accepted, steps, value)
        )
        if row:
            yield row
            return
        for step, inner in parts:
            async for row in self._looked_into(accepted, (*steps, step), inner):
                yield row

    async def _as_whole(self, accepted: Json, steps: Steps, value: Any) -> Json | None:
        """The row of an object or a list, if one is enough: it is sent as it is, or nothing in it is."""
        if isinstance(steps[-1], int):  # without it all places behind it would move
            return None
        built = await self._tried(without(accepted, steps))
        if built is None:
            return None
        row = self._compared(steps, built)
        if row["outcome"] == "mapped":
            (place, *more) = differences(self._base.wire, built.wire)
            return row if not more and at(self._base.wire, place) == value else None
        if row["outcome"] == "echoed" and isinstance(value, list):  # what is in it may be the gateway's
            return None
        if row["outcome"] == "ignored" and named(steps) not in self._base.sent.ignored:
            return None
        return row

    async def _leaf(self, accepted: Json, steps: Steps, value: Any) -> Json:
        """What the closest variant says: that which changes least."""
        rows: list[Json] = []
        for variant in variants(accepted, steps, value):
            built = await self._tried(variant)
            if built is None:
                continue
            row = self._compared(steps, built)
            if row["outcome"] == "ignored" or len(row["to"]) == 1:
                return row
            rows.append(row)
        mapped = [row for row in rows if row["outcome"] == "mapped"]
        if mapped:
            return min(mapped, key=lambda row: len(row["to"]))
        # What can be neither changed nor left out is what the request is made of.
        return rows[0] if rows else _row(self._named(steps), "mapped", "the request is made of it")

    @property
    def _base(self) -> Built:
        assert self.base is not None
        return self.base

    def _compared(self, steps: Steps, other: Built) -> Json:
        """What the difference between the request and one that differs in a field says of the field."""
        base, path = self._base, self._named(steps)
        if any(is_within(steps, ignored) for ignored in base.sent.ignored):
            return _row(path, "ignored")
        what = handled(self.request, before(steps, self.removed))
        places = list(differences(base.wire, other.wire))
        said = [place for place in places if at(base.wire, place) is not None]
        if said or (places and not what):  # else the field only keeps the provider from being sent something
            places = said or places
            to = [named(place[1:] if place[0] == "body" else place) for place in places[:MAX_PLACES]]
            return _row(path, "mapped", ", ".join(to), to)
        if set(base.sent.ignored) - set(other.sent.ignored):
            return _row(path, "ignored")
        if what:
            return _row(path, "gateway", what)
        if base.response != other.response:
            return _row(path, "echoed")
        if answers_itself(adapter_named(base.route.provider.adapter)):
            return _row(path, "gateway", OWN)
        return _row(path, "no effect")


class _Names:
    """Secrets that give the name of a provider's key in place of the key."""

    def __init__(self, secrets: Secrets, provider: Provider) -> None:
        self._secrets = secrets
        self._provider = provider

    async def get(self, name: str) -> str | None:
        found = await self._secrets.get(name)
        if name != self._provider.key_variable:
            return found
        return f"${name}" if found or self._provider.key_required else None

    async def refresh(self, name: str) -> str | None:
        return await self.get(name)


def _parts(value: Any) -> list[tuple[str | int, Any]]:
    """What is looked into of a value; `type` says what its object is, and has no row of its own."""
    if isinstance(value, dict):
        return [(name, inner) for name, inner in value.items() if name != "type"]
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        return list(enumerate(value))
    return []


def _row(path: str, outcome: str, detail: str = "", to: Sequence[str] = ()) -> Json:
    return {"path": path, "outcome": outcome, "detail": detail, "to": list(to)}
