"""What holds for every adapter that translates: nothing is dropped in silence, places are those of the context."""

from __future__ import annotations

import orjson
import pytest
from openresponses.adapters.base import Started
from openresponses.adapters.registry import adapter_named
from openresponses.protocol.errors import ApiError

from .turns import Json, call, function, make_turn, output, user

TRANSLATING = ("anthropic", "gemini", "chat", "ollama")


@pytest.mark.parametrize("adapter", TRANSLATING)
@pytest.mark.parametrize(
    ("items", "place"),
    [
        pytest.param([user("Hi"), output("call_1")], 1, id="no call"),
        pytest.param([user("Hi"), output("call_1"), call("call_2"), output("call_2")], 1, id="another call"),
        pytest.param(
            [call("call_1"), output("call_1"), user("Hi"), output("call_1")], 3, id="a second output"
        ),
    ],
)
def test_an_output_that_no_call_waits_for_is_refused(adapter: str, items: list[Json], place: int) -> None:
    with pytest.raises(ApiError) as refused:
        adapter_named(adapter).build(make_turn(items, provider=adapter))
    assert refused.value.code == "invalid_value"
    assert refused.value.param == f"input[{place}].call_id"


@pytest.mark.parametrize("adapter", TRANSLATING)
def test_a_refused_part_is_named_by_its_place_in_the_context(adapter: str) -> None:
    """The engine counts from the beginning of the client's own input; the adapter from that of the context."""
    odd = {"type": "input_image", "file_id": "file-1"}
    turn = make_turn([user("Hi"), user("Look", odd)], provider=adapter)
    turn.request["input"] = [turn.input[1]]  # the first is of an earlier turn
    with pytest.raises(ApiError) as refused:
        adapter_named(adapter).build(turn)
    assert (refused.value.param or "").startswith("input[1].content[1]")


SCHEMA: Json = {
    "type": "object",
    "required": ["z"],
    "properties": {"z": {"type": "string"}, "a": {"type": "integer"}},
}


@pytest.mark.parametrize("adapter", [*TRANSLATING, "openai"])
def test_equal_turns_give_equal_bytes(adapter: str) -> None:
    """And arguments and properties stay in the client's order: prompt caches go by the bytes."""

    def body() -> bytes:
        items = [user("Hi"), call("call_1", arguments='{"z": "1", "a": 2}'), output("call_1"), user("More")]
        turn = make_turn(
            items,
            provider=adapter,
            tools=[{**function("look"), "parameters": SCHEMA}],
            instructions="Be brief.",
        )
        return orjson.dumps(adapter_named(adapter).build(turn).body)

    sent = body()
    assert sent == body()
    properties = sent[sent.index(b'"properties"') :]
    assert properties.index(b'"z"') < properties.index(b'"a"')
    plain = sent.replace(b"\\", b"")
    assert plain.index(b'"z":"1"' if b'"z":"1"' in plain else b'"z": "1"') < plain.rindex(b'"a"')


UNKNOWN: dict[str, list[Json]] = {
    "anthropic": [{"type": "message_mood", "mood": "good"}, {"type": "ping", "more": 1}],
    "gemini": [{"mood": "good"}, {"candidates": [{"content": {"role": "model"}, "mood": 1}]}],
    "openai": [{"type": "response.mood", "mood": "good", "sequence_number": 0}],
    "chat": [{"mood": "good"}, {"choices": [{"index": 0, "delta": {"mood": 1}}]}],
    "ollama": [{"model": "m", "mood": "good", "message": {"role": "assistant", "content": "", "mood": 1}}],
}


@pytest.mark.parametrize("adapter", UNKNOWN)
def test_unknown_events_are_tolerated(adapter: str) -> None:
    reader = adapter_named(adapter).reader(make_turn("Hi", provider=adapter))
    for event in UNKNOWN[adapter]:
        assert not [
            delta for delta in reader.frame(event.get("type", ""), event) if not isinstance(delta, Started)
        ]
