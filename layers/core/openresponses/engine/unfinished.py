"""An answer that nobody will finish: what its stored events tell of it, and the events that close it.

Whoever made it is gone, and its assembler with it. The stored events are folded into items, and what is open is closed
as the assembler would have done it. Provider state that the client did not ask for is lost.
"""

from __future__ import annotations

from typing import Any

from ..protocol.errors import ApiError
from ..protocol.texts import CALLS, HOSTED, PARTS, RAW_REASONING, text_of_part

Json = dict[str, Any]
Event = dict[str, Any]

# Type of a delta event → the text that it is a piece of.
TEXTS = {text.delta: text for text in (*PARTS.values(), *RAW_REASONING.values(), *CALLS.values(), *HOSTED)}
TEXT_DONES = {text.done: text for text in TEXTS.values()}
# Type of a part's first event → its last one, the array of the item it stands in, and its place there.
PART_EVENTS = {
    "response.content_part.added": ("response.content_part.done", "content", "content_index"),
    "response.reasoning_summary_part.added": (
        "response.reasoning_summary_part.done",
        "summary",
        "summary_index",
    ),
}
PART_DONES = {done: array for done, array, _ in PART_EVENTS.values()}
# Calls whose text is told although there is none.
OWN_CALLS = ("function_call", "custom_tool_call")


class OpenItem:
    """An item between its added and its done event, with at most one open part and one open text."""

    def __init__(self, item: Json, reasoning_events: str) -> None:
        self.item = {**item}
        self.part: Event | None = None  # the added event of the open part
        self.text = CALLS[item["type"]] if item["type"] in OWN_CALLS else None  # the open one
        self._reasoning_events = reasoning_events
        self.pieces: list[str] = []
        self.told = False  # whether the whole text was told
        self.annotations: list[Json] = []

    def see(self, event: Event) -> None:
        kind = event["type"]
        if kind in TEXTS:
            self.text = TEXTS[kind]
            self.pieces.append(event["delta"])
        elif kind in TEXT_DONES:
            self.told = True
            if self.part is None:
                text = TEXT_DONES[kind]
                self.item = text.held(self.item, event[text.field])
        elif kind in PART_EVENTS:
            self.part, self.told = event, False
            self.text = text_of_part(event["part"]["type"], self._reasoning_events)
            self.pieces, self.annotations = [], []
        elif kind in PART_DONES:
            array = PART_DONES[kind]
            self.item[array] = [*self.item.get(array, ()), event["part"]]
            self.part = self.text = None
        elif kind == "response.output_text.annotation.added":
            self.annotations.append(event["annotation"])

    def closing(self, index: int, status: str) -> list[Event]:
        """The events that close the item with `status`, without sequence numbers."""
        place = {"item_id": self.item["id"], "output_index": index}
        events = self._part_closing(self.part, place) if self.part else []
        if not events and self.text and not self.told:
            events.append({"type": self.text.done, **place, self.text.field: "".join(self.pieces)})
        for event in events:
            self.see(event)
        self.item["status"] = status
        return [*events, {"type": "response.output_item.done", "output_index": index, "item": self.item}]

    def _part_closing(self, added: Event, place: Json) -> list[Event]:
        done, _, position = PART_EVENTS[added["type"]]
        place = {**place, position: added[position]}
        assert self.text is not None
        field = self.text.field
        part = {**added["part"], field: "".join(self.pieces)}
        text = {"type": self.text.done, **place, field: part[field]}
        if part["type"] == "output_text":
            part["annotations"] = self.annotations
            text["logprobs"] = part["logprobs"]
        whole = {"type": done, **place, "part": part}
        return [whole] if self.told else [text, whole]


class Unfinished:
    """Folds the events of `response`, the queued one, as they are stored. `reasoning_events` is the setting."""

    def __init__(self, response: Json, reasoning_events: str) -> None:
        self._reasoning_events = reasoning_events
        self.response = {**response, "output": []}
        self.sequence = 0  # of the next event
        self._done: dict[int, Json] = {}
        self._open: dict[int, OpenItem] = {}

    def see(self, event: Event) -> None:
        self.sequence = event["sequence_number"] + 1
        kind, index = event["type"], event.get("output_index")
        if kind == "response.output_item.added":
            self._open[event["output_index"]] = OpenItem(event["item"], self._reasoning_events)
        elif kind == "response.output_item.done":
            self._open.pop(event["output_index"], None)
            self._done[event["output_index"]] = event["item"]
        elif kind == "response.in_progress":
            self.response |= event["response"]
        elif index in self._open:
            self._open[index].see(event)

    def close(self, error: ApiError | None) -> list[Event]:
        """The events that end it, the terminal one last: failed with `error`, or cancelled."""
        events: list[Event] = []
        if self.sequence == 0:
            events.append({"type": "response.created", "response": {**self.response}})
        if self.response["status"] == "queued":
            self.response["status"] = "in_progress"
            events.append({"type": "response.in_progress", "response": {**self.response}})
        last = max((*self._open, *self._done), default=0)
        for index in sorted(self._open):
            closing = self._open[index].closing(index, "incomplete" if index == last else "completed")
            self._done[index] = closing[-1]["item"]
            events += closing
        self._open.clear()
        self.response["output"] = [self._done[index] for index in sorted(self._done)]
        if error:
            events.append({"type": "error", "error": error.body()})
            self.response |= {"status": "failed", "error": error.in_response()}
        else:
            self.response["status"] = "cancelled"
        kind = "response.failed" if error else "response.incomplete"
        events.append({"type": kind, "response": self.response})
        return [
            {"type": event.pop("type"), "sequence_number": number, **event}
            for number, event in enumerate(events, self.sequence)
        ]
