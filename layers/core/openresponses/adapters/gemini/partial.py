"""Arguments of a function call that come in pieces, each with the JSON path of its value.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling (streaming arguments).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from ..base import Json

STEP = re.compile(r"""\.?([^.\[\]$]+)|\[(\d+)\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]""")
VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
MAX_INDEX = 100_000


def place(target: Json, piece: Json) -> None:
    """Puts a piece into `target`; pieces of one string are joined."""
    steps = _steps(piece.get("jsonPath") or "")
    if not steps:
        return
    here: Any = target
    for step, following in pairwise(steps):
        here = _child(here, step, [] if isinstance(following, int) else {})
    name = next((name for name in VALUES if name in piece), "nullValue")
    value = None if name == "nullValue" else piece[name]
    last = steps[-1]
    before = _child(here, last, "" if isinstance(value, str) else None)
    here[last] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index, single, double in STEP.findall(path.removeprefix("$")):
        if index:
            steps.append(min(int(index), MAX_INDEX))
        else:
            steps.append(name or re.sub(r"\\(.)", r"\1", single or double))
    return steps


def _child(parent: Any, step: str | int, empty: Any) -> Any:
    """What stands at a step, `empty` put there first if nothing does."""
    if isinstance(step, int):
        while len(parent) <= step:
            parent.append(None)
        if parent[step] is None:
            parent[step] = empty
    elif step not in parent:
        parent[step] = empty
    return parent[step]
