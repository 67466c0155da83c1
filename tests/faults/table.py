"""The matrix: every fault; with `outcomes.told`, every cell. What is not as it should be yet is listed beside it."""

from __future__ import annotations

from .fault import Fault
from .frames import early_ends, errors_in_200, frames
from .messages import codings, http, statuses
from .stops import stops

FAMILIES: dict[str, tuple[Fault, ...]] = {
    family.__name__: tuple(family())
    for family in (stops, http, codings, frames, errors_in_200, early_ends, statuses)
}
FAULTS: tuple[Fault, ...] = tuple(fault for family in FAMILIES.values() for fault in family)
# (fault, dialect): why. A cell that holds after all fails until it is taken out of here.
AFTER_FINISH = "Gemini's answer goes on after its finishReason"
PENDING: dict[tuple[str, str], str] = {
    **{(name, "gemini"): AFTER_FINISH
       for name in ("sends its end twice", "sends its answer twice", "sends garbage after its end")},
}  # fmt: skip
