"""A response that has ended, told again as the stream of events that would have told it: each text in one delta."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..protocol.texts import CALLS, text_of_part

Json = dict[str, Any]
Event = dict[str, Any]


def replay(response: Json, reasoning_events: str) -> list[Event]:
    """The events of `response`, numbered, the terminal one last. `reasoning_events` is the setting."""
    return [
        {"type": event.pop("type"), "sequence_number": number, **event}
        for number, event in enumerate(_events(response, reasoning_events))
    ]


def _events(response: Json, reasoning_events: str) -> Iterator[Event]:
    begun = {
        **response,
        "output": [],
        "usage": None,
        "completed_at": None,
        "incomplete_details": None,
        "error": None,
    }
    yield {"type": "response.created", "response": {**begun, "status": "queued"}}
    yield {"type": "response.in_progress", "response": {**begun, "status": "in_progress"}}
    for index, item in enumerate(response["output"]):
        yield from _item(index, item, reasoning_events)
    if response["status"] == "failed":
        yield {"type": "error", "error": {"param": None, **response["error"]}}
    yield {"type": f"response.{response['status']}", "response": response}


def _item(index: int, item: Json, reasoning_events: str) -> Iterator[Event]:
    empty: Json = {name: [] for name in ("content", "summary") if name in item}
    empty |= {name: "" for name in ("arguments", "input") if isinstance(item.get(name), str)}
    bare = {key: value for key, value in item.items() if key != "encrypted_content"}
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**bare, **empty, "status": "in_progress"},
    }
    place = {"item_id": item["id"], "output_index": index}
    if item["type"] in ("message", "reasoning"):
        for name, counter in (("content", "content_index"), ("summary", "summary_index")):
            for number, part in enumerate(item.get(name) or ()):
                yield from _part({**place, counter: number}, part, reasoning_events)
    elif item["type"] in CALLS:
        text = CALLS[item["type"]]
        whole = item[text.field]
        if whole:
            yield {"type": text.delta, **place, "delta": whole}
        yield {"type": text.done, **place, text.field: whole}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part(place: Json, part: Json, reasoning_events: str) -> Iterator[Event]:
    text = text_of_part(part["type"], reasoning_events)
    family = "reasoning_summary_part" if "summary_index" in place else "content_part"
    whole = part[text.field]
    logprobs = {"logprobs": part.get("logprobs", [])} if part["type"] == "output_text" else {}
    empty = {**part, text.field: "", **({"annotations": [], "logprobs": []} if logprobs else {})}
    yield {"type": f"response.{family}.added", **place, "part": empty}
    if whole:
        yield {"type": text.delta, **place, "delta": whole, **logprobs}
    for number, annotation in enumerate(part.get("annotations", ())):
        kind = "response.output_text.annotation.added"
        yield {"type": kind, **place, "annotation_index": number, "annotation": annotation}
    yield {"type": text.done, **place, text.field: whole, **logprobs}
    yield {"type": f"response.{family}.done", **place, "part": part}
