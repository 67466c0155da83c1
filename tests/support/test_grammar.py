"""The checkers themselves: a legal stream passes, and each broken one is caught."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from . import grammar, schema

Json = dict[str, Any]

RESPONSE: Json = {
    "id": "resp_1", "object": "response", "created_at": 1, "completed_at": None, "status": "queued",
    "incomplete_details": None, "model": "m", "previous_response_id": None, "instructions": None, "output": [],
    "error": None, "tools": [], "tool_choice": "auto", "truncation": "disabled", "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}}, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "top_logprobs": 0, "temperature": 1.0, "reasoning": None, "usage": None, "max_output_tokens": None,
    "max_tool_calls": None, "store": True, "background": False, "service_tier": "default", "metadata": {},
    "safety_identifier": None, "prompt_cache_key": None,
}  # fmt: skip
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": {"cached_tokens": 0},
         "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
PART = {"type": "output_text", "text": "Hi there", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [PART]}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c1",
    "name": "f",
    "arguments": "{}",
}


def legal() -> list[Json]:
    """A message and a function call."""
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    call = {"item_id": "fc_1", "output_index": 1}
    events: list[Json] = [
        {"type": "response.created", "response": RESPONSE},
        {"type": "response.in_progress", "response": {**RESPONSE, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0,
         "item": {**MESSAGE, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **at, "part": {**PART, "text": ""}},
        {"type": "response.output_text.delta", **at, "delta": "Hi ", "logprobs": []},
        {"type": "response.output_text.delta", **at, "delta": "there", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hi there", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": PART},
        {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
        {"type": "response.output_item.added", "output_index": 1,
         "item": {**CALL, "status": "in_progress", "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **call, "delta": "{}"},
        {"type": "response.function_call_arguments.done", **call, "arguments": "{}", "name": "f"},
        {"type": "response.output_item.done", "output_index": 1, "item": CALL},
        {"type": "response.completed", "response": {**RESPONSE, "status": "completed", "completed_at": 2,
                                                    "usage": USAGE, "output": [MESSAGE, CALL]}},
    ]  # fmt: skip
    return numbered(events)


def numbered(events: list[Json]) -> list[Json]:
    return [{**copy.deepcopy(event), "sequence_number": n} for n, event in enumerate(events)]


def test_a_legal_stream_passes() -> None:
    assert grammar.check_stream(legal())["status"] == "completed"


def change(at: int, **fields: Any) -> Callable[[list[Json]], Any]:
    return lambda events: events[at].update(fields)


def drop(at: int) -> Callable[[list[Json]], Any]:
    return lambda events: events.pop(at)


BROKEN: dict[str, Callable[[list[Json]], Any]] = {
    "created is not first": drop(0),
    "created is completed": lambda events: events[0]["response"].update(status="completed"),
    "no in_progress": drop(1),
    "no item added": drop(2),
    "no part added": drop(3),
    "a delta is lost": drop(4),
    "no text done": drop(6),
    "no part done": drop(7),
    "no item done": drop(8),
    "no arguments done": drop(11),
    "no terminal event": drop(13),
    "two terminal events": lambda events: events.append(events[-1]),
    "something after the end": lambda events: events.append(events[4]),
    "done text differs": change(6, text="Hi their"),
    "done arguments differ": change(11, arguments="{ }"),
    "empty delta": change(4, delta=""),
    "item id changes": change(4, item_id="msg_2"),
    "same output_index": lambda events: [e.update(output_index=0) for e in events[9:13]],
    "output_index skips": lambda events: [e.update(output_index=2) for e in events[9:13]],
    "same item id": lambda events: events[9]["item"].update(id="msg_1"),
    "output differs": lambda events: events[-1]["response"]["output"].pop(),
    "response id changes": lambda events: events[-1]["response"].update(id="resp_2"),
    "item done in progress": lambda events: events[8]["item"].update(status="in_progress"),
    "incomplete item in a completed response": lambda events: (
        events[12]["item"].update(status="incomplete"),
        events[-1]["response"]["output"][1].update(status="incomplete")),
    "total is not the sum": lambda events: events[-1]["response"]["usage"].update(total_tokens=4),
    "usage without details": lambda events: events[-1]["response"]["usage"].pop("input_tokens_details"),
    "completed with an error": lambda events: events[-1]["response"].update(error={"type": "t", "code": "c",
                                                                                  "message": "m"}),
    "a response field is missing": lambda events: events[-1]["response"].pop("top_logprobs"),
    "an event field is missing": lambda events: events[4].pop("content_index"),
    "an unknown event": change(4, type="response.made_up.delta"),
    "an unknown item": lambda events: events[9]["item"].update(type="telepathy_call"),
    "failed without an error event": lambda events: events[-1].update(
        type="response.failed", response={**events[-1]["response"], "status": "failed", "completed_at": None,
                                          "error": {"type": "t", "code": "c", "message": "m"}}),
}  # fmt: skip
NEED_THE_SPEC = {"usage without details", "a response field is missing", "an event field is missing",
                 "an unknown event", "an unknown item", "incomplete item in a completed response"}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_caught(name: str) -> None:
    if name in NEED_THE_SPEC and schema.spec() is None:
        pytest.skip("the specification's schema is not beside the checkout")
    events = legal()
    BROKEN[name](events)
    with pytest.raises((AssertionError, KeyError)):
        grammar.check_stream(numbered(events))


def test_a_gap_in_the_numbers_is_caught() -> None:
    events = legal()
    events[5]["sequence_number"] = 17
    with pytest.raises(grammar.IllegalStream):
        grammar.check_stream(events)


def wire(events: list[Json]) -> bytes:
    records = [f"event: {event['type']}\ndata: {json.dumps(event)}" for event in events]
    return ("\n\n".join([*records, "data: [DONE]"]) + "\n\n").encode()


def test_framing() -> None:
    assert grammar.parse(b": keep-alive\n\n" + wire(legal())) == legal()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"data: [DONE]\n\n", b""),
        (b"[DONE]\n\n", b"[DONE]\n"),
        (b"event: response.created", b"event: response.queued"),
        (b"event: response.created\n", b""),
        (b"event: response.created\n", b"event: response.created\nid: 1\n"),
        (b'"Hi "', '"Hi\u2028"'.encode()),
    ],
)
def test_wrong_framing_is_caught(old: bytes, new: bytes) -> None:
    body = wire(legal())
    assert old in body
    with pytest.raises(grammar.IllegalStream):
        grammar.parse(body.replace(old, new))


@pytest.mark.parametrize("kind", schema.ITEMS)
def test_items_beyond_the_specification_have_a_shape(kind: str) -> None:
    if schema.spec() is None:
        pytest.skip("the specification's schema is not beside the checkout")
    with pytest.raises(AssertionError):
        schema.check_item({"type": kind, "id": "x_1"})


@pytest.mark.parametrize("name", BROKEN)
def test_the_compiled_schema_agrees(name: str) -> None:
    """Every verdict of the fast form is that of `jsonschema`, on right and on wrong events."""
    events = legal()
    BROKEN[name](events)
    for event in events:
        if checker := schema.event_validators().get(event["type"]):
            assert checker.passes(event) == checker.slow.is_valid(event)
