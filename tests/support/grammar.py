"""Is it a legal stream? The rules of the specification's state machine, checked on the bytes a client got.

Independent of the gateway's own code: `parse` reads server-sent events strictly, `check_stream` walks them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .schema import check_event, check_response, has_new_kinds

Json = dict[str, Any]

TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}

# delta event → (its done event, the done event's field, what the piece belongs to)
TEXTS = {
    "response.output_text.delta": ("response.output_text.done", "text", "content_index"),
    "response.refusal.delta": ("response.refusal.done", "refusal", "content_index"),
    "response.reasoning_summary_text.delta": (
        "response.reasoning_summary_text.done",
        "text",
        "summary_index",
    ),
    "response.reasoning_text.delta": ("response.reasoning_text.done", "text", "content_index"),
    "response.reasoning.delta": ("response.reasoning.done", "text", "content_index"),
    "response.function_call_arguments.delta": ("response.function_call_arguments.done", "arguments", None),
    "response.custom_tool_call_input.delta": ("response.custom_tool_call_input.done", "input", None),
    "response.mcp_call_arguments.delta": ("response.mcp_call_arguments.done", "arguments", None),
    "response.code_interpreter_call_code.delta": ("response.code_interpreter_call_code.done", "code", None),
}
DONES = {done: (delta, name, place) for delta, (done, name, place) in TEXTS.items()}

# The texts of items that the gateway itself writes; those of hosted tools are told as the provider told them.
OURS = {delta for delta in TEXTS if not delta.startswith(("response.mcp", "response.code_interpreter"))}

PARTS = {
    "response.content_part.added": ("response.content_part.done", "content_index", "content"),
    "response.reasoning_summary_part.added": (
        "response.reasoning_summary_part.done",
        "summary_index",
        "summary",
    ),
}
PART_DONES = {done: (added, place, array) for added, (done, place, array) in PARTS.items()}

# Items of which an incomplete answer may leave one behind.
PARTIAL = {"incomplete", "failed", "cancelled"}


class IllegalStream(AssertionError):
    pass


def must(condition: object, message: str) -> None:
    if not condition:
        raise IllegalStream(message)


def parse(body: bytes) -> list[Json]:
    """The events of an SSE body: `event:` equals the type, one data line, `[DONE]` last, nothing else but comments."""
    must(body.endswith(b"\n\n"), f"the stream does not end with an empty line: {body[-80:]!r}")
    text = body.decode("utf-8")
    for separator in ("\u2028", "\u2029", "\u0085", "\r"):
        must(separator not in text, f"{separator!r} stands unescaped in the stream")
    events: list[Json] = []
    records = [record for record in text[:-2].split("\n\n") if not is_comment(record)]
    must(records, "the stream is empty")
    must(records.pop() == "data: [DONE]", "the last record is not data: [DONE]")
    for record in records:
        lines = record.split("\n")
        must(
            len(lines) == 2 and lines[0].startswith("event: ") and lines[1].startswith("data: "), record[:200]
        )
        event = json.loads(lines[1][6:])
        must(lines[0][7:] == event["type"], f"event: {lines[0][7:]} but type {event['type']}")
        events.append(event)
    return events


def is_comment(record: str) -> bool:
    return all(line.startswith(":") for line in record.split("\n"))


@dataclass
class Open:
    """An item between its added and done."""

    item: Json
    parts: dict[tuple[str, int], Json | None] = field(default_factory=dict)  # None: done
    texts: dict[tuple[str, int | None], list[str]] = field(default_factory=dict)
    finished: dict[tuple[str, int | None], str] = field(default_factory=dict)
    annotations: dict[int, list[Json]] = field(default_factory=dict)
    done_parts: dict[tuple[str, int], Json] = field(default_factory=dict)


class Walk:
    """The state of one stream, event by event."""

    def __init__(self) -> None:
        self.response_id: str | None = None
        self.opened: dict[int, Open] = {}
        self.done: dict[int, Json] = {}
        self.ids: set[str] = set()

    def step(self, event: Json) -> None:
        kind = event["type"]
        if kind == "response.output_item.added":
            self.added(event)
        elif kind == "response.output_item.done":
            self.item_done(event)
        elif "output_index" in event:
            self.inside(kind, event)
        else:
            must(False, f"{kind} is not expected here")

    def added(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        must(index == len(self.opened) + len(self.done), f"output_index {index} is not the next")
        must(item["id"] not in self.ids, f"item id {item['id']} is used twice")
        must(item.get("status") in (None, "in_progress", "searching", "generating", "interpreting", "calling"),
             f"an added {item['type']} has status {item.get('status')}")  # fmt: skip
        for array in ("content", "summary"):
            must(not item.get(array), f"an added {item['type']} already has {array}")
        for text in ("arguments", "input"):
            must(not item.get(text) or item["type"] not in ("function_call", "custom_tool_call"),
                 f"an added {item['type']} already has {text}")  # fmt: skip
        self.ids.add(item["id"])
        self.opened[index] = Open(item)

    def inside(self, kind: str, event: Json) -> None:
        index = event["output_index"]
        must(index in self.opened, f"{kind} outside of an open item (output_index {index})")
        held = self.opened[index]
        must(event.get("item_id", held.item["id"]) == held.item["id"], f"{kind} names another item")
        if kind in PARTS:
            _, place, _ = PARTS[kind]
            self.part_added(held, place, event)
        elif kind in PART_DONES:
            _, place, _ = PART_DONES[kind]
            self.part_done(held, place, event)
        elif kind in TEXTS:
            _, _, within = TEXTS[kind]
            self.needs_part(held, within, event)
            key = (kind, event[within] if within else None)
            must(key not in held.finished, f"{kind} after its done")
            must(event["delta"], f"{kind} is empty")
            held.texts.setdefault(key, []).append(event["delta"])
        elif kind in DONES:
            delta, name, within = DONES[kind]
            self.needs_part(held, within, event)
            key = (delta, event[within] if within else None)
            must(key not in held.finished, f"{kind} twice")
            said = "".join(held.texts.get(key, []))
            must(event[name] == said, f"{kind} says {event[name]!r:.100}, the deltas {said!r:.100}")
            held.finished[key] = said
        elif kind == "response.output_text.annotation.added":
            self.needs_part(held, "content_index", event)
            so_far = held.annotations.setdefault(event["content_index"], [])
            must(event["annotation_index"] == len(so_far), "annotation_index is not the next")
            so_far.append(event["annotation"])
        else:
            must(
                kind.startswith(f"response.{held.item['type']}"),
                f"{kind} in an item of type {held.item['type']}",
            )

    def part_added(self, held: Open, place: str, event: Json) -> None:
        index = event[place]
        must(
            not any(part is not None for part in held.parts.values()), "a part is added while another is open"
        )
        must(index == sum(1 for name, _ in held.parts if name == place), f"{place} {index} is not the next")
        must(
            not (event["part"].get("text") or event["part"].get("refusal")), "an added part already has text"
        )
        held.parts[place, index] = event["part"]

    def part_done(self, held: Open, place: str, event: Json) -> None:
        index = event[place]
        must(held.parts.get((place, index)) is not None, f"part done without its added ({place} {index})")
        part = event["part"]
        must(part["type"] == held.parts[place, index]["type"], "a part changed its type")  # type: ignore[index]
        text = part.get("text", part.get("refusal"))
        texts = [
            said for (delta, at), said in held.finished.items() if at == index and TEXTS[delta][2] == place
        ]
        must(texts == [text], f"a part of {text!r:.80} was told as {texts!r:.200}")
        if part["type"] == "output_text":
            must(
                part["annotations"] == held.annotations.get(index, []),
                "the part's annotations are not those told",
            )
        held.parts[place, index] = None
        held.done_parts[place, index] = part

    def needs_part(self, held: Open, place: str | None, event: Json) -> None:
        if place:
            must(
                held.parts.get((place, event[place])) is not None, f"{event['type']} outside of an open part"
            )

    def item_done(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        must(index in self.opened, f"output_item.done without added (output_index {index})")
        held = self.opened.pop(index)
        must(
            (item["id"], item["type"]) == (held.item["id"], held.item["type"]),
            "an item changed its id or type",
        )
        must(
            item.get("status") not in ("in_progress", None),
            f"a done {item['type']} has status {item.get('status')}",
        )
        must(
            not any(part is not None for part in held.parts.values()), "an item is done while a part is open"
        )
        for key in held.texts:
            # a hosted tool's item that was cut has no end of its own to tell
            cut = item.get("status") == "incomplete" and key[0] not in OURS
            must(key in held.finished or cut, f"{key[0]} has no done")
        for array, place in (("content", "content_index"), ("summary", "summary_index")):
            told = [part for (name, _), part in sorted(held.done_parts.items()) if name == place]
            if item["type"] == "message" or (item["type"] == "reasoning" and (told or array == "summary")):
                must(item.get(array, []) == told, f"{array} of a done {item['type']} is not what was told")
        for kind, name in (("function_call", "arguments"), ("custom_tool_call", "input")):
            if item["type"] == kind:
                delta = f"response.{kind}_{name}.delta"
                must((delta, None) in held.finished, f"a {kind} without its {name}.done")
                must(
                    item[name] == held.finished[delta, None], f"{name} of a done {kind} is not what was told"
                )
                must(
                    item["name"] == held.item["name"] and item["call_id"] == held.item["call_id"],
                    "a call changed",
                )
        self.done[index] = item


def check_stream(events: list[Json], *, error_event: bool = True) -> Json:
    """Raises IllegalStream at the first broken rule; returns the terminal snapshot of the response.

    `error_event`: whether response.failed comes after an `error` event, as in SSE, or alone, as in a WebSocket.
    """
    for number, event in enumerate(events):
        check_event(event)
        must(
            event["sequence_number"] == number,
            f"sequence_number {event['sequence_number']} at place {number}",
        )
    must(
        [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"],
        "it begins wrong",
    )
    must(events[0]["response"]["status"] == "queued", "created is not queued")
    must(events[1]["response"]["status"] == "in_progress", "in_progress is not in_progress")
    *middle, last = events[2:]
    must(last["type"] in TERMINAL, f"the last event is {last['type']}")
    response: Json = last["response"]
    if middle and middle[-1]["type"] == "error":
        must(error_event, "an error event, which would end the turn before response.failed does")
        must(last["type"] == "response.failed", "error is followed by something else than response.failed")
        error = middle.pop()["error"]
        for name in ("code", "message", "type"):
            must(error[name] == response["error"][name], f"error and response.failed differ in {name}")
    else:
        must(last["type"] != "response.failed" or not error_event, "response.failed without its error event")
    walk = Walk()
    for event in middle:
        walk.step(event)
    must(not walk.opened, f"items left open: {sorted(walk.opened)}")
    must(
        response["output"] == [walk.done[n] for n in sorted(walk.done)],
        "the output is not the items that were told",
    )
    for event in events[:2]:
        must(event["response"]["id"] == response["id"], "the response changed its id")
        must(
            event["response"]["output"] == [] and event["response"]["usage"] is None,
            "an early snapshot is not empty",
        )
        must(event["response"]["completed_at"] is None, "an early snapshot is completed")
    # There is no event type for a cancelled response: it ends with response.incomplete.
    cancelled = last["type"] == "response.incomplete" and response["status"] == "cancelled"
    check_end(response, "cancelled" if cancelled else TERMINAL[last["type"]])
    return response


def check_any_stream(events: list[Json]) -> Json:
    """As check_stream, but of a provider that may say anything: of items and annotations of kinds that are made up,
    which are told as they come, the schema knows nothing; then the numbers and the end are checked."""
    if not has_new_kinds(events[-1].get("response") or {}):
        return check_stream(events)
    numbers = [event["sequence_number"] for event in events]
    must(numbers == list(range(len(events))), "the events are not numbered one by one")
    ends = [event for event in events if event["type"] in TERMINAL]
    must(ends == events[-1:], "not one terminal event, last")
    response: Json = ends[0]["response"]
    return response


def check_any_end(response: Json) -> None:
    """As check_end, but of a provider that may say anything."""
    if not has_new_kinds(response):
        check_end(response)


def check_end(response: Json, status: str | None = None) -> None:
    """What holds for every finished response, streamed or not."""
    check_response(response)
    status = status or response["status"]
    must(status in (*TERMINAL.values(), "cancelled"), f"status {status} at the end")
    must(response["status"] == status, f"status {response['status']} in response.{status}")
    must((response["error"] is not None) == (status == "failed"), "error and status contradict each other")
    must(
        (response["incomplete_details"] is not None) == (status == "incomplete"),
        "incomplete_details and status",
    )
    must((response["completed_at"] is not None) == (status == "completed"), "completed_at and status")
    for place, item in enumerate(response["output"]):
        must(item["status"] != "in_progress", "an item is still in progress")
        if item["status"] == "incomplete":
            must(place == len(response["output"]) - 1, "an incomplete item is not the last")
            must(status in PARTIAL, f"an incomplete item in a {status} response")
    ids = [item["id"] for item in response["output"]]
    must(len(set(ids)) == len(ids), "item ids are not unique")
    calls = [
        item["call_id"]
        for item in response["output"]
        if item["type"] in ("function_call", "custom_tool_call")
    ]
    must(len(set(calls)) == len(calls), "call_ids are not unique")
    if usage := response["usage"]:
        must(
            usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"],
            "total_tokens is not the sum",
        )
