"""The table of a replay: of how many records is nothing lost, by provider and tag. `python -m tests.traces.report`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

PROVIDERS = ("anthropic", "gemini", "openai", "ollama", "chat")
TAGS_OPTION = "--trace-tags"
# What the tests note of a record → the heading of its table.
TABLES = {
    "record": "recorded answers, told without loss",
    "request": "recorded requests, passed on without loss",
}


def table(results: Iterable[tuple[str, list[str], bool]], *, tags: bool) -> Iterator[str]:
    """Lines of the table, from (provider, tags, passed) of each record."""
    passed: dict[str, Counter[str]] = defaultdict(Counter)
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for provider, record_tags, good in results:
        for row in {"all records", *record_tags}:
            total[row][provider] += 1
            passed[row][provider] += good
    rows = ["all records", *sorted(set(total) - {"all records"})] if tags else ["all records"]
    width = max(map(len, rows))
    yield f"{'':{width}}  " + "".join(f"{provider:>12}" for provider in PROVIDERS)
    for row in rows:
        cells = (f"{passed[row][p]}/{total[row][p]}" if total[row][p] else "-" for p in PROVIDERS)
        yield f"{row:{width}}  " + "".join(f"{cell:>12}" for cell in cells)


def results_of(note: str, reports: Iterable[Any]) -> Iterator[tuple[str, list[str], bool]]:
    """What the tests noted of each record under this name, in the test reports of a run."""
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == note and report.when == "call":
                yield value["provider"], value["tags"], value.get("passed", report.passed)


def not_applicable() -> Iterator[str]:
    from .records import RECORDS

    for record in RECORDS:
        if record.not_applicable:
            yield f"{record.id}: {record.not_applicable}"


if __name__ == "__main__":
    import pytest

    status = pytest.main(["tests/traces", "-q", TAGS_OPTION, "-m", "not slow", *sys.argv[1:]])
    print("\nnot applicable:", *not_applicable(), sep="\n  ")
    sys.exit(status)
