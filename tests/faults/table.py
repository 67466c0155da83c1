"""The matrix: every fault; with `outcomes.told`, every cell. The few that it cannot hold for are listed beside it."""

from __future__ import annotations

from .fault import Fault
from .frames import early_ends, errors_in_200, frames, same_frames, same_json
from .messages import codings, http, statuses
from .stops import stops

FAMILIES: dict[str, tuple[Fault, ...]] = {
    family.__name__: tuple(family())
    for family in (stops, http, codings, frames, same_frames, same_json, errors_in_200, early_ends, statuses)
}
FAULTS: tuple[Fault, ...] = tuple(fault for family in FAMILIES.values() for fault in family)
# (fault, dialect): why its cells are otherwise, whatever the gateway does. docs/faults.md says so, too.
SAID_ON = "Gemini's answer may go on after its finishReason, so what is sent twice is said twice"
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("sends its end twice", "gemini"): SAID_ON,
    ("sends its answer twice", "gemini"): SAID_ON,
}
