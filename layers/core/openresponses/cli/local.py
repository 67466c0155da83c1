"""What is on this machine: the environment, the history's file, and the gateway that is made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings import Settings
from .base import CommandError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

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


def open_store(path: str, settings: Settings, hint: str = "choose a file with --store") -> SQLiteStore:
    """The history at `path`. Raises CommandError, which ends with the hint."""
    from ..store.base import StoreUnavailable
    from ..store.sqlite import SQLiteStore

    try:
        return SQLiteStore(path, int(settings.history_ttl_days * 86400))
    except StoreUnavailable as error:
        raise CommandError(f"the history cannot be opened: {error}; {hint}.") from None


def secrets_path(store: str) -> Path:
    """Where `openresponses secrets set --store` keeps providers' keys: beside the history."""
    return Path(f"{store}.secrets.json")


def gateway_app(settings: Settings, environ: Mapping[str, str]) -> ASGIApp:
    """The gateway of `openresponses serve` on the default history, for its owner: nobody is asked for a key."""
    from ..http.app import create_app
    from ..sealing import Sealer, file_keys
    from ..secrets import FileSecrets

    path = history_path(None)
    secrets = FileSecrets(secrets_path(path), environ)
    sealer = Sealer(file_keys(Path(f"{path}.key")))
    hint = "set XDG_DATA_HOME to a folder that you can write to"
    return create_app(settings, open_store(path, settings, hint), secrets, sealer=sealer)
