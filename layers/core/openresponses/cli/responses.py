"""`openresponses responses …`: stored responses.

Without --url they are an operator's: of a stack or of a store, of any tenant; of the local server's history where
nothing names another and there can be no stack. With --url they are those of the key.
"""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import click
import orjson

from .base import TENANT_NAME, CommandError, group
from .gateway import Gateway, Target, gateway_options, with_gateway
from .history import History, as_json, on_history, records
from .place import Place, or_local, place_options
from .terminal import note


@group(
    "Stored responses: list, show, delete.",
    examples=["openresponses responses list --limit 5", "openresponses responses show resp_0199..."],
)
def responses() -> None: ...


tenant_option = click.option(
    "--tenant", type=TENANT_NAME, default="default", show_default=True, help="Whose they are."
)


@responses.command(
    "list",
    examples=["openresponses responses list", "openresponses responses list --tenant acme --limit 50"],
)
@tenant_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@place_options
def list_responses(place: Place, tenant: str, limit: int) -> None:
    """List a tenant's responses, newest first. For operators: the API has no list of responses, hence no --url."""

    async def work(history: History) -> None:
        shown = 0
        async for record in records(history.store, tenant):
            made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created_at))
            print(f"{record.id}  {made}  {record.status:<11}  {record.model}")
            shown += 1
            if shown == limit:
                break
        if not shown:
            note(f"The tenant {tenant!r} has no responses.")

    on_history(or_local(place), work)


@responses.command(
    "show",
    examples=[
        "openresponses responses show --tenant acme resp_0199...",
        "openresponses responses show resp_0199... --url https://gateway.example.com --key KEY",
    ],
)
@tenant_option
@click.argument("id")
@place_options
@gateway_options
def show_response(target: Target, place: Place, tenant: str, id: str) -> None:
    """Print a response and its input items, as JSON."""
    if by_url(target, place):
        with_gateway(target, lambda gateway: _show(gateway, id))
        return

    async def work(history: History) -> None:
        record = await history.store.get(tenant, id)
        if record is None:
            raise CommandError(f"the tenant {tenant!r} has no response {id}")
        print(orjson.dumps(as_json(record), option=orjson.OPT_INDENT_2).decode())

    on_history(or_local(place), work)


async def _show(gateway: Gateway, id: str) -> None:
    response = await gateway.get(f"responses/{quote(id, safe='')}")
    items, after = [], ""
    while True:
        page = await gateway.get(f"responses/{quote(id, safe='')}/input_items?order=asc&limit=100{after}")
        items += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    told = {"object": "stored_response", "id": id, "created_at": response["created_at"]}
    told |= {"model": response["model"], "response": response, "input": items}
    print(json.dumps(told, indent=2, ensure_ascii=False))


@responses.command(
    "delete",
    examples=[
        "openresponses responses delete --tenant acme resp_0199...",
        "openresponses responses delete resp_0199... --url https://gateway.example.com --key KEY",
    ],
)
@tenant_option
@click.argument("id")
@place_options
@gateway_options
def delete_response(target: Target, place: Place, tenant: str, id: str) -> None:
    """Remove a response; what continues it cannot be continued any more."""
    if by_url(target, place):
        with_gateway(target, lambda gateway: gateway.delete(f"responses/{quote(id, safe='')}"))
        print("Deleted.")
        return

    async def work(history: History) -> None:
        if not await history.store.delete(tenant, id):
            raise CommandError(f"the tenant {tenant!r} has no response {id}")
        print("Deleted.")

    on_history(or_local(place), work)


def by_url(target: Target, place: Place) -> bool:
    """Whether a gateway is meant, and not its store: what names a store comes before OPENRESPONSES_URL."""
    named = any((place.stack, place.region, place.profile, place.store))
    if named and target.by_option:
        raise CommandError("--url excludes --stack, --region, --profile and --store")
    return bool(target.url) and not named
