"""Whatever the deltas, the events are legal; and what a cut leaves behind is told as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openresponses.adapters import base
from openresponses.engine.assembler import Assembler
from openresponses.protocol.errors import ApiError
from openresponses.protocol.ids import LONGEST_CALL_ID, new_response_id
from openresponses.protocol.response import new_response

from tests.support.grammar import check_stream

Json = dict[str, Any]
STATE = ["reasoning.encrypted_content"]
CITATION = {
    "type": "url_citation",
    "url": "https://example.com",
    "title": "t",
    "start_index": 0,
    "end_index": 1,
}
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}


def assemble(deltas: list[base.Delta], *, end: str = "finish", **options: Any) -> tuple[list[Json], Json]:
    """The events of an answer made of `deltas`, and the response as stored."""
    response = new_response(new_response_id(), {"model": "m"}, 1)
    chosen: dict[str, Any] = {"provider": "anthropic", "include": STATE, "clock": lambda: 2.0} | options
    assembler = Assembler(response, **chosen)
    for delta in deltas:
        assembler.apply(delta)
    finish = assembler.finish
    if end == "fail":
        terminal = assembler.fail(ApiError("provider_unavailable", "gone"))
    elif end == "cut":
        terminal = assembler.end("time_limit")
    else:
        terminal = assembler.end(finish.reason if finish else None)
    events = [*assembler.take(), terminal]
    return json.loads(json.dumps(events)), assembler.stored()


keys = st.sampled_from(["a", "b", 0, 1])
texts = st.text(max_size=5)
delta = st.one_of(
    st.builds(base.Started, st.just("model-1")),
    st.builds(base.MessageStarted, st.sampled_from([None, "commentary", "final_answer"])),
    st.builds(base.TextDelta, texts),
    st.builds(base.RefusalDelta, texts),
    st.builds(base.Annotation, st.just(CITATION)),
    st.builds(base.ReasoningDelta, texts, st.booleans()),
    st.builds(base.ProviderState, st.just({"signature": "s"})),
    st.just(base.PartEnd()),
    st.builds(base.ItemEnd, st.none() | keys),
    st.builds(
        base.ToolCallStarted,
        keys,
        st.sampled_from(["f", "g"]),
        st.sampled_from([None, "call_1", "call_2"]),
        st.sampled_from(["function", "custom"]),
    ),
    st.builds(base.ToolCallDelta, keys, texts),
    st.builds(base.HostedItemStarted, keys, st.just({**SEARCH, "status": "in_progress"})),
    st.builds(base.HostedItemEvent, keys, st.just("response.web_search_call.searching")),
    st.builds(base.HostedItemEnded, keys, st.just(SEARCH)),
    st.builds(base.Usage, st.integers(0, 9), st.integers(0, 9)),
    st.builds(base.Finished, st.sampled_from([None, "max_output_tokens", "content_filter"])),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(delta, max_size=25),
    st.sampled_from(["finish", "fail", "cut"]),
    st.sampled_from(["summary", "spec"]),
)
def test_any_deltas_make_a_legal_stream(deltas: list[base.Delta], end: str, form: str) -> None:
    events, stored = assemble(deltas, end=end, reasoning_events=form)
    response = check_stream(events)
    assert stored["output"] == response["output"]


def output(deltas: list[base.Delta], **options: Any) -> list[Json]:
    events, _ = assemble(deltas, **options)
    return check_stream(events)["output"]  # type: ignore[no-any-return]


CALL = [base.ToolCallStarted("k", "f", "call_1"), base.ToolCallDelta("k", '{"a":')]


@pytest.mark.parametrize(
    ("deltas", "end", "expected"),
    [
        pytest.param([base.TextDelta("a")], "finish", ["completed"], id="whole text"),
        pytest.param([base.TextDelta("a")], "fail", ["incomplete"], id="broken in the text"),
        pytest.param(
            [base.TextDelta("a"), base.ItemEnd()], "fail", ["completed"], id="broken after the item"
        ),
        pytest.param(
            [base.TextDelta("a"), base.ItemEnd(), base.Finished("max_output_tokens")],
            "finish",
            ["incomplete"],
            id="a limit cuts the last item even if the provider closed it",
        ),
        pytest.param(
            [base.ReasoningDelta("r"), base.TextDelta("a")], "cut", ["completed", "incomplete"], id="deadline"
        ),
        pytest.param(CALL, "fail", ["incomplete"], id="broken in the arguments"),
        pytest.param(
            [base.ToolCallStarted("k", "f"), base.ItemEnd("k"), *CALL[:0], base.ToolCallStarted("l", "f")],
            "fail",
            ["completed", "incomplete"],
            id="only the last call was cut",
        ),
    ],
)
def test_only_what_was_cut_is_incomplete(deltas: list[base.Delta], end: str, expected: list[str]) -> None:
    assert [item["status"] for item in output(deltas, end=end)] == expected


def test_interleaved_calls_keep_their_own_arguments() -> None:
    items = output(
        [
            base.ToolCallStarted(0, "f", "call_0"),
            base.ToolCallStarted(1, "g", "call_1"),
            base.ToolCallDelta(1, '{"b"'),
            base.ToolCallDelta(0, '{"a":1}'),
            base.ToolCallDelta(1, ":2}"),
        ]
    )
    assert [(item["name"], item["arguments"]) for item in items] == [("f", '{"a":1}'), ("g", '{"b":2}')]


def test_a_citation_after_the_end_of_its_text_joins_it() -> None:
    cited = {"type": "file_path", "file_id": "f", "index": 0}
    [message] = output([base.TextDelta("a"), base.PartEnd(), base.Annotation(cited), base.TextDelta("b")])
    assert [(part["text"], part["annotations"]) for part in message["content"]] == [("a", [cited]), ("b", [])]


def test_the_caller_of_a_call_stays_on_it() -> None:
    caller = {"type": "program", "caller_id": "p"}
    [call] = output([base.ToolCallStarted("k", "f", "c", caller=caller)])
    assert call["caller"] == caller


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert output([base.ToolCallStarted(0, "f")])[0]["arguments"] == "{}"


def test_a_call_id_that_no_request_may_name_is_replaced() -> None:
    long = ["x" * LONGEST_CALL_ID, "y" * (LONGEST_CALL_ID + 1)]
    deltas = [base.ToolCallStarted(key, "f", call_id) for key, call_id in enumerate(long)]
    items = assemble([*deltas, base.Finished()])[1]["output"]
    assert items[0]["call_id"] == long[0] and items[1]["call_id"].startswith("call_")


def test_a_repeated_call_id_is_replaced() -> None:
    items = output([base.ToolCallStarted(0, "f", "call_0"), base.ToolCallStarted(1, "f", "call_0")])
    assert items[0]["call_id"] == "call_0" != items[1]["call_id"]


@pytest.mark.parametrize("include", [[], STATE])
def test_provider_state_is_stored_and_shown_only_if_asked(include: list[str]) -> None:
    events, stored = assemble([base.ReasoningDelta("r"), base.ProviderState({"s": 1})], include=include)
    told = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert "encrypted_content" in stored["output"][0]
    assert ("encrypted_content" in told[0]) == bool(include)
    assert events[-1]["response"]["output"] == told


@pytest.mark.parametrize(
    ("form", "raw_event"),
    [
        ("summary", "response.reasoning_summary_text.delta"),
        ("openai", "response.reasoning_text.delta"),
        ("spec", "response.reasoning.delta"),
    ],
)
def test_raw_reasoning_is_told_in_the_chosen_form(form: str, raw_event: str) -> None:
    events, _ = assemble([base.ReasoningDelta("r", raw=True)], reasoning_events=form)
    assert raw_event in [event["type"] for event in events]


def test_usage_is_the_sum_of_all_samples() -> None:
    response = new_response(new_response_id(), {"model": "m"}, 1)
    assembler = Assembler(response, provider="anthropic", include=[], clock=lambda: 2.0)
    assembler.apply(base.TextDelta("a"))
    assembler.apply(base.Usage(10, 2, 3, 1, 4))
    assembler.apply(base.Finished("pause"))
    assembler.end_sample()
    assembler.apply(base.TextDelta("b"))
    assembler.apply(base.Usage(20, 4, 5, 2, 6))
    terminal = assembler.end()
    assert terminal["response"]["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 10},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 36,
    }


def test_a_hosted_tool_may_go_on_beside_a_message() -> None:
    items = output(
        [
            base.HostedItemStarted("s", {**SEARCH, "status": "in_progress"}),
            base.TextDelta("Let me look."),
            base.HostedItemEnded("s", SEARCH),
        ]
    )
    assert [(item["type"], item["status"]) for item in items] == [
        ("web_search_call", "completed"),
        ("message", "completed"),
    ]
