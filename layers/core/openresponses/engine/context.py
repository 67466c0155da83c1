"""The context of a turn: earlier turns by `previous_response_id`, item references, then this turn's own input.

previous.input + previous.output + input, at any depth; `instructions` of earlier turns are not carried over.
Source: the specification, "previous_response_id".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..protocol.errors import ApiError, quoted
from ..protocol.ids import hex_of, item_id, owner_of
from ..protocol.response import echo_mcp
from ..store.base import ChainNotFound, ChainTooLong, Store, StoreUnavailable
from .conversation import conversation_id, conversation_items
from .faults import store_unreachable
from .reasoning_state import with_states

Json = dict[str, Any]

STATE = "reasoning.encrypted_content"
INPUT_PLACE = re.compile(r"input\[(\d+)\](.*)")
CONTINUABLE = frozenset({"completed", "incomplete"})
CALL_OUTPUTS = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "program_output",
        "tool_search_output",
    }
)
CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call", "tool_search_call"})
OUTPUT_OF = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
NOT_COMPLETED = "Error: the call was not completed."


@dataclass(frozen=True, slots=True)
class Context:
    """`own` is this turn's input as it will be stored, every item with an id; `items` is all that the model sees.

    `places`: where each of `items` stands in the input, below 0 if it is earlier.
    """

    items: list[Json]
    own: list[Json]
    places: Sequence[int]

    @property
    def earlier(self) -> list[Json]:
        """The items that stand before this turn's input."""
        return [item for item, place in zip(self.items, self.places, strict=True) if place < 0]

    def param(self, param: str | None) -> str | None:
        """A place counted from the beginning of the context as the client counts it: from that of its own input. None
        for one behind that: there stands what the turn itself has said."""
        found = INPUT_PLACE.match(param or "")
        if not found:
            return param
        if int(found[1]) >= len(self.places):
            return None
        place = self.places[int(found[1])]
        return f"input[{place}]{found[2]}" if place >= 0 else "previous_response_id"


async def load_context(store: Store, tenant: str, request: Json, response_id: str) -> Context:
    """Reads what the request refers to and puts it in order. Raises ApiError naming what was not found."""
    if (conversation := conversation_id(request)) is not None:
        earlier = await conversation_items(store.conversations, tenant, conversation)
    else:
        earlier = await _earlier_items(store, tenant, request.get("previous_response_id"))
    known = {item["id"]: item for item in earlier if "id" in item}
    own = normalize_input(request.get("input", []), hex_of(response_id))
    own = await with_states(store, tenant, own, known)
    known |= {item["id"]: item for item in own if item["type"] != "item_reference"}
    own = [
        await _resolve(store, tenant, item, known, index) if item["type"] == "item_reference" else item
        for index, item in enumerate(own)
    ]
    _check_outputs(own, earlier)
    items, places = _settled([*earlier, *own], range(-len(earlier), len(own)))
    return Context(items, [_without_secrets(item) for item in own], places)


def _without_secrets(item: Json) -> Json:
    """The item as it is stored: what opens MCP servers is not."""
    if item["type"] != "additional_tools":
        return item
    tools = [echo_mcp(tool) if tool["type"] == "mcp" else tool for tool in item["tools"]]
    return {**item, "tools": tools}


def normalize_input(given: str | list[Json], owner: str) -> list[Json]:
    """Input items without nulls, each with a type and an id; a message's content is always a list of parts."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = []
    for index, item in enumerate(given):
        kept = {key: value for key, value in item.items() if value is not None}
        kind = kept.setdefault("type", "message" if "role" in kept else "item_reference")
        kept.setdefault("id", item_id(kind, owner, f"i{index}"))
        if kind == "message":
            kept = {**kept, "content": content_parts(kept["role"], kept["content"])}
            kept.setdefault("status", "completed")
        items.append(kept)
    return items


def content_parts(role: str, content: str | list[Json]) -> list[Json]:
    """A message's content as a list of parts without nulls."""
    if isinstance(content, list):
        return [{key: value for key, value in part.items() if value is not None} for part in content]
    if role == "assistant":
        return [{"type": "output_text", "text": content, "annotations": [], "logprobs": []}]
    return [{"type": "input_text", "text": content}]


def visible(item: Json, include: Collection[str]) -> Json:
    """An item as a client sees it: provider state only where `include` asks for it."""
    if "encrypted_content" not in item or item["type"] != "reasoning" or STATE in include:
        return item
    return {key: value for key, value in item.items() if key != "encrypted_content"}


def visible_response(response: Json, include: Collection[str]) -> Json:
    """A stored response as a client sees it, item by item."""
    return {**response, "output": [visible(item, include) for item in response["output"]]}


