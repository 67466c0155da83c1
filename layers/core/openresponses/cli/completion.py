"""`openresponses completion`: what a shell needs to complete the command."""

from __future__ import annotations

import click

from .base import COMPLETION_VARIABLE, PROGRAM, command

INTO = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/completions/openresponses.fish",
}


@command(
    examples=[
        'eval "$(openresponses completion bash)"',
        "openresponses completion fish > ~/.config/fish/completions/openresponses.fish",
    ]
)
@click.argument("shell", type=click.Choice(list(INTO)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion for bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(context.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE).source())
