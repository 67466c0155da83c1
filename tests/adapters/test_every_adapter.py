"""What holds for every adapter that translates: nothing is dropped in silence, places are those of the context."""

from __future__ import annotations

import pytest
from openresponses.adapters.registry import adapter_named
from openresponses.protocol.errors import ApiError

from .turns import Json, call, make_turn, output, user

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