async def _earlier_items(store: Store, tenant: str, previous: str | None) -> list[Json]:
    if previous is None:
        return []
    try:
        chain = await store.chain(tenant, previous)
    except ChainTooLong:
        message = f"The conversation that ends with {quoted(previous)} has too many turns: compact it."
        raise ApiError("invalid_value", message, param="previous_response_id") from None
    except ChainNotFound:
        raise previous_not_found(previous) from None
    except StoreUnavailable:
        raise store_unreachable() from None
    if chain[-1].status not in CONTINUABLE:
        raise ApiError(
            "previous_response_not_found",
            f"Response {quoted(previous)} has status '{chain[-1].status}' and cannot be continued.",
            param="previous_response_id",
        )
    return [item for turn in chain for item in (*turn.input, *turn.response["output"])]


def previous_not_found(previous: str) -> ApiError:
    return ApiError(
        "previous_response_not_found",
        f"Previous response with id {quoted(previous)} not found. It may have expired, or not have been stored.",
        param="previous_response_id",
    )


def _settled(items: list[Json], places: Sequence[int]) -> tuple[list[Json], Sequence[int]]:
    """The items, and the place of each, such as can be gone on from.

    A call that an answer's end cut in its arguments is left out. The whole calls before it, which were not run for
    that, have an output that says so: by then nothing may follow the cut item in the answer itself, and no provider
    goes on from a call without an output.
    """
    if not any(item.get("status") == "incomplete" for item in items):
        return items, places
    left = _unanswered(items)
    settled: list[Json] = []
    stood: list[int] = []
    begins = 0  # where the model's answer at hand does
    for place, item in enumerate(items):
        is_cut = item.get("status") == "incomplete"
        kept = [] if is_cut and item["type"] in CALLS and (place in left or not asks(item)) else [item]
        if is_cut:
            calls = (items[each] for each in range(begins, place) if each in left)
            kept += [not_completed(call) for call in calls if call["type"] in OUTPUT_OF]
        settled += kept
        stood += [places[place]] * len(kept)
        if is_cut or item["type"] in CALL_OUTPUTS or item.get("role") in ("user", "system", "developer"):
            begins = place + 1
    return settled, stood


def _unanswered(items: list[Json]) -> set[int]:
    """Places of the calls without an output. An output is the last such call's: some models use an id again."""
    left: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        if asked := asks(item):
            left.setdefault(asked, []).append(place)
        elif waiting := left.get(answers(item) or ""):
            waiting.pop()
    return {place for places in left.values() for place in places}


def not_completed(call: Json) -> Json:
    """The output of a call that was not run, or not to its end."""
    output = {"output": NOT_COMPLETED, "status": "completed"}
    return {"type": OUTPUT_OF[call["type"]], "call_id": call["call_id"], **output}


async def _resolve(store: Store, tenant: str, reference: Json, known: dict[str, Json], index: int) -> Json:
    """The item that a reference names: in the context at hand, else stored with the response its id names."""
    wanted: str = reference["id"]
    if wanted in known:
        return known[wanted]
    owner = owner_of(wanted)
    record = None
    if owner:
        try:
            record = await store.get(tenant, owner)
        except StoreUnavailable:
            raise store_unreachable() from None
    items: list[Json] = [*record.input, *record.response["output"]] if record else []
    for item in items:
        if item.get("id") == wanted:
            return item
    raise ApiError("item_not_found", f"Item with id {quoted(wanted)} not found.", param=f"input[{index}].id")


def asks(item: Json) -> str | None:
    """What an answer to this item must name: the id of a call or of a request for approval; None if none is due."""
    if item["type"] == "mcp_approval_request":
        return item.get("id")
    return None if item["type"] in CALL_OUTPUTS else item.get("call_id")


def answers(item: Json) -> str | None:
    """The call or the request that this item answers; None if it answers none."""
    if item["type"] == "mcp_approval_response":
        return item.get("approval_request_id")
    return item.get("call_id") if item["type"] in CALL_OUTPUTS else None


def open_calls(items: list[Json]) -> list[Json]:
    """The calls and requests for approval that still wait for an answer. Some providers use an id again every turn."""
    waiting: list[Json] = []
    for item in items:
        if asks(item):
            waiting.append(item)
        elif answered := answers(item):
            waiting = [asking for asking in waiting if asks(asking) != answered]
    return waiting


def _check_outputs(own: list[Json], earlier: list[Json]) -> None:
    """Every tool output answers a call that stands before it, once; some models' ids come again in every round."""
    calls = Counter(item["call_id"] for item in earlier if "call_id" in item)
    answers: Counter[str] = Counter()
    for index, item in enumerate(own):
        call_id = item.get("call_id")
        if not isinstance(call_id, str):
            continue
        if item["type"] not in CALL_OUTPUTS:
            calls[call_id] += 1
        elif answers[call_id] >= calls[call_id]:
            problem = "No tool call found for the" if call_id not in calls else "There is more than one"
            raise ApiError(
                "invalid_value",
                f"{problem} tool output with call_id {quoted(call_id)}.",
                param=f"input[{index}].call_id",
            )
        else:
            answers[call_id] += 1
