"""The events of a stream, found by sending every kind of delta through the assembler; their meanings."""

from __future__ import annotations

from openresponses.adapters import base, shapes
from openresponses.engine.assembler import Assembler
from openresponses.protocol.errors import ApiError
from openresponses.protocol.response import new_response

MEANINGS = {
    "response.created": "The turn was accepted; status `queued`",
    "response.in_progress": "It runs",
    "response.output_item.added": "An item begins: `message`, `reasoning`, `function_call`, …",
    "response.content_part.added": "A part of it begins: `output_text`, `refusal`, raw `reasoning_text`",
    "response.output_text.delta": "More text; `logprobs` where they were asked for",
    "response.output_text.annotation.added": "A citation; offsets are characters of this part",
    "response.output_text.done": "The whole text of the part",
    "response.content_part.done": "The whole part, annotations included",
    "response.output_item.done": "The whole item; `status` is `completed` or, if it was cut, `incomplete`",
    "response.refusal.delta": "More of a refusal",
    "response.refusal.done": "The whole refusal",
    "response.reasoning_summary_part.added": "A part of the reasoning begins",
    "response.reasoning_summary_text.delta": "More reasoning",
    "response.reasoning_summary_text.done": "The whole part's text",
    "response.reasoning_summary_part.done": "The whole part",
    "response.reasoning_text.delta": "Raw reasoning in OpenAI's form (`OPENRESPONSES_REASONING_EVENTS=openai`)",
    "response.reasoning_text.done": "The same, whole",
    "response.reasoning.delta": "Raw reasoning in the specification's form (`…=spec`)",
    "response.reasoning.done": "The same, whole",
    "response.function_call_arguments.delta": "More of a call's arguments, JSON text",
    "response.function_call_arguments.done": "The whole arguments",
    "response.custom_tool_call_input.delta": "More of a custom tool's input, free text",
    "response.custom_tool_call_input.done": "The whole input",
    "response.completed": "Last event: the response, complete",
    "response.incomplete": "Last event: cut short; `incomplete_details.reason` says by what",
    "error": "What failed, before `response.failed`",
    "response.failed": "Last event: `response.error` says why",
}
REQUEST = {"model": "echo"}
CITATION = {
    "type": "url_citation",
    "url": "https://example.com",
    "title": "",
    "start_index": 0,
    "end_index": 2,
}
# Answers that together hold every kind of delta, with the setting `reasoning_events`.
ANSWERS: list[tuple[str, list[base.Delta]]] = [
    ("summary", [base.TextDelta("Hi"), base.Annotation(CITATION), base.Finished()]),
    ("summary", [base.RefusalDelta("No"), base.Finished()]),
    ("summary", [base.ReasoningDelta("Hm"), base.Finished()]),
    ("openai", [base.ReasoningDelta("Hm", raw=True), base.Finished()]),
    ("spec", [base.ReasoningDelta("Hm", raw=True), base.Finished()]),
    ("summary", [base.ToolCallStarted(0, "f"), base.ToolCallDelta(0, "{}"), base.Finished()]),
    ("summary", [base.ToolCallStarted(0, "f", kind="custom"), base.ToolCallDelta(0, "x"), base.Finished()]),
    ("summary", [base.TextDelta("Hi"), base.Finished("max_output_tokens")]),
    ("summary", [base.TextDelta("Hi"), base.Failed(ApiError("provider_error", "It failed."))]),
]


def catalogue() -> list[tuple[str, list[str], str]]:
    """(type, its fields, meaning) of every event. Raises KeyError for an event that MEANINGS does not have."""
    fields: dict[str, list[str]] = {}
    for form, deltas in ANSWERS:
        for event in _told(form, deltas):
            fields.setdefault(event["type"], [key for key in event if key not in ("type", "sequence_number")])
    missing = [name for name in fields if name not in MEANINGS]
    if missing:
        raise KeyError(*missing)
    return [(name, fields[name], meaning) for name, meaning in MEANINGS.items()]


def hosted() -> list[tuple[str, list[str]]]:
    """(type, its fields) of every event in the life of an item that a provider runs; `adapters.shapes` has the set."""
    place = ["item_id", "output_index"]
    return [(name, [*place, *fields]) for name, fields in shapes.EVENTS.items()]


def _told(form: str, deltas: list[base.Delta]) -> list[base.Json]:
    response = new_response("resp_" + "0" * 32, REQUEST, 0)
    assembler = Assembler(response, provider="echo", include=(), reasoning_events=form, clock=lambda: 0.0)
    for delta in deltas:
        assembler.apply(delta)
    if assembler.error:
        last = assembler.fail(assembler.error)
    else:
        last = assembler.end(assembler.finish.reason if assembler.finish else None)
    return [*assembler.take(), last]
