"""The last response of each gateway, for `ask --continue`: ids only, in the user's state folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .base import CommandError
from .gateway import Target

LOCAL = "local"  # the local server and the gateway within a command share their history


def remember(target: Target, response_id: str) -> None:
    """What cannot be noted is not worth an error: --previous still works."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump({**_known(), (target.url or LOCAL): response_id}, file)
    except OSError:
        return


def last(target: Target) -> str:
    """Raises CommandError if there is none."""
    found = _known().get(target.url or LOCAL)
    if found is None:
        raise CommandError("there is no answer to continue: ask something first, or name one with --previous")
    return found


def _known() -> dict[str, str]:
    try:
        found = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path() -> Path:
    from platformdirs import user_state_path

    return user_state_path("openresponses", appauthor=False) / "last.json"
