"""`openresponses secrets …`: keys of providers. A key is asked for at the terminal, or comes through a pipe; it is
never echoed, and never an argument."""

from __future__ import annotations

import asyncio
import getpass
import sys

import click

from .base import CommandError, group
from .place import Place, find, place_options
from .terminal import progress


@group(
    "Keys of the model providers: set, list.",
    examples=["openresponses secrets set ANTHROPIC_API_KEY", "openresponses secrets list"],
)
def secrets() -> None: ...


@secrets.command(
    "set",
    examples=[
        "openresponses secrets set ANTHROPIC_API_KEY",
        "openresponses secrets set ANTHROPIC_API_KEY --store history.db < key.txt",
    ],
)
@click.argument("name")
@place_options
def set_secret(place: Place, name: str) -> None:
    """Write a provider's key or base URL. It is asked for and not shown, or is a line of standard input; NAME is as
    ANTHROPIC_API_KEY or OPENAI_BASE_URL."""
    found = find(place)
    if not name.endswith(("_API_KEY", "_BASE_URL")):
        raise CommandError("a name ends in _API_KEY or _BASE_URL")
    value = (getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not value:
        raise CommandError("nothing was entered; nothing is changed")
    values = found.set_secret(name, value)
    print(f"{name} is set.")
    print(asyncio.run(ask_provider(name, values)))


@secrets.command(
    "list", examples=["openresponses secrets list", "openresponses secrets list --store history.db"]
)
@place_options
def list_secrets(place: Place) -> None:
    """List the names that are set, never the values."""
    for name in sorted(find(place).secrets()):
        print(name)


async def ask_provider(name: str, values: dict[str, str]) -> str:
    """Asks the provider that reads this name: a line that says whether it works."""
    from ..routing import Router
    from ..secrets import EnvironmentSecrets
    from ..settings import Settings
    from .providers import asked

    router = Router(Settings.load({}))
    owners = (p for p in router.providers.values() if name in (p.key_variable, p.base_url_variable))
    if (provider := next(owners, None)) is None:
        return f"No provider here reads {name}."
    with progress(f"Asking {provider.name}"):
        return (await asked(router, provider, EnvironmentSecrets(values))).words
