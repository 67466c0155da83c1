"""`openresponses tenants …`: all that a tenant has. An export has one JSON object a line, each with its `object`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import orjson

from .base import TENANT_NAME, CommandError, group
from .history import History, Json, as_json, on_history, records
from .place import Place, place_options
from .terminal import progress

if TYPE_CHECKING:
    from ..store.keys import ApiKey


@group(
    "All that a tenant has: export, erase.",
    examples=["openresponses tenants export acme > acme.jsonl", "openresponses tenants erase acme"],
)
def tenants() -> None: ...


@tenants.command("export", examples=["openresponses tenants export acme > acme.jsonl"])
@click.argument("tenant", metavar="NAME", type=TENANT_NAME)
@place_options
def export_tenant(place: Place, tenant: str) -> None:
    """Print all that a tenant has, as JSON lines; never keys."""
    with progress(f"Exporting {tenant}") as tell:
        on_history(place, lambda history: export(history, tenant, tell))


@tenants.command("erase", examples=["openresponses tenants erase acme"])
@click.argument("tenant", metavar="NAME", type=TENANT_NAME)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--no-scan",
    is_flag=True,
    help="Do not read the whole table for what interrupted writes left; it expires by itself.",
)
@place_options
def erase_tenant(place: Place, tenant: str, yes: bool, no_scan: bool) -> None:
    """Remove all that a tenant has, API keys included."""
    if not yes and not _is_sure(tenant):  # before there is an event loop, which would keep Ctrl-C from it
        raise CommandError("nothing is erased")

    async def work(history: History) -> None:
        with progress(f"Erasing {tenant}"):
            rows = await history.store.listing.erase(tenant, thorough=not no_scan)
        print(f"Erased: {rows} rows of {tenant}.", *history.notices, sep="\n")

    on_history(place, work)


async def export(history: History, tenant: str, tell: Callable[[str], None]) -> None:
    """One JSON object a line: the tenant's keys (never the keys themselves), responses, conversations with items."""
    done = 0
    for key in await asyncio.to_thread(history.keys.list, tenant):
        _write(_key(key))
    async for record in records(history.store, tenant):
        _write(as_json(record))
        done += 1
        tell(f"{done} responses")
    conversations = history.store.conversations
    async for id in history.store.listing.conversations(tenant):
        found = await conversations.get(tenant, id)
        items = await conversations.items(tenant, id)
        if found is not None and items is not None:
            _write(
                {
                    "object": "stored_conversation",
                    "id": id,
                    "created_at": found.created_at,
                    "expires_at": found.expires_at,
                    "metadata": found.metadata,
                    "items": items,
                }
            )


def _key(key: ApiKey) -> Json:
    return {
        "object": "api_key",
        "id": key.short_id,
        "name": key.name,
        "owner": key.owner,
        "created_at": key.issued_at,
        "expires_at": key.expires_at,
        "used_on": key.used_on,
        "disabled": key.disabled,
        "limits": dict(key.limits),
    }


def _write(line: Json) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")


def _is_sure(tenant: str) -> bool:
    print(
        f"All that {tenant} has will be gone, its API keys included. Type its name: ", end="", file=sys.stderr
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip() == tenant
