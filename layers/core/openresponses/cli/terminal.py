"""What the terminal shows: tables, dimmed text, progress. Plain where the output is no terminal, or NO_COLOR is set.

Text of models is data: on a terminal it comes without control characters, so that it cannot move the cursor, rename
the window or fake what stands above it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 1000  # columns of what is no terminal: nothing is cut or wrapped there
CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]) | {ord(kept): kept for kept in "\n\t"}
SHOWN = 200  # characters of a text within a request that is shown to a person


@cache
def console(stderr: bool = False) -> Console:
    """The console of standard output, or of standard error."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, emoji=False, markup=False, width=None if stream.isatty() else WIDE
    )


def write(text: str, style: str = "", *, stderr: bool = False) -> None:
    """Writes a piece of text at once, as it is; on a terminal in this style and without control characters."""
    to = console(stderr)
    if to.is_terminal:
        to.out(text.translate(CONTROLS), style=style or None, highlight=False, end="")
    else:
        to.file.write(text)
    to.file.flush()


def note(text: str) -> None:
    """A line for a person at the terminal, beside the output; for nobody else."""
    if sys.stderr.isatty():
        write(f"{text}\n", "dim", stderr=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], styles: dict[str, str] | None = None) -> None:
    """A table; `styles` are those of cells with exactly this text."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in head:
        shown.add_column(name, overflow="fold")  # not cut: names are there to be copied
    for row in rows:
        shown.add_row(*(Text(cell.translate(CONTROLS), style=(styles or {}).get(cell, "")) for cell in row))
    console().print(shown)


@contextmanager
def progress(what: str) -> Iterator[Any]:
    """Shows on standard error that something is being done, while it lasts; only on a terminal. What it gives is called
    with words that say how far it is."""
    if not sys.stderr.isatty() or console(stderr=True).is_dumb_terminal:
        yield lambda words: None
        return
    with console(stderr=True).status(what) as status:
        yield lambda words: status.update(f"{what}: {words}")


def shortened(value: Any) -> Any:
    """JSON with its long texts cut, for a person to look at."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    if isinstance(value, str) and len(value) > SHOWN:
        return f"{value[:SHOWN]}… ({len(value)} characters)"
    return value
