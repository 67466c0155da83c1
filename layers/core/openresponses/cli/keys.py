"""`openresponses keys …`: keys of those who use the gateway."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from . import key_moves
from .base import POSITIVE_NUMBER, TENANT_NAME, CommandError, group
from .place import Place, find, place_options
from .terminal import note


@group(
    "API keys: create, list, rotate, revoke, move.",
    examples=[
        "openresponses keys create --tenant acme --name laptop",
        "openresponses keys list --tenant acme",
    ],
)
def keys() -> None: ...


for name, moving in (
    ("rotate", key_moves.rotate),
    ("import", key_moves.import_),
    ("export", key_moves.export),
):
    keys.add_command(moving, name)


@keys.command(
    "create",
    examples=[
        "openresponses keys create --tenant acme --name laptop --days 90",
        "openresponses keys create --tenant acme --store history.db",
    ],
)
@click.option("--tenant", type=TENANT_NAME, required=True, help="Whose key it is: a-z, 0-9 and -.")
@click.option("--name", default="", help="What it is for.")
@click.option("--owner", default="", help="Who answers for it: a person or a team.")
@click.option("--days", type=POSITIVE_NUMBER, help="How long it is valid. [default: for ever]")
@click.option(
    "--retention-days", type=float, help="How long its responses are kept. [default: the deployment's]"
)
@click.option("--zero-retention", is_flag=True, help="Store nothing of what it asks.")
@click.option(
    "--requests-per-minute", type=int, help="More are 429. [default: no limit, as for all of these]"
)
@click.option("--concurrency", type=int, help="How many of its turns run at a time.")
@click.option("--tokens-per-day", type=int, help="Tokens of input and output, from midnight UTC on.")
@click.option(
    "--cost-per-day", type=float, help="US dollars, by the models' prices in the configuration file."
)
@click.option("--models", help="The models it may ask for, with commas between and * for any characters.")
@place_options
def create_key(
    place: Place,
    tenant: str,
    name: str,
    owner: str,
    days: float | None,
    retention_days: float | None,
    zero_retention: bool,
    **use: Any,
) -> None:
    """Make a key; it is shown once."""
    expires_at = None if days is None else int(time.time() + days * 86400)
    asked = {"retention_days": retention_days, "zero_retention": zero_retention}
    limits = {name: value for name, value in asked.items() if value} | limits_of(use)
    if retention_days is not None and not retention_days > 0:
        raise CommandError("--retention-days is a number above 0; for nothing at all: --zero-retention")
    try:
        key = find(place).keys.create(tenant, name, owner=owner, expires_at=expires_at, limits=limits)
    except ValueError as error:
        raise CommandError(str(error)) from None
    print(f"The key of tenant {tenant}; it cannot be shown again:", file=sys.stderr)
    print(key)


def limits_of(options: dict[str, Any]) -> dict[str, Any]:
    """The limits of use that the options give, checked. Raises CommandError."""
    from ..store.limits import wrong_limit

    limits = {name: value for name, value in options.items() if value is not None}
    if "models" in limits:
        limits["models"] = [name.strip() for name in limits["models"].split(",")]
    if wrong := wrong_limit(limits):
        name, expected = wrong
        raise CommandError(f"--{name.replace('_', '-')} is {expected}")
    return limits


@keys.command("list", examples=["openresponses keys list --tenant acme"])
@click.option("--tenant", type=TENANT_NAME, required=True, help="Whose keys.")
@place_options
def list_keys(place: Place, tenant: str) -> None:
    """List a tenant's keys. Each by its id: when it was made, ends and was last used; owner, name, limits."""
    found = find(place).keys.list(tenant)
    if not found:
        note(f"{tenant} has no keys.")
    for key in found:
        told = [
            key.short_id,
            _day(key.issued_at),
            f"until {_day(key.expires_at)}" if key.expires_at else "",
            "disabled" if key.disabled else "",
            f"used {key.used_on}" if key.used_on else "never used",
            key.owner and f"by {key.owner}",
            key.name,
            json.dumps(dict(key.limits)) if key.limits else "",
        ]
        print("  ".join(filter(None, told)))


@keys.command("revoke", examples=["openresponses keys revoke --tenant acme 1f2e3d4c"])
@click.option("--tenant", type=TENANT_NAME, required=True, help="Whose key it is.")
@click.argument("id")
@place_options
def revoke_key(place: Place, tenant: str, id: str) -> None:
    """End a key, named by its id or its first 8 characters. On AWS, caches know it 300 s longer."""
    found = find(place)
    if not found.keys.revoke(tenant, id):
        raise CommandError(f"{tenant} has not exactly one key whose id begins with {id!r} (8 or more).")
    print(f"Revoked.{found.notice}")


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
