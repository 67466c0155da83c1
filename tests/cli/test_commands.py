"""Every command: its help has an example that it understands, and what is wrong with a call is one line."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from scripts.commands import commands

from .conftest import Run

COMMANDS = dict(commands())
each = pytest.mark.parametrize("name", COMMANDS)


def test_the_commands_are_there() -> None:
    assert {"serve", "chat", "ask", "models", "explain", "doctor", "keys create", "responses show"} <= set(
        COMMANDS
    )


@each
def test_help_has_words_and_an_example(run: Run, name: str) -> None:
    said = run(*name.split(), "--help")
    assert said.code == 0 and not said.err
    command = COMMANDS[name]
    assert command.help and command.examples and "Example" in said.out
    for example in command.examples:
        assert example in said.out, "cut or wrapped"
    undescribed = [
        option.name for option in command.params if isinstance(option, click.Option) and not option.help
    ]
    assert not undescribed


@pytest.mark.parametrize(
    "name", [[], *([first] for first in sorted({name.split()[0] for name in COMMANDS if " " in name}))]
)
def test_a_group_has_examples_too(run: Run, name: list[str]) -> None:
    said = run(*name, "--help")
    calls = [line.strip() for line in said.out.partition("Examples:\n")[2].splitlines()]
    assert len(calls) >= 2
    for call in calls:
        assert any(call.startswith(f"openresponses {known}") for known in COMMANDS), call


@each
def test_its_examples_are_calls_of_it(name: str) -> None:
    """The options in them exist; nothing runs."""
    command = COMMANDS[name]
    known = {text for option in command.params for text in (*option.opts, *option.secondary_opts)}
    for example in command.examples:
        _, _, call = example.partition(f"openresponses {name}")
        assert f"openresponses {name}" in example, example
        words = shlex.split(call.partition(" > ")[0].rstrip(')"'), posix=True)
        assert {word for word in words if word.startswith("-") and word != "-"} <= known, example


@each
def test_an_unknown_option_is_one_line_with_the_way_to_the_help(run: Run, name: str) -> None:
    said = run(*name.split(), "--no-such-option")
    assert said.code == 2 and not said.out
    assert said.err.startswith("openresponses: ") and said.err.count("\n") == 1
    assert "--no-such-option" in said.err and f"openresponses {name} --help" in said.err


WRONG = [
    (["sing"], "No such command 'sing'"),
    (["serv"], "serve"),
    (["keys", "creat"], "create"),
    (["keys", "create"], "--tenant"),
    (["keys", "create", "--tenant", "acme", "--days", "-1"], "above 0"),
    (["keys", "create", "--tenant", "acme", "--days", "nan"], "above 0"),
    (["responses", "list", "--limit", "0"], "--limit"),
    (["responses", "show"], "ID"),
    (["responses", "show", "resp_1", "--url", "http://127.0.0.1:9", "--store", "x"], "excludes"),
    (["ask"], "nothing is asked"),
    (["ask", "Hi", "--previous", "resp_1", "--continue"], "exclude each other"),
    (["ask", "Hi", "--continue"], "nothing|no answer to continue"),
    (["ask", "Hi", "--image", "missing.png"], "missing.png cannot be read"),
    (["ask", "Hi", "--image", "notes.txt"], "does not look like an image"),
    (["ask", "Hi", "--file", "."], "cannot be read"),
    (["ask", "Hi", "--json-schema", "notes.txt"], "notes.txt is not JSON"),
    (["ask", "Hi", "--url", "example.com"], "--url is an address"),
    (["chat", "--tools", "notes.txt"], "notes.txt is not JSON"),
    (["explain"], "FILE"),
    (["explain", "missing.json"], "missing.json cannot be read"),
    (["explain", "list.json"], "a request is a JSON object"),
    (["completion", "tcsh"], "bash"),
    (["secrets", "set", "PASSWORD", "--store", "history.db"], "_API_KEY"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_a_wrong_call_is_one_line(run: Run, home: Path, arguments: list[str], words: str) -> None:
    (home / "notes.txt").write_text("notes")
    (home / "list.json").write_text("[]")
    said = run(*arguments)
    assert said.code == 2 and not said.out, said
    assert said.err.startswith("openresponses: ") and said.err.count("\n") == 1
    assert any(word in said.err for word in words.split("|")), said.err


@pytest.mark.parametrize("arguments", [[], ["keys"], ["responses"]])
def test_a_call_without_a_command_is_told_of_them(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.code == 2 and "Usage: openresponses" in said.err and not said.out


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("openresponses 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, shell: str) -> None:
    said = run("completion", shell)
    assert said.code == 0 and "_OPENRESPONSES_COMPLETE" in said.out


def test_the_shell_is_told_what_may_follow(home: Path) -> None:
    asked = {
        "_OPENRESPONSES_COMPLETE": "bash_complete",
        "COMP_WORDS": "openresponses keys ",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "openresponses"], env=asked, capture_output=True, text=True, timeout=20
    )
    assert {"plain,create", "plain,revoke"} <= set(done.stdout.split())


def test_what_serves_does_not_load_what_chats() -> None:
    """A server starts as fast as before: click came with uvicorn."""
    code = "import sys, openresponses.cli.serve; print(*{'rich', 'prompt_toolkit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == [] and done.returncode == 0
