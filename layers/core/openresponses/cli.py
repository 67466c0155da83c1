"""The command `openresponses`: the composition root of a gateway on one's own machine.

Each command is a row of `main`'s parser and a function that returns the exit code. What is wrong with how it was
called (a taken port, a setting, a file) ends in one line that says what to do, and exit code 2.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, aws_cli, history_cli
from .settings import Settings, SettingsError

if TYPE_CHECKING:
    from .routing import Router
    from .secrets import Secrets
    from .store.sqlite import SQLiteStore

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BACKLOG = 2048
MEMORY = ":memory:"
EXAMPLE = '{"model": "echo", "input": "Hello"}'
KEEP_ALIVE_SECONDS = (
    75  # longer than clients keep an idle connection: they close it, not the server under them
)
GRACE_SECONDS = 3  # for open streams, when the server is told to stop


class CommandError(Exception):
    """What keeps a command from doing its work; `str()` is one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="openresponses", description="One Responses API for every model provider."
    )
    parser.add_argument("--version", action="version", version=f"openresponses {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser("serve", help="serve the gateway on this machine")
    command.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    command.add_argument(
        "--port", default=4000, type=_port, help="port, 0 for a free one (default: %(default)s)"
    )
    command.add_argument(
        "--store",
        metavar="PATH",
        help="SQLite file of the history, or :memory: (default: in your data folder)",
    )
    command.set_defaults(run=serve)
    aws_cli.add_commands(commands)
    history_cli.add_commands(commands)
    given = parser.parse_args(arguments)
    try:
        code: int = given.run(given)
    except (SettingsError, CommandError, aws_cli.StackError) as error:
        print(f"openresponses: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(__package__):
            raise
        print(f"openresponses: {error.name} is missing: pip install 'openresponses[serve]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return code


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


# --------------------------------------------------------------------------- serve


def serve(given: argparse.Namespace) -> int:
    """Serves the gateway until it is told to stop."""
    environ = environment()
    settings = Settings.load(environ)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    from .routing import Router

    router = Router(settings)
    router.check()
    import uvicorn

    from .http.app import create_app
    from .http.auth import key_owner
    from .sealing import Sealer, file_keys, memory_keys
    from .secrets import EnvironmentSecrets, FileSecrets
    from .store.sqlite_keys import SQLiteKeys

    path = history_path(given.store)
    if settings.require_keys and path == MEMORY:
        raise SettingsError(
            "OPENRESPONSES_REQUIRE_KEYS: a store in memory has no keys; name a file with --store."
        )
    listener = listen(given.host, given.port)
    store = open_store(path, settings)
    secrets: Secrets = EnvironmentSecrets(environ)
    keys = memory_keys()
    if path != MEMORY:
        keys = file_keys(Path(f"{path}.key"))
        secrets = file = FileSecrets(secrets_path(path), environ)
        environ = {**file.values(), **environ}
    authenticate = key_owner(SQLiteKeys(path)) if settings.require_keys else None
    app = create_app(settings, store, secrets, authenticate=authenticate, sealer=Sealer(keys))
    config = uvicorn.Config(
        app,
        **websocket_options(settings),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    keys_in = path if settings.require_keys else None
    print(greeting(given.host, listener.getsockname()[1], router, environ, keys_in), flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def websocket_options(settings: Settings) -> dict[str, Any]:
    """uvicorn's: what is a little too large is refused by the gateway, with a reason, what is more ends the connection
    (1009). Compression costs memory for each connection, and time for each event."""
    return {
        "ws": "websockets-sansio",
        "ws_max_size": 2 * settings.max_body_bytes,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 60.0,
        "ws_per_message_deflate": False,
    }


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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CommandError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {port} is taken: choose another with --port, or stop its owner."
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise CommandError(f"port {port} needs more rights: choose one above 1023 with --port.") from None
        raise CommandError(
            f"cannot listen at {host}: {error.strerror}; give an address with --host."
        ) from None


def history_path(given: str | None) -> str:
    """Where the history is: in the file that was `given`, in memory, else in the user's data folder."""
    if given is None:
        from platformdirs import user_data_path

        return str(user_data_path("openresponses", appauthor=False) / "history.db")
    return given if given == MEMORY else str(Path(given).expanduser())


def open_store(path: str, settings: Settings) -> SQLiteStore:
    """The history at `path`."""
    from .store.base import StoreUnavailable
    from .store.sqlite import SQLiteStore

    try:
        return SQLiteStore(path, int(settings.history_ttl_days * 86400))
    except StoreUnavailable as error:
        raise CommandError(f"the history cannot be opened: {error}; choose a file with --store.") from None


def secrets_path(store: str) -> Path:
    """Where `openresponses secrets set --store` keeps providers' keys: beside the history."""
    return Path(f"{store}.secrets.json")


def greeting(
    host: str, port: int, router: Router, environ: Mapping[str, str], keys_in: str | None = None
) -> str:
    """What a person needs to begin: where the gateway is, which providers have a key, a request to try. `keys_in` is
    the store that holds the keys of users, if there must be one."""
    from .routing import REGION_VARIABLES

    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    ready = [p.name for p in router.providers.values() if p.needs_key and environ.get(p.key_variable)]
    keyless = [p.name for p in router.providers.values() if not p.needs_key and p.auth != "sigv4"]
    if any(environ.get(name) for name in REGION_VARIABLES):
        keyless += [p.name for p in router.providers.values() if p.auth == "sigv4"]
    keys = (
        ", ".join(ready)
        or "none yet (set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, ... or use .env)"
    )
    bearer = "-H 'authorization: Bearer KEY' " if keys_in else ""
    lines = [
        f"OpenResponses {__version__} at {url}",
        f"Providers with a key: {keys}; without need of one: {', '.join(keyless)}",
        f"Try: curl {url}/v1/responses {bearer}-H 'content-type: application/json' -d '{EXAMPLE}'",
    ]
    if keys_in:
        lines.insert(1, f"Requests need a key: openresponses keys create --tenant NAME --store {keys_in}")
    elif host not in LOOPBACK:
        lines.insert(
            1, "Whoever reaches this address can use your providers' keys: there is no authentication."
        )
    return "\n".join(lines)
