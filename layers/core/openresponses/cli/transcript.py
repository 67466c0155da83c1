"""A conversation on disk: as JSON with its responses whole, or as Markdown to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from .base import CommandError

Json = dict[str, Any]


class Turn(NamedTuple):
    """What was said, what was answered, and the last response of the turn."""

    said: str
    answer: str
    response: Json


def saved(path: str, turns: list[Turn], instructions: str | None) -> None:
    """Writes the conversation. Raises CommandError where it cannot."""
    text = as_json(turns, instructions) if path.endswith(".json") else as_markdown(turns, instructions)
    try:
        Path(path).expanduser().write_text(text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None


def as_json(turns: list[Turn], instructions: str | None) -> str:
    rows = [turn._asdict() for turn in turns]
    return json.dumps({"instructions": instructions, "turns": rows}, indent=2, ensure_ascii=False) + "\n"


def as_markdown(turns: list[Turn], instructions: str | None) -> str:
    parts = [f"> {instructions}"] if instructions else []
    for turn in turns:
        parts += ["**You**", turn.said, f"**{turn.response['model']}**", turn.answer]
    return "\n\n".join(part for part in parts if part) + "\n"
