"""`openresponses responses …`: stored responses."""

from __future__ import annotations

import time

import click
import orjson

from .base import CommandError, group
from .history import History, as_json, on_history, records
from .place import Place, place_options


@group("Stored responses.")
def responses() -> None: ...


tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose they are.")


@responses.command("list", examples=["openresponses responses list --tenant acme --limit 50"])
@tenant_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@place_options
def list_responses(place: Place, tenant: str, limit: int) -> None:
    """A tenant's responses, newest first."""

    async def work(history: History) -> None:
        shown = 0
        async for record in records(history.store, tenant):
            made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created_at))
            print(f"{record.id}  {made}  {record.status:<11}  {record.model}")
            shown += 1
            if shown == limit:
                break

    on_history(place, work)


@responses.command("show", examples=["openresponses responses show --tenant acme resp_0199..."])
@tenant_option
@click.argument("id")
@place_options
def show_response(place: Place, tenant: str, id: str) -> None:
    """A response and its input items, as JSON."""

    async def work(history: History) -> None:
        record = await history.store.get(tenant, id)
        if record is None:
            raise CommandError(f"{tenant} has no response {id}")
        print(orjson.dumps(as_json(record), option=orjson.OPT_INDENT_2).decode())

    on_history(place, work)


@responses.command("delete", examples=["openresponses responses delete --tenant acme resp_0199..."])
@tenant_option
@click.argument("id")
@place_options
def delete_response(place: Place, tenant: str, id: str) -> None:
    """Remove a response; what continues it cannot be continued any more."""

    async def work(history: History) -> None:
        if not await history.store.delete(tenant, id):
            raise CommandError(f"{tenant} has no response {id}")
        print("Deleted.")

    on_history(place, work)
