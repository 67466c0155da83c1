"""The commands of `openresponses`, as docs/cli.md lists them: from the parser itself."""

from __future__ import annotations

from collections.abc import Iterator

import click
from openresponses import cli
from openresponses.cli.base import Command, root


def commands() -> Iterator[tuple[str, Command]]:
    """(name, command) of each, as `keys create`. Raises TypeError for one that has no examples."""
    return _below("", root(cli.COMMANDS))


def _below(path: str, group: click.Group) -> Iterator[tuple[str, Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from _below(f"{path}{name} ", found)
        elif isinstance(found, Command):
            yield f"{path}{name}", found
        else:
            raise TypeError(f"{path}{name} is no Command of cli/base.py")


def reference() -> str:
    """A section for each command: what it does, examples, its options."""
    return "".join(_section(name, command) for name, command in commands())


def _section(name: str, command: Command) -> str:
    arguments = [
        p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)
    ]
    usage = " ".join(["openresponses", name, *arguments])
    examples = "\n".join(command.examples)
    rows = "".join(_row(option) for option in command.params if isinstance(option, click.Option))
    table = f"\n| Option | Meaning |\n| --- | --- |\n{rows}" if rows else ""
    words = " ".join((command.help or "").split())
    return f"### `{usage}`\n\n{words}\n\n```text\n{examples}\n```\n{table}\n"


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    metavar = option.make_metavar(click.Context(click.Command("openresponses")))
    value = "" if option.is_flag else f" {metavar.removesuffix(' RANGE')}"
    words = " ".join((option.help or "").split()).replace("|", "\\|")
    default = f" Default: `{option.default}`." if option.show_default else ""
    needed = " Required." if option.required else ""
    return f"| {names}{value.replace('|', ' or ')} | {words}{default}{needed} |\n"
