"""The matrix fault × provider × mode: every cell ends as the table says, and what is stored is what was told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .conftest import Matrix
from .fault import Fault
from .outcomes import MODES, told
from .runner import Seen
from .table import EXCEPTIONS, FAMILIES, FAULTS
from .wire import Dialect

Cell = tuple[Fault, Dialect, str]
SAMPLE = 30  # about as many faults of a family, at the least


def cells(faults: Sequence[Fault]) -> list[Cell]:
    """Every cell of these faults."""
    return [(fault, dialect, mode) for fault in faults for dialect in fault.dialects() for mode in MODES]


def sample(faults: Sequence[Fault]) -> list[Cell]:
    """One cell of each fault, of many faults of those spread over them: neighbours meet other providers in other
    modes."""
    found = []
    for fault in faults[:: max(1, len(faults) // SAMPLE)]:
        number, dialects = FAULTS.index(fault), fault.dialects()
        found.append((fault, dialects[number % len(dialects)], MODES[(number // len(dialects)) % len(MODES)]))
    return found


def check(matrix: Matrix, wanted: list[Cell]) -> None:
    wrong = []
    for (fault, dialect, mode), seen in zip(wanted, matrix.run(wanted), strict=True):
        problem = difference(fault, dialect, mode, seen)
        if (fault.name, dialect.name) in EXCEPTIONS:
            problem = "" if problem else "it holds: it is no exception"
        if problem:
            wrong.append(f"{fault.name} | {dialect.name} | {mode}: {problem}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def difference(fault: Fault, dialect: Dialect, mode: str, seen: Seen) -> str:
    end = fault.end_of(dialect)
    wanted, found = told(end, mode), seen.told
    if wanted.attempts is None:
        found = found._replace(attempts=None)
    if found != wanted:
        return f"{found} instead of {wanted} {seen.problems or ''}"
    if found.how != "refused" and not seen.text.startswith(end.text):
        return f"the text {seen.text!r} lacks {end.text!r}"
    return "; ".join(seen.problems)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sample_of_the_matrix(matrix: Matrix, family: str) -> None:
    check(matrix, sample(FAMILIES[family]))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_matrix(matrix: Matrix, fault: Fault) -> None:
    check(matrix, cells([fault]))


def test_every_exception_is_in_the_matrix() -> None:
    names = {fault.name for fault in FAULTS}
    assert len(names) == len(FAULTS), "two faults have the same name"
    assert {name for name, _ in EXCEPTIONS} <= names
