"""`openresponses serve`: the composition root of a gateway on one's own machine."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..logs import LogTelemetry, start_logging
from ..settings import Settings, SettingsError
from . import local
from .base import CommandError, command

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from ..otel import OtelTelemetry
    from ..prometheus import PrometheusTelemetry
    from ..routing import Router
    from ..sealing import KeyText
    from ..secrets import Secrets

log = logging.getLogger(__name__)

OTLP_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # a wildcard → an address that a client can open
OPEN_TO_ALL = (
    "Warning: whoever reaches this address can use your providers' keys, as there is no authentication. "
    "OPENRESPONSES_REQUIRE_KEYS=1 makes it ask for keys."
)
BACKLOG = 2048
EXAMPLE = '{"model": "echo", "input": "Hello"}'
# Longer than clients keep an idle connection: they close it, not the server under them.
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 3  # for the last bytes of what was open, after the turns have ended


@command(examples=["openresponses serve", "openresponses serve --port 4001 --store ~/history.db"])
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", default=4000, show_default=True, type=click.IntRange(0, 65535), help="Port, 0 for a free one."
)
@click.option(
    "--store",
    metavar="PATH",
    help="SQLite file of the history, or :memory:. [default: in your data folder]",
)
def serve(host: str, port: int, store: str | None) -> int:
    """Serve the gateway on this machine."""
    try:
        return run_server(host, port, store)
    except KeyboardInterrupt:  # how a server on a terminal is told to stop
        return 0


def run_server(host: str, port: int, given: str | None) -> int:
    """Serves the gateway until it is told to stop."""
    environ = local.environment()
    settings = Settings.load(environ)
    log_to_terminal(settings)
    from ..routing import Router

    router = Router(settings)
    router.check()
    from ..engine.admission import Turns
    from ..http.app import create_app
    from ..http.auth import bearer_owner, token_verifier
    from ..http.server import Server
    from ..sealing import Sealer
    from ..store.sqlite_keys import SQLiteKeys
    from ..telemetry import Several

    path = history_path(given, settings)
    tokens = token_verifier(settings)
    listener = listen(host, port)
    store = local.open_store(path, settings)
    keys, secrets, environ = beside(path, environ)
    users = None if path == local.MEMORY else SQLiteKeys(path)
    authenticate = bearer_owner(users, tokens) if settings.require_keys or tokens else None
    turns = Turns(settings.max_concurrent_turns)
    metrics = metrics_page(settings, host, open_to_all=authenticate is None)
    spans = span_exporter(environ)
    lines = LogTelemetry(logging.INFO if settings.log_format == "json" else logging.DEBUG)
    app = create_app(
        settings,
        store,
        secrets,
        authenticate=authenticate,
        sealer=Sealer(keys),
        telemetry=Several(filter(None, (lines, metrics, spans))),
        turns=turns,
        metrics=metrics,
    )
    needed = who_is_asked(settings, path)
    port = listener.getsockname()[1]
    print(greeting(host, port, router, environ, needed, playground=settings.playground), flush=True)
    Server(server_config(app, settings), turns, settings.shutdown_seconds).run(sockets=[listener])
    if spans:
        spans.close()
    return 0


def history_path(given: str | None, settings: Settings) -> str:
    """Where the history is. Raises SettingsError for a store in memory where requests need keys: it has none."""
    path = local.history_path(given)
    if settings.require_keys and path == local.MEMORY:
        raise SettingsError(
            "OPENRESPONSES_REQUIRE_KEYS: a store in memory has no keys; name a file with --store."
        )
    return path


def beside(path: str, environ: dict[str, str]) -> tuple[KeyText, Secrets, dict[str, str]]:
    """What lies beside the store's file: the keys that seal, and the secrets; and the environment with these in it."""
    from ..sealing import file_keys, memory_keys
    from ..secrets import EnvironmentSecrets, FileSecrets

    if path == local.MEMORY:
        return memory_keys(), EnvironmentSecrets(environ), environ
    secrets = FileSecrets(local.secrets_path(path), environ)
    return file_keys(Path(f"{path}.key")), secrets, {**secrets.values(), **environ}


