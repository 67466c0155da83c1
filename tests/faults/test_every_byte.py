"""A provider that dies at any byte of its answer: a legal end, what was said is kept, and nothing is called complete
that was not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import pytest

from ..support.client import Client
from .conftest import Matrix
from .fault import INVALID, UNAVAILABLE
from .runner import Asker, Seen, all_closed, at_once
from .wire import DIALECTS, END, Dialect, chunk, head_of, sends

EARLY = {UNAVAILABLE, INVALID}


def places(dialect: Dialect, *, every: bool) -> Iterator[int]:
    size = len(whole(dialect))
    return iter(range(size + 1) if every else random.Random(dialect.name).sample(range(size + 1), 4))


def whole(dialect: Dialect) -> bytes:
    return head_of(dialect) + b"".join(map(chunk, dialect.frames)) + END


def problem(dialect: Dialect, place: int, seen: Seen) -> str:
    end_begins = len(head_of(dialect)) + sum(len(chunk(frame)) for frame in dialect.frames[: dialect.last])
    told = seen.told
    if told.how == "completed":
        wrong = place <= end_begins
    else:
        wrong = (
            told.how not in ("failed", "refused") or told.code not in EARLY or place == len(whole(dialect))
        )
    if wrong or seen.problems:
        return f"{dialect.name}, byte {place}: {told} {seen.problems}"
    return ""


def die(matrix: Matrix, *, every: bool) -> None:
    asker = Asker(Client(matrix.patient.url, matrix.http), matrix.board, matrix.patient.stored_models)
    cells = [(dialect, place) for dialect in DIALECTS.values() for place in places(dialect, every=every)]
    models = [matrix.board.add(sends(whole(dialect)[:place])(dialect)) for dialect, place in cells]
    modes = ["stream" if every or n % 2 else "json" for n in range(len(cells))]
    seen = at_once(
        [
            partial(asker.ask, f"failing-{dialect.name}", model, mode)
            for (dialect, _), model, mode in zip(cells, models, modes, strict=True)
        ]
    )
    all_closed(matrix.provider)
    wrong = [found for cell, one in zip(cells, seen, strict=True) if (found := problem(*cell, one))]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_death_at_some_bytes(matrix: Matrix) -> None:
    die(matrix, every=False)


@pytest.mark.slow
def test_death_at_every_byte(matrix: Matrix) -> None:
    die(matrix, every=True)
