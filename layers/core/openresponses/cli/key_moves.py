"""`openresponses keys rotate|import|export`: keys that follow others, and keys that move. See store/key_file.py."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import click
import orjson

from .base import TENANT_NAME, CommandError, command
from .place import Place, find, place_options

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[float]):
    """A number and a unit: 30m, 12h, 7d; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,6})([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a number with one of s, m, h, d, w, as in 7d.", param, ctx)
        return int(found[1]) * UNITS[found[2]]


@command(examples=["openresponses keys rotate 1f2e3d4c --tenant acme --overlap 7d"])
@click.argument("id")
@click.option("--tenant", type=TENANT_NAME, required=True, help="Whose key it is.")
@click.option(
    "--overlap",
    type=Duration(),
    default="7d",
    show_default=True,
    help="How long the old one is valid beside it.",
)
@place_options
def rotate(place: Place, id: str, tenant: str, overlap: float) -> None:
    """Make a key in place of another. It has the same tenant, owner, name, limits and length of life, and is shown
    once; the other, named by its id or its first 8 characters, ends after the overlap."""
    found = find(place)
    if (rotated := found.keys.rotate(tenant, id, overlap)) is None:
        raise CommandError(f"{tenant} has not exactly one valid key whose id begins with {id!r} (8 or more).")
    key, ending = rotated
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ending.expires_at))
    print(f"The new key of tenant {tenant}; it cannot be shown again:", file=sys.stderr)
    print(key)
    print(f"{ending.short_id} is valid until {until}.{found.notice}", file=sys.stderr)


@command(examples=["openresponses keys export --tenant acme --store history.db > keys.jsonl"])
@click.option("--tenant", type=TENANT_NAME, required=True, help="Whose keys.")
@place_options
def export(place: Place, tenant: str) -> None:
    """Print a tenant's keys for `keys import`. JSON lines, with their SHA-256, never the keys."""
    from ..store.key_file import as_row

    for key in find(place).keys.list(tenant):
        print(orjson.dumps(as_row(key)).decode())


@command(
    examples=[
        "openresponses keys import keys.jsonl",
        "openresponses keys import keys.csv --store history.db",
    ]
)
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@place_options
def import_(place: Place, file: Any) -> None:
    """Take over keys that were made elsewhere. FILE has JSON lines, a JSON list or CSV; - is standard input. The
    fields are sha256 (or key), tenant, name, owner, issued_at, expires_at, disabled, limits. All are checked before one
    is written; a key that is there already stays as it is. No key is printed."""
    from ..store.key_file import BadKeyFile, read_keys
    from ..store.keys import KeyConflict

    try:
        keys = read_keys(file.read(), int(time.time()))
    except BadKeyFile as error:
        raise CommandError(f"nothing is taken over: {error}") from None
    try:
        added = find(place).keys.add(keys)
    except KeyConflict as error:
        raise CommandError(f"nothing is taken over: {error}") from None
    print(f"{len(added)} taken over, {len(keys) - len(added)} there already.")
