"""Texts that are told piece by piece: `<event>.delta` for a piece, `<event>.done` with the whole text.

Source: the specification, "Streaming"; OpenAI's Responses API for the calls that the specification does not have.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class Text(NamedTuple):
    """`field`, of the part or item and of the done event, holds the whole text; `event` is the name of its events.
    `within` is the object of the item that the field stands in, if it is not the item itself."""

    field: str
    event: str
    within: str = ""

    @property
    def delta(self) -> str:
        return f"{self.event}.delta"

    @property
    def done(self) -> str:
        return f"{self.event}.done"

    def held(self, item: Json, whole: str) -> Json:
        """The fields of the item, with the whole text in its place, if it has that."""
        text = {self.field: whole}
        if not self.within:
            return {**item, **text}
        inner = item.get(self.within)
        return {**item, self.within: {**inner, **text}} if isinstance(inner, dict) else item


# Raw reasoning, by the setting `reasoning_events`; with `summary` it is told as a summary.
RAW_REASONING = {
    "openai": Text("text", "response.reasoning_text"),
    "spec": Text("text", "response.reasoning"),
}
# Type of a content or summary part → its text.
PARTS = {
    "output_text": Text("text", "response.output_text"),
    "refusal": Text("refusal", "response.refusal"),
    "summary_text": Text("text", "response.reasoning_summary_text"),
}
# Type of an item that is a call → what the model wrote.
CALLS = {
    "function_call": Text("arguments", "response.function_call_arguments"),
    "custom_tool_call": Text("input", "response.custom_tool_call_input"),
    "mcp_call": Text("arguments", "response.mcp_call_arguments"),
}
# Of items that a provider runs, or that it has made whole.
HOSTED = (
    Text("code", "response.code_interpreter_call_code"),
    CALLS["mcp_call"],
    Text("diff", "response.apply_patch_call_operation_diff", within="operation"),
)


def text_of_part(kind: str, reasoning_events: str) -> Text:
    """How the text of a part of type `kind` is told. Raw reasoning that was stored under another setting has the
    specification's names."""
    if kind == "reasoning_text":
        return RAW_REASONING.get(reasoning_events, RAW_REASONING["spec"])
    return PARTS[kind]
