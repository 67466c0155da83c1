"""What is on this machine: the environment, the history's file, and the gateway that is made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings import Settings
from .base import CommandError

if TYPE_CHECKING:
    from ..store.sqlite import SQLiteStore

MEMORY = ":memory:"


def environment() -> dict[str, str]:
    """The environment on top of the file `.env` in the current folder; empty variables count as not set."""
    from dotenv import dotenv_values

    try:
        file = dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the file .env cannot be read: {error}") from None
    return {name: value for name, value in {**file, **_non_empty(os.environ)}.items() if value}


def _non_empty(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value}


def history_path(given: str | None) -> str:
    """Where the history is: in the file that was `given`, in memory, else in the user's data folder."""
    if given is None:
        from platformdirs import user_data_path

        return str(user_data_path("openresponses", appauthor=False) / "history.db")
    return given if given == MEMORY else str(Path(given).expanduser())


def open_store(path: str, settings: Settings) -> SQLiteStore:
    """The history at `path`."""
    from ..store.base import StoreUnavailable
    from ..store.sqlite import SQLiteStore

    try:
        return SQLiteStore(path, int(settings.history_ttl_days * 86400))
    except StoreUnavailable as error:
        raise CommandError(f"the history cannot be opened: {error}; choose a file with --store.") from None


def secrets_path(store: str) -> Path:
    """Where `openresponses secrets set --store` keeps providers' keys: beside the history."""
    return Path(f"{store}.secrets.json")
