"""The items of tools that a provider runs: their texts end as they were told, their end is one of ours."""

from __future__ import annotations

from typing import Any

import pytest
from openresponses.adapters.base import Delta, Finished, HostedItemEnded, HostedItemEvent, HostedItemStarted
from openresponses.adapters.shapes import is_annotation, is_event, is_item
from openresponses.engine.wellformed import WELL_FORMED

from tests.support.grammar import check_stream

from .test_assembler import assemble

Json = dict[str, Any]
CODE: Json = {"type": "code_interpreter_call", "code": None, "container_id": None}
NAME = "response.code_interpreter_call_code"


def said(text: str) -> Delta:
    return HostedItemEvent(0, f"{NAME}.delta", {"delta": text})


def done(text: str) -> Delta:
    return HostedItemEvent(0, f"{NAME}.done", {"code": text})


TEXTS = [
    pytest.param([said("a"), said("b"), done("ab")], "ab", id="as it should be"),
    pytest.param([said("a"), done("ab")], "ab", id="a piece is lost"),
    pytest.param([done("ab")], "ab", id="all pieces are lost"),
    pytest.param([said("a"), said("b")], "ab", id="no end"),
    pytest.param([said("a"), done("xy")], "a", id="another text at the end"),
    pytest.param([said("a"), done("a"), said("b"), done("ab")], "a", id="more after the end"),
    pytest.param([said(""), said("a"), done("a")], "a", id="an empty piece"),
    pytest.param(
        [HostedItemEvent(0, "response.web_search_call.searching"), done("a")], "a", id="another item's event"
    ),
]


@pytest.mark.parametrize(("deltas", "text"), TEXTS)
def test_what_is_done_is_what_was_said(deltas: list[Delta], text: str) -> None:
    events, _ = assemble([HostedItemStarted(0, CODE), *deltas, HostedItemEnded(0, {**CODE, "code": "ab"})])
    check_stream(events)
    pieces = [event["delta"] for event in events if event["type"] == f"{NAME}.delta"]
    assert "".join(pieces) == text and all(pieces)


@pytest.mark.parametrize("fields", [{}, {"operation": None}])
def test_a_text_without_a_place_in_its_item_ends_nothing(fields: Json) -> None:
    """A kind that is not known, whose event's name is that of one that is."""
    diff = HostedItemEvent(0, "response.apply_patch_call_operation_diff.delta", {"delta": "+"})
    item = {"type": "apply_patch", **fields}
    events, response = assemble([HostedItemStarted(0, item), diff, Finished("max_output_tokens")])
    assert events[-1]["type"] == "response.incomplete"
    [cut] = response["output"]
    assert (cut["status"], cut.get("operation")) == ("incomplete", None)


@pytest.mark.parametrize("status", [{}, [], 1, "in_progress", "searching", None])
def test_an_odd_status_is_not_the_end(status: Any) -> None:
    events, _ = assemble([HostedItemEnded(0, {**CODE, "status": status})])
    assert check_stream(events)["output"][0]["status"] == "completed"


NO_KINDS: list[Any] = ["completed", "compl", "output_text", "a\nb", "", "A", 1, None, {}]
SHAPES = [
    (is_item({"type": "dream_call", "dream": 1}), True),
    (is_item({"type": "web_search_call"}), True),
    (is_item({"type": "mcp_call", "name": "x"}), False),
    (is_item({"type": "reasoning", "summary": [], "encrypted_content": 0.0}), False),
    *((is_item({"type": kind}), False) for kind in NO_KINDS),
    (is_event("response.dream_call.dreaming", {}), True),
    (is_event("response.web_search_call.searching", {}), True),
    (is_event(f"{NAME}.delta", {"delta": 1}), False),
    *((is_event(kind, {}), False) for kind in ("response.a\n", "error", "", None, 1, "data: x")),
    (
        is_annotation({"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}),
        True,
    ),
    (is_annotation({"type": "url_citation", "url": 1}), False),
    (is_annotation({"type": "note"}), True),
    (is_annotation({"type": {}}), False),
]


def test_an_end_is_for_a_reason_in_words_or_for_none() -> None:
    reasons: list[Any] = [None, "max_output_tokens", [], {}, 1]
    assert [WELL_FORMED[Finished](Finished(reason)) for reason in reasons] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_shapes() -> None:
    """Kinds that are not known are told as they come, if nothing of ours is named so."""
    assert [found for found, _ in SHAPES] == [expected for _, expected in SHAPES]
