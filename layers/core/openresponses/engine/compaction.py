"""`POST /v1/responses/compact`: a conversation as its user messages, one sealed summary, and the calls still open.

The model that is asked writes the summary, as one ordinary turn that is not stored. It is given the conversation as
messages alone, tool calls and their results as text, so any model of any provider can read it.
Source: the specification's CompactResource.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ..adapters.messages import has_parts
from ..protocol.errors import ApiError
from ..protocol.ids import hex_of, item_id, new_response_id
from ..protocol.response import NO_USAGE
from .caller import Caller
from .context import CALL_OUTPUTS, Context, load_context, open_calls
from .hosted_tools import HostedTools
from .mcp.history import approved
from .services import Services
from .summaries import seal_summary, with_summaries
from .turn import ResponseTurn

Json = dict[str, Any]

FIELDS = ("model", "input", "previous_response_id", "instructions", "prompt_cache_key")
ASK = """\
Stop here. The conversation above will be replaced by a summary that you write now, and will be continued from it by \
someone who has read nothing else but the user's own messages. Write down all that is needed to go on without a loss:

- what the user wants, with every constraint and preference that still holds
- what was decided, and why; what was tried and failed
- facts, names, numbers, identifiers, paths and URLs, exactly as they were given
- tool calls: what came of them, and which are still waiting for a result
- files and other contents that are still being worked on: what is in them now, literally where the wording matters
- what is done, and what is to be done next

Answer with the summary only. Answer nothing that was asked above, and call no tools."""
CARRIED = ("model", "instructions", "prompt_cache_key")
KEPT_ROLES = frozenset({"user", "system", "developer"})
LONGEST_FIELD = 10_000  # characters of a hosted tool's item that are worth reading; more is data
PLACE = re.compile(r"input\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Compaction:
    """The compacted conversation, and the turn that made it."""

    resource: Json
    turn: ResponseTurn


async def compact(services: Services, request: Json, *, caller: Caller, deadline: float | None) -> Compaction:
    """Compacts what `request` (checked, of FIELDS) refers to. Raises ApiError; nothing is stored."""
    tenant, response_id = caller.tenant, new_response_id()
    route = services.router.resolve(request["model"])
    stored = await load_context(services.store, tenant, request, response_id)
    left = _left_to_do(stored)
    context = await with_summaries(stored, services.sealer, tenant, route.provider.name)
    turn, summary = await _summarize(services, request, context, caller, deadline)
    resource = {
        "id": response_id,
        "object": "response.compaction",
        "created_at": turn.created_at,
        "output": [
            *_kept_messages(stored.items),
            {
                "id": item_id("compaction", hex_of(response_id), 0),
                "type": "compaction",
                "status": "completed",
                "encrypted_content": await seal_summary(services.sealer, tenant, summary),
            },
            *({"status": "completed", **item} for item in left),
        ],
        "usage": turn.response["usage"] or NO_USAGE,
    }
    return Compaction(resource, turn)


def _kept_messages(items: Iterable[Json]) -> list[Json]:
    """What the client said, and what it told the model to heed."""
    return [item for item in items if item["type"] == "message" and item["role"] in KEPT_ROLES]


def _left_to_do(context: Context) -> list[Json]:
    """The calls that still wait for an answer, and the requests for approval of those that nobody has made: only a turn
    makes them, and an approval is no item of a compaction. Raises ApiError for an approval of nothing."""
    allowed = {request["id"] for request, _ in approved(context)}
    return open_calls([item for item in context.items if item.get("approval_request_id") not in allowed])


async def _summarize(
    services: Services, request: Json, context: Context, caller: Caller, deadline: float | None
) -> tuple[ResponseTurn, str]:
    messages, places = _transcript(context.items)
    ask = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASK}]}
    body: Json = {name: request[name] for name in CARRIED if name in request}
    body |= {"input": [*messages, ask], "store": False}
    # The operator's tools are for answers.
    turn = ResponseTurn(
        replace(services, tools=HostedTools(), mcp=()),
        body,
        caller=caller,
        streaming=False,
        deadline=deadline,
    )
    try:
        async with aclosing(turn.events()) as batches:
            async for _ in batches:
                pass
    except ApiError as error:
        if found := PLACE.match(error.param or ""):
            place = places[int(found[1])]
            error.param = context.param(f"input[{place}]")
        raise
    summary = "\n".join(
        part["text"]
        for item in turn.response["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    if turn.response["status"] != "completed" or not summary.strip():
        reason = (turn.response["incomplete_details"] or {}).get("reason", "it said nothing")
        raise ApiError("model_error", f"The model gave no whole summary ({reason}).")
    return turn, summary


# --------------------------------------------------------------------------- the conversation as messages


def _transcript(items: list[Json]) -> tuple[list[Json], list[int]]:
    """The items as messages, and which item each message is."""
    names = {item["call_id"]: item["name"] for item in items if "call_id" in item and "name" in item}
    told = [(place, message) for place, item in enumerate(items) if (message := _told(item, names))]
    return [message for _, message in told], [place for place, _ in told]


def _told(item: Json, names: dict[str, str]) -> Json | None:
    """An item as a message; None for what only a provider or the engine reads."""
    kind = item["type"]
    if kind == "message":
        return {name: item[name] for name in ("type", "role", "content")}
    if kind in ("reasoning", "additional_tools"):
        return None
    if kind in ("compaction", "compaction_summary"):
        return item
    if kind in CALL_OUTPUTS and "output" in item:
        call_id = item.get("call_id")
        name = names.get(call_id or "", kind.removesuffix("_output"))
        output = item.get("output")
        if isinstance(output, list) and not has_parts(item):
            output = orjson.dumps(output).decode()
        return _message("user", f"[Result of {name}, {call_id}]", output)
    if "call_id" in item and "name" in item:
        return _message(
            "assistant",
            f"[Call of {item['name']}, {item['call_id']}]",
            item.get("arguments", item.get("input")),
        )
    return _message("assistant", f"[{kind}]", _readable(item))


def _readable(item: Json) -> str:
    shown = {
        key: f"[{len(value)} characters]" if isinstance(value, str) and len(value) > LONGEST_FIELD else value
        for key, value in item.items()
        if key not in ("type", "id", "encrypted_content")
    }
    return orjson.dumps(shown).decode()


def _message(role: str, heading: str, content: Any) -> Json:
    """Text is put under its heading; parts, which only a result has, follow it."""
    kind = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, list):
        parts = [{"type": kind, "text": heading}, *content]
    else:
        text = content if isinstance(content, str) else orjson.dumps(content).decode()
        parts = [{"type": kind, "text": f"{heading}\n{text}"}]
    return {"type": "message", "role": role, "content": parts}
