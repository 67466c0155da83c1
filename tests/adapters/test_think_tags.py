"""Thoughts in tags at the beginning of the text, wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openresponses.adapters.registry import adapter_named
from openresponses.routing import Router
from openresponses.settings import Settings

from .turns import Json, make_turn, told

CASES = [
    ("<think>Hm, 1 < 2.</think>\n\nYes.", [("reasoning", "Hm, 1 < 2."), ("text", "Yes.")]),
    (
        "\n<think>\nHm </th no </think>Yes. <think>",
        [("reasoning", "\nHm </th no "), ("text", "Yes. <think>")],
    ),
    ("<think></think>Yes.", [("text", "Yes.")]),
    ("Yes: <think> is a tag.</think>", [("text", "Yes: <think> is a tag.</think>")]),
    ("<thin", [("text", "<thin")]),
    ("<think>Cut </thi", [("reasoning", "Cut </thi")]),
    (" \n", [("text", " \n")]),
]


def frames(adapter: str, pieces: list[str]) -> list[Json]:
    if adapter == "ollama":
        said = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces]
        return [*said, {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}]
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def read(adapter: str, pieces: list[str], *, tags: bool = True) -> list[tuple[str, str]]:
    reader = adapter_named(adapter).reader(make_turn("Hi", provider=adapter, options={"think_tags": tags}))
    said = (delta for frame in frames(adapter, pieces) for delta in reader.frame("", frame))
    found = told([*said, *reader.end()])
    return [each for each in found if each[0] in ("text", "reasoning")]


@pytest.mark.parametrize("adapter", ["chat", "ollama"])
@given(case=st.sampled_from(CASES), cuts=st.lists(st.integers(0, 40), max_size=12))
def test_thoughts_in_tags_are_reasoning(
    adapter: str, case: tuple[str, list[tuple[str, str]]], cuts: list[int]
) -> None:
    text, expected = case
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert read(adapter, pieces) == expected


@pytest.mark.parametrize("adapter", ["chat", "ollama"])
def test_tags_are_text_where_the_model_is_not_known_for_them(adapter: str) -> None:
    assert read(adapter, ["<think>a</think>b"], tags=False) == [("text", "<think>a</think>b")]


@pytest.mark.parametrize(
    "model", ["vllm/deepseek-ai/DeepSeek-R1", "lmstudio/deepseek-r1-distill-qwen-7b", "vllm/Qwen/QwQ-32B"]
)
def test_the_models_that_are_known_for_them(model: str) -> None:
    assert Router(Settings.load({})).resolve(model).profile.options["think_tags"] is True