def log_to_terminal(settings: Settings) -> None:
    start_logging(settings.log_level, settings.log_format)
    for chatty in ("httpx", "uvicorn"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def metrics_wanted(settings: Settings, host: str, *, open_to_all: bool) -> bool:
    """Whether /metrics is served: as the setting says; unset, only on loopback without authentication."""
    return (host in LOOPBACK and open_to_all) if settings.metrics is None else settings.metrics


def metrics_page(settings: Settings, host: str, *, open_to_all: bool) -> PrometheusTelemetry | None:
    """What /metrics shows; None if it is not served."""
    if not metrics_wanted(settings, host, open_to_all=open_to_all):
        return None
    from ..prometheus import PrometheusTelemetry

    return PrometheusTelemetry()


def span_exporter(environ: Mapping[str, str]) -> OtelTelemetry | None:
    """Where a collector is named, if the SDK is there; else None."""
    if not any(environ.get(name) for name in OTLP_VARIABLES):
        return None
    try:
        from ..otel import OtelTelemetry
    except ImportError:
        log.warning("no spans are sent: pip install 'openresponses[otel]'")
        return None
    return OtelTelemetry()


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    import uvicorn

    from ..http.server import Protocol

    return uvicorn.Config(
        app,
        http=Protocol,
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


def websocket_options(settings: Settings) -> dict[str, Any]:
    """uvicorn's: what is a little too large is refused by the gateway, with a reason, what is more ends the connection
    (1009). Compression costs memory for each connection, and time for each event."""
    from ..http.server import WebSocketProtocol

    return {
        "ws": WebSocketProtocol,
        "ws_max_size": 2 * settings.max_body_bytes,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 60.0,
        "ws_per_message_deflate": False,
    }


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


def who_is_asked(settings: Settings, store: str) -> str:
    """What a request must carry, in a line; empty for nothing."""
    token = f"a token of {settings.oidc_issuer}" if settings.oidc_issuer else ""
    asked = settings.require_keys or settings.oidc_issuer
    key = (
        f"a key: openresponses keys create --tenant NAME --store {store}"
        if asked and store != local.MEMORY
        else ""
    )
    return f"Requests need {' or '.join(filter(None, (token, key)))}" if asked else ""


def greeting(
    host: str,
    port: int,
    router: Router,
    environ: Mapping[str, str],
    needed: str = "",
    *,
    playground: bool = True,
) -> str:
    """What a person needs to begin: where the gateway is, which providers have a key, what a request needs, if
    anything, and one to try. `playground`: whether there is one."""
    from ..routing import REGION_VARIABLES

    reached = EVERYWHERE.get(host, host)
    url = f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"
    elsewhere = f" (listens at {host})" if reached != host else ""
    ready = [p.name for p in router.providers.values() if p.needs_key and environ.get(p.key_variable)]
    keyless = [p.name for p in router.providers.values() if not p.needs_key and p.auth != "sigv4"]
    if any(environ.get(name) for name in REGION_VARIABLES):
        keyless += [p.name for p in router.providers.values() if p.auth == "sigv4"]
    keys = (
        ", ".join(ready)
        or "none yet (set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, ... or use .env)"
    )
    bearer = "-H 'authorization: Bearer KEY' " if needed else ""
    lines = [
        f"OpenResponses {__version__}{elsewhere} at {url}",
        f"Providers with a key: {keys}; without need of one: {', '.join(keyless)}",
        f"Try: curl {url}/v1/responses {bearer}-H 'content-type: application/json' -d '{EXAMPLE}'",
    ]
    if playground:
        lines.insert(2, f"Playground: open {url} in a browser")
    if needed:
        lines.insert(1, needed)
    elif host not in LOOPBACK:
        lines.insert(1, OPEN_TO_ALL)
    return "\n".join(lines)
