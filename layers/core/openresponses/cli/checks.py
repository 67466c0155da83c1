"""What `doctor` looks at on this machine. Each check gives findings; none raises for what it finds."""

from __future__ import annotations

import asyncio
import errno
import os
import platform
import shutil
import socket
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import __version__
from ..settings import TABLE, Settings, SettingsError
from . import local
from .base import CommandError
from .gateway import is_running

if TYPE_CHECKING:
    from ..catalog import Provider
    from ..routing import Router
    from ..secrets import Secrets

LOCAL_PORT = 4000
OURS = "OPENRESPONSES_"
# Every variable of ours: the settings, and what the commands read besides.
KNOWN = frozenset((*(row.variable for row in TABLE), f"{OURS}API_KEY", f"{OURS}MODEL", f"{OURS}URL"))
PROVIDER_SECONDS = 5.0
LOCK_SECONDS = 1.0
SCARCE_BYTES, NONE_LEFT_BYTES = 500_000_000, 5_000_000  # of free disk: then a warning; then writes fail


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and the next step where there is one."""

    status: Literal["ok", "warn", "fail"]
    what: str
    detail: str
    next: str = ""


def _unknown(name: str) -> Finding:
    near = get_close_matches(name, KNOWN, n=1)
    step = "see all of them in docs/configuration.md and docs/cli.md"
    return Finding(
        "warn",
        "settings",
        f"{name} is not a setting and has no effect",
        f"did you mean {near[0]}? Or {step}" if near else step,
    )


def versions() -> Finding:
    python = platform.python_version()
    detail = f"openresponses {__version__}, Python {python}, {platform.system()} {platform.machine()}"
    return Finding("ok", "versions", detail)


def configuration() -> list[Finding]:
    """The settings, and the tables that they name."""
    try:
        environ = local.environment()
        settings = Settings.load(environ)
    except (SettingsError, CommandError) as error:
        return [Finding("fail", "settings", str(error), "correct it in the environment or in .env")]
    given = [row.variable for row in TABLE if environ.get(row.variable)]
    dotenv = ", .env is read" if Path(".env").is_file() else ""
    found = [
        Finding("ok", "settings", (", ".join(given) or "all as by default") + dotenv),
        *(_unknown(name) for name in sorted(environ) if name.startswith(OURS) and name not in KNOWN),
    ]
    from ..routing import Router

    try:
        Router(settings).check()
    except SettingsError as error:
        return [
            *found,
            Finding("fail", "models and routes", str(error), "correct the file, or OPENRESPONSES_CONFIG"),
        ]
    tables = f"with {settings.config_path}" if settings.config_path else "those that are built in"
    return [*found, Finding("ok", "models and routes", tables)]


# --------------------------------------------------------------------------- providers


async def providers(store: str | None) -> list[Finding]:
    """Every provider that is configured is asked; side by side."""
    from ..routing import Router
    from ..secrets import FileSecrets

    try:
        environ = local.environment()
        router = Router(Settings.load(environ))
        rows = list(router.providers.values())
    except (SettingsError, CommandError):
        return []  # told as settings
    secrets = FileSecrets(local.secrets_path(local.history_path(store)), environ)
    rows = [row for row in rows if row.adapter != "echo" and await router.is_configured(row, secrets)]
    found = await asyncio.gather(*(_provider(router, row, secrets) for row in rows))
    if any(row.key_required for row in rows):
        return list(found)
    step = "set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY, ... in the environment or in .env"
    return [*found, Finding("warn", "providers", "none has a key: only echo and local models answer", step)]


async def _provider(router: Router, provider: Provider, secrets: Secrets) -> Finding:
    from .providers import asked

    name = provider.name
    if provider.auth == "sigv4":
        return Finding("ok", name, "signed by IAM; not asked")
    kind, words = await asked(router, provider, secrets, PROVIDER_SECONDS)
    if kind == "accepts":
        return Finding("ok", name, "answers" + (", the key is accepted" if provider.key_required else ""))
    if kind == "refuses":
        return Finding("fail", name, words, f"correct {provider.key_variable}")
    if kind == "unreachable":
        if not provider.key_required and not await secrets.get(provider.base_url_variable):
            return Finding("ok", name, "does not run here; nothing needs it")
        step = f"check the network, a proxy, or {provider.base_url_variable}"
        return Finding("fail", name, words, step)
    return Finding("warn", name, words, f"check {provider.base_url_variable}; requests may still work")


# --------------------------------------------------------------------------- history


def history(given: str | None) -> Finding:
    """The SQLite file: whether it can be written, its size, its schema."""
    path = Path(local.history_path(given))
    if str(path) == local.MEMORY:
        return Finding("ok", "history", "in memory: it ends with the server")
    if not path.exists():
        folder = next(parent for parent in path.parents if parent.exists())
        if not os.access(folder, os.W_OK):
            step = "make it writable, or choose a file with --store"
            return Finding("fail", "history", f"{path} cannot be made in {folder}", step)
        return Finding("ok", "history", f"none yet; {path} is made when it is needed")
    try:
        return _opened(path)
    except sqlite3.Error as error:
        step = "choose another file with --store, or restore this one from a backup"
        return Finding("fail", "history", f"{path}: {error}", step)


def _opened(path: Path) -> Finding:
    from ..store.sqlite_file import SCHEMA_VERSION

    size = f"{path.stat().st_size / 1e6:.1f} MB"
    if not os.access(path, os.W_OK):
        return Finding("fail", "history", f"{path} cannot be written", f"chmod u+w {path}")
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=LOCK_SECONDS)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            detail = f"{path} has schema {version}, this release knows {SCHEMA_VERSION}"
            return Finding("fail", "history", detail, "upgrade openresponses")
        (count,) = db.execute("SELECT count(*) FROM responses").fetchone()
        try:
            db.execute("BEGIN IMMEDIATE")
            db.rollback()
        except sqlite3.OperationalError as error:
            step = "end the process that holds it"
            return Finding("warn", "history", f"{path} is busy: {error}", step)
    if scarce := _space(path):
        return scarce
    return Finding("ok", "history", f"{path}, {count} responses, {size}, schema {version}")


def _space(path: Path) -> Finding | None:
    """Where the disk is full, or soon is: responses are answered then, but not stored."""
    free = shutil.disk_usage(path.parent).free
    if free >= SCARCE_BYTES:
        return None
    step = "make room on that disk, or choose a file on another one with --store"
    detail = f"{path}: the disk has {free / 1e6:.0f} MB left"
    full = free < NONE_LEFT_BYTES
    return Finding(
        "fail" if full else "warn",
        "history",
        f"{detail}, new responses are not stored" if full else detail,
        step,
    )


# --------------------------------------------------------------------------- port


async def port() -> list[Finding]:
    """The local server's port: ours, free, or somebody else's."""
    if await is_running():
        return [Finding("ok", "local server", f"answers at http://127.0.0.1:{LOCAL_PORT}")]
    try:
        socket.create_server(("127.0.0.1", LOCAL_PORT)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return [
                Finding("warn", "local server", f"port {LOCAL_PORT}: {error.strerror}", "use another --port")
            ]
        step = "openresponses serve --port 4001, or end the program that has it"
        return [Finding("warn", "local server", f"port {LOCAL_PORT} is taken by another program", step)]
    return [Finding("ok", "local server", f"does not run; port {LOCAL_PORT} is free: openresponses serve")]
