"""`response_cache`: the same request of the same tenant is answered by the response to the first one.

Kept is which response answers which request, by digests: the response itself stands where every response stands, and
when it is deleted or expires, so is its use here. So `store: false` is never cached; nor is what depends on more than
the request (a conversation, `previous_response_id`, item references), what has tools, and what runs in the background.
A hit has a new id and no usage, and says `x-openresponses-cache: hit`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ..engine.middleware import TurnContext
from ..protocol.ids import hex_of
from ..store.idempotency import Claim

if TYPE_CHECKING:
    from ..engine.services import Services

Json = dict[str, Any]

# Fields that do not change what the model is asked.
BESIDE = frozenset(
    {
        "background",
        "metadata",
        "model",
        "prompt_cache_key",
        "safety_identifier",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)
MOST_SECONDS = 366 * 86400
BEYOND = ("background", "conversation", "previous_response_id", "tools")


@dataclass(kw_only=True)
class ResponseCache:
    """`seconds` is how long an answer is used again; `any_temperature`: also where the request does not ask for
    `temperature: 0`, so that asking twice gives one answer twice."""

    seconds: int = 3600
    any_temperature: bool = False

    def __post_init__(self) -> None:
        if type(self.seconds) is not int or not 0 < self.seconds <= MOST_SECONDS:
            raise ValueError(f"seconds: must be a whole number above 0, up to {MOST_SECONDS}")
        if not isinstance(self.any_temperature, bool):
            raise ValueError("any_temperature: must be true or false")

    async def before_turn(self, turn: TurnContext) -> None:
        if not self._is_cacheable(turn):
            return
        digest = _digest(turn)
        tenant, store = turn.caller.tenant, turn.services.store
        found = await store.idempotency.find(tenant, digest)
        record = await store.get(tenant, found.response_id) if found else None
        if record is None:
            turn.state["response_cache"] = digest
            return
        old, new = hex_of(record.id), hex_of(turn.response["id"])
        output = [{**item, "id": item["id"].replace(old, new)} for item in record.response["output"]]
        turn.headers["x-openresponses-cache"] = "hit"
        turn.answer_with(output)

    async def after_turn(self, turn: TurnContext) -> None:
        digest = turn.state.pop("response_cache", None)
        if digest is None or turn.status != "completed" or not turn.response["store"]:
            return
        until = int(turn.services.clock()) + self.seconds
        claim = Claim(digest, turn.response["id"], True, until)
        await turn.services.store.idempotency.replace(turn.caller.tenant, digest, claim)

    def _is_cacheable(self, turn: TurnContext) -> bool:
        request = turn.request
        if any(request.get(name) for name in BEYOND) or not request.get("store", True):
            return False
        if request.get("generate") is False or _has_tools_anyway(turn.services):
            return False
        given = request.get("input")
        if isinstance(given, list) and any(item.get("type") == "item_reference" for item in given):
            return False
        return self.any_temperature or request.get("temperature") == 0


def _has_tools_anyway(services: Services) -> bool:
    """Whether the operator offers tools in every turn."""
    return any(services.tools.offered([])) or any(row.get("always") for row in services.mcp)


def _digest(turn: TurnContext) -> str:
    """Of all that decides the answer: where the request goes, and what is asked there."""
    route = turn.services.router.resolve(turn.request["model"])
    asked = {name: value for name, value in turn.request.items() if name not in BESIDE}
    data = orjson.dumps([str(route), asked], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(b"response_cache " + data).hexdigest()
