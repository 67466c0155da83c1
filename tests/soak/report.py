"""The table of a soak, and what in it is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from .clients import Clients
from .process import Process

GROWTH = 1.10  # of memory, after the warm-up
SETTLED = 10.0  # seconds for what is under way to end

Row = tuple[str, str, str, bool]  # what, wanted, found, whether it holds


def ends(clients: Clients) -> list[Row]:
    told = {**clients.ended}
    lost = told.pop("lost", 0)
    rows = [(f"answers {name}", "", f"{number:,}", True) for name, number in sorted(told.items())]
    return [*rows, ("terminal events lost", "0", str(lost), lost == 0)]


def held(what: str, before: int, after: int) -> Row:
    return f"{what}: before, after", f"≤ {before}", f"{before}, {after}", after <= before


def memory(processes: Sequence[Process]) -> Row:
    growths = [process.growth() for process in processes]
    warm, end = (sum(values) for values in zip(*growths, strict=True))
    wanted = f"≤ {GROWTH:.0%} of warm"
    return "memory: warm, at the end", wanted, f"{warm:.1f}, {end:.1f} MB", end <= warm * GROWTH


def report(title: str, rows: Sequence[Row], clients: Clients) -> list[str]:
    """Prints the table; what is wrong."""
    print(f"\n{title}\n\n| | wanted | found | |\n|---|---|---:|---|")
    for what, wanted, found, holds in rows:
        print(f"| {what} | {wanted} | {found} | {'' if holds else 'WRONG'} |")
    print(flush=True)
    return [f"{what}: {found}" for what, _, found, holds in rows if not holds] + clients.wrong


def settle(condition: Callable[[], bool]) -> None:
    """Returns when it holds, or will not hold any more."""
    end = time.monotonic() + SETTLED
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
