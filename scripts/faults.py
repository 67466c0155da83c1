"""The page docs/faults.md from the fault matrix of the tests."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.fault import Fault
from tests.faults.outcomes import End, told
from tests.faults.table import FAMILIES
from tests.faults.wire import DIALECTS

HEAD = ("The provider …", "Stream, WebSocket", "Not streamed", "In background", "Attempts")


def rows() -> Iterator[tuple[str, ...]]:
    """One row a fault, and one for the providers that end otherwise; error bodies of a provider's own are left out."""
    for name, family in FAMILIES.items():
        for fault in family:
            if name == "statuses" and fault.only is not None:
                continue
            yield _row(fault.name, fault.end)
            for end, names in _others(fault):
                yield _row(f"the same, {', '.join(names)}", end)


def _others(fault: Fault) -> list[tuple[End, list[str]]]:
    found: dict[End, list[str]] = {}
    for name in DIALECTS:
        if name in fault.but:
            found.setdefault(fault.but[name], []).append(name)
    return list(found.items())


def _row(name: str, end: End) -> tuple[str, ...]:
    attempts = "" if end.attempts is None else str(end.attempts)
    return name, *(_cell(end, mode) for mode in ("stream", "json", "background")), attempts


def _cell(end: End, mode: str) -> str:
    cell = told(end, mode)
    code = f" `{cell.code}`" if cell.code else ""
    return f"{cell.status if cell.how == 'refused' else cell.how}{code}"
