"""`openresponses secrets …`: keys of providers. A key is asked for at the terminal, never echoed, never an argument."""

from __future__ import annotations

import asyncio
import getpass

import click

from .base import CommandError, group
from .place import Place, find, place_options
from .terminal import progress


@group("Keys of providers.")
def secrets() -> None: ...


@secrets.command("set", examples=["openresponses secrets set ANTHROPIC_API_KEY"])
@click.argument("name")
@place_options
def set_secret(place: Place, name: str) -> None:
    """Write a provider's key or base URL (ANTHROPIC_API_KEY, OPENAI_BASE_URL, ...); asks for it."""
    found = find(place)
    if not name.endswith(("_API_KEY", "_BASE_URL")):
        raise CommandError("a name ends in _API_KEY or _BASE_URL")
    value = getpass.getpass(f"{name}: ").strip()
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
    """The names that are set."""
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
