"""Packages import downwards only: what lies below knows nothing of what is built on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CORE = Path(__file__).parents[1] / "layers" / "core" / "openresponses"
# From the bottom.
PACKAGES = ("protocol", "adapters", "upstream", "store", "engine", "middleware", "explain", "http", "cli")
# What goes up all the same → why.
UPWARDS = {
    ("engine.middleware", "middleware"): "a turn's middlewares are loaded only where there are any",
    ("upstream.api_gateway", "store"): "it raises Gone, which stands beside the protocol that it implements",
}


def imports(path: Path) -> Iterator[list[str]]:
    """What a file imports of the gateway's own, late and for types too, as parts of dotted names below the core."""
    parts = list(path.relative_to(CORE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*parts[: len(parts) - node.level], *(node.module.split(".") if node.module else ())]
            yield from ([*base, alias.name] for alias in node.names)


def test_no_package_imports_one_above_it() -> None:
    upwards, seen = set(), 0
    for path in CORE.rglob("*.py"):
        name = path.relative_to(CORE).with_suffix("").parts
        if name[0] not in PACKAGES:
            continue
        for imported in imports(path):
            if imported[0] in PACKAGES:
                seen += 1
                if PACKAGES.index(imported[0]) > PACKAGES.index(name[0]):
                    upwards.add((".".join(name), imported[0]))
    assert seen > 500, "the imports were not found"
    assert upwards == set(UPWARDS)


def test_what_stands_beside_them_knows_no_front_door() -> None:
    """Routing, settings, telemetry and the like: used by all packages, and above none but the lowest."""
    for path in CORE.glob("*.py"):
        if path.name not in ("__main__.py", "__init__.py"):
            found = {imported[0] for imported in imports(path)}
            assert not found & {"store", "engine", "middleware", "explain", "http", "cli"}, path.name
