"""When a turn must have ended, on the event loop's clock."""

from __future__ import annotations

from ..settings import Settings

# Seconds before the process's deadline at which a turn ends itself: time to store and to say so.
DEADLINE_MARGIN = 10.0


def turn_deadline(
    settings: Settings, begun: float, process_deadline: float | None, *, streaming: bool
) -> float:
    """The earliest of what the process and the settings allow a turn that has `begun` then."""
    limits = [begun + settings.max_turn_seconds]
    if process_deadline is not None:
        limits.append(process_deadline - DEADLINE_MARGIN)
    if settings.max_json_seconds is not None and not streaming:
        limits.append(begun + settings.max_json_seconds)
    return min(limits)
