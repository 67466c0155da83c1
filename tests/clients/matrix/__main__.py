"""`python -m tests.clients.matrix [pytest options]` runs the matrix; a whole run writes its table: docs/clients.md."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from .clients import CLIENTS, ROOT
from .scenarios import FAMILIES, SCENARIOS

PAGE = ROOT / "docs/clients.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
INITIALS = {"openai": "O", "anthropic": "A", "gemini": "G", "ollama": "L"}


class Results:
    """A pytest plugin that keeps the outcome of every cell."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, str], str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        for name, cell in report.user_properties:
            if name == "cell" and (report.when == "call" or report.outcome != "passed"):
                self.outcomes[tuple(cell)] = report.outcome

    @property
    def whole(self) -> bool:
        return len(self.outcomes) == len(CLIENTS) * len(FAMILIES) * len(SCENARIOS)

    def table(self) -> list[str]:
        """A row a client, a column a scenario: ✓, – (the client cannot), or the families where it fails."""
        names = [scenario.name for scenario in SCENARIOS]
        lines = [
            f"| | {' | '.join(name.replace('_', ' ') for name in names)} |",
            "|---" * (len(names) + 1) + "|",
        ]
        for client in CLIENTS:
            cells = [self._cell(client.name, name) for name in names]
            lines.append(f"| {client.name} | {' | '.join(cells)} |")
        return lines

    def _cell(self, client: str, name: str) -> str:
        by_outcome = defaultdict(list)
        for family in FAMILIES:
            by_outcome[self.outcomes[client, family, name]].append(INITIALS[family])
        if failed := by_outcome["failed"]:
            return "✗ " + "".join(failed)
        return "–" if by_outcome["skipped"] else "✓"


def reasons() -> list[str]:
    """What the dashes mean."""
    return [f"- {client.name}, {name}: {why}." for client in CLIENTS for name, why in client.without.items()]


def write(results: Results) -> None:
    text = PAGE.read_text()
    block = "\n".join([BEGIN, *results.table(), "", *reasons(), END])
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.DOTALL))


if __name__ == "__main__":
    found = Results()
    code = pytest.main([str(Path(__file__).parent / "matrix.py"), *sys.argv[1:]], plugins=[found])
    if found.whole:
        write(found)
    sys.exit(code)
