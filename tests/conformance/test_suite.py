"""What runs the official suite: its verdicts, its table, and that every route of the table has its player."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openresponses.catalog import Catalog

from . import suite


def report(**cases: str) -> dict[str, Any]:
    results = [{"name": name.replace("_", " "), "status": status} for name, status in cases.items()]
    passed = sum(one["status"] == "passed" for one in results)
    return {"summary": {"passed": passed, "total": len(results)}, "results": results}


def test_every_provider_has_a_route() -> None:
    routes = {route.partition("/")[0] for route in suite.ROUTES}
    assert routes == set(Catalog.load(None).providers) - {
        "lmstudio"
    }  # the same API as vLLM's, at another address


@pytest.mark.parametrize(
    ("route", "found", "holds"),
    [
        ("echo", report(Basic="passed", Tools="passed"), True),
        ("echo", report(Basic="passed", Tools="failed"), False),
        ("echo", report(Basic="passed", Tools="skipped"), False),
        ("echo", report(), False),
        ("deepseek/test-model", report(Image_Input="failed"), True),
        ("echo", report(Image_Input="failed"), False),
    ],
)
def test_a_route_holds(route: str, found: dict[str, Any], holds: bool) -> None:
    assert suite.holds(route, found) is holds


def test_the_table_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{suite.BEGIN}\nold\n{suite.END}\nafter\n")
    suite.write(page, [suite.row("echo", report(Basic="passed", Tools="failed"))])
    assert "| `echo` | 1 of 2 | Tools: failed |" in page.read_text()
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")


def test_without_a_suite_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main([""]) == 2
    assert "make conformance SUITE=" in capsys.readouterr().err


def test_the_table_of_the_docs_has_every_route() -> None:
    text = suite.PAGE.read_text()
    assert all(f"| `{route}` | 17 of 17 |" in text for route in suite.ROUTES if route not in suite.WITHOUT)
    assert all(f"| `{route}` | 16 of 17 | {why}" in text for route, why in (
        (route, next(f"{name}: {reason}" for name, reason in known.items())) for route, known in suite.WITHOUT.items()
    ))  # fmt: skip
