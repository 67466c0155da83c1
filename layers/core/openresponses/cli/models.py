"""`openresponses models`: the names that work, and what the other providers lack."""

from __future__ import annotations

import json

import click

from . import local
from .base import command
from .gateway import Gateway, Target, gateway_options, with_gateway
from .terminal import note, table

STYLES = {"yes": "green"}


@command(
    examples=["openresponses models", "openresponses models --url https://gateway.example.com --key KEY"]
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as the gateway gives it.")
@gateway_options
def models(target: Target, as_json: bool) -> None:
    """List the models that work here. The other providers stand below, with what they need."""

    async def work(gateway: Gateway) -> None:
        found = await gateway.get("models")
        if as_json:
            print(json.dumps(found, indent=2))
            return
        rows = [(row["id"], row["owned_by"], "yes") for row in found["data"]]
        if gateway.is_local:
            rows += _others({row["owned_by"] for row in found["data"]})
        table(("Model", "Provider", "Configured"), rows, STYLES)
        note("Any model of a configured provider works as provider/model.")

    with_gateway(target, work)


def _others(listed: set[str]) -> list[tuple[str, str, str]]:
    """A row for each provider that the gateway of this machine knows, but knows no models of or cannot use."""
    from ..routing import REGION_VARIABLES, Router
    from ..settings import Settings

    environ = local.environment()
    rows = []
    for provider in Router(Settings.load(environ)).providers.values():
        if provider.name in listed:
            continue
        lacks = [] if provider.base_url else [provider.base_url_variable]
        if provider.auth == "sigv4":
            lacks += REGION_VARIABLES[:1]
        elif provider.key_required:
            lacks.append(provider.key_variable)
        lacks = [name for name in lacks if not environ.get(name)]
        rows.append(
            (f"{provider.name}/…", provider.name, f"no: set {' and '.join(lacks)}" if lacks else "yes")
        )
    return rows
