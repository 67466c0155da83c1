"""Events as frames of limited size, for a connection that somebody else holds and that takes one frame a call.

Deltas that came together are one frame, a delta that is too large is several, so the frames have sequence numbers of
their own. A snapshot that is too large drops what the client has: its tools, its instructions, and at the end the
output, whose items were sent. What is too large by itself cannot be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from ..protocol.errors import ApiError

Json = dict[str, Any]

PIECE_CHARACTERS = 16_384  # of a delta; as JSON at most six times as many bytes
OPTIONAL: tuple[tuple[str, Any], ...] = (("tools", []), ("instructions", None), ("output", []))
OWN = ("delta", "logprobs", "sequence_number")  # what differs between two deltas of one text


class Frames:
    """The frames of one turn. `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sequence = 0
        self._snapshot: Json = {}

    def of(self, events: list[Json]) -> Iterator[bytes]:
        """The frames of events that came together. Raises ApiError "message_too_large" at one that cannot be sent."""
        for event in events:
            self._snapshot = event.get("response", self._snapshot)
        for event in _split(_merged(events)):
            yield self._frame(event)

    def failed(self, error: ApiError) -> bytes:
        """The end of a turn that was begun and cannot be sent to its end."""
        ended: Json = {
            "status": "failed",
            "error": error.in_response(),
            "completed_at": None,
            "incomplete_details": None,
            "output": [],
        }
        return self._frame(
            {"type": "response.failed", "sequence_number": 0, "response": {**self._snapshot, **ended}}
        )

    def _frame(self, event: Json) -> bytes:
        if "sequence_number" in event:  # an error envelope has none
            event = {**event, "sequence_number": self._sequence}
        data = orjson.dumps(event)
        if len(data) > self._limit:
            data = self._shrunk(event)
        self._sequence += 1
        return data

    def _shrunk(self, event: Json) -> bytes:
        snapshot = event.get("response", {})
        for field, empty in OPTIONAL if snapshot else ():
            snapshot = {**snapshot, field: empty}
            data = orjson.dumps({**event, "response": snapshot})
            if len(data) <= self._limit:
                return data
        message = (
            f"'{event['type']}' is over {self._limit} bytes, which no message of this connection may be."
        )
        raise ApiError("message_too_large", message)


def _merged(events: list[Json]) -> Iterator[Json]:
    """The events, with deltas of one text that follow each other made one."""
    held: Json | None = None
    for event in events:
        if held is not None and _continues(held, event):
            held = {**held, "delta": held["delta"] + event["delta"]}
            if "logprobs" in event:
                held["logprobs"] = [*held["logprobs"], *event["logprobs"]]
            continue
        if held is not None:
            yield held
        held = event
    if held is not None:
        yield held


def _continues(held: Json, event: Json) -> bool:
    if not isinstance(event.get("delta"), str) or event["type"] != held["type"]:
        return False
    place = {key: value for key, value in event.items() if key not in OWN}
    return all(held[key] == value for key, value in place.items()) and len(held["delta"]) < PIECE_CHARACTERS


def _split(events: Iterable[Json]) -> Iterator[Json]:
    for event in events:
        delta = event.get("delta")
        if not isinstance(delta, str) or len(delta) <= PIECE_CHARACTERS:
            yield event
            continue
        for start in range(0, len(delta), PIECE_CHARACTERS):
            yield {**event, "delta": delta[start : start + PIECE_CHARACTERS]}
            event = {**event, "logprobs": []} if "logprobs" in event else event
