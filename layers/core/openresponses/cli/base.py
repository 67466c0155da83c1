"""What commands are made of: errors with their exit codes, help with examples, groups that load what is asked for."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..settings import POSITIVE, SettingsError
from ..tenants import EXPECTED, TENANT

PROGRAM = "openresponses"
COMPLETION_VARIABLE = "_OPENRESPONSES_COMPLETE"  # set by the shell that wants to complete
FAILED, USAGE, INTERRUPTED = 1, 2, 130
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class CommandError(Exception):
    """What keeps a command from doing its work; `str()` is one line that says what to do."""

    exit_code = USAGE


class RequestFailed(CommandError):
    """The command was right, but what it asked for failed."""

    exit_code = FAILED


def root(commands: Mapping[str, str]) -> click.Group:
    """The command `openresponses`."""
    group = LazyGroup(
        PROGRAM,
        loaded_from=commands,
        help="One Responses API for every model provider.",
        epilog="openresponses COMMAND --help tells more about a command.",
        examples=[
            'openresponses ask "Hello"',
            "openresponses chat --model claude-opus-4-6",
            "openresponses doctor",
        ],
        context_settings=CONTEXT,
    )
    return click.version_option(__version__, message="openresponses %(version)s")(group)


def run(commands: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Runs what the arguments say; the exit code."""
    _settle_streams()
    try:
        code = root(commands).main(
            list(arguments), PROGRAM, complete_var=COMPLETION_VARIABLE, standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # the help
        return USAGE
    except click.ClickException as error:
        return _told(_what_was_wrong(error), error.exit_code)
    except SettingsError as error:
        return _told(str(error), USAGE)
    except CommandError as error:
        return _told(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except UnicodeEncodeError:
        return _told("what was given is not text in UTF-8", USAGE)
    except OSError as error:
        _give_up_output()
        return _told(": ".join(filter(None, (error.filename, error.strerror or str(error)))), FAILED)
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "botocore":
            raise
        return _told(f"AWS: {' '.join(str(error).split())}", FAILED)
    return code if isinstance(code, int) else 0


def _settle_streams() -> None:
    """What a caller has closed is nowhere; a letter that a terminal does not have is shown as a question mark."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _give_up_output() -> None:
    """What is still to be written may not fail again when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(message: str, code: int) -> int:
    print(f"openresponses: {message}", file=sys.stderr)
    return code


def _what_was_wrong(error: click.ClickException) -> str:
    """click's words in one line, with the way to the help."""
    words = " ".join(error.format_message().split())
    if words[-1] not in ".!?)":
        words += "."
    context = getattr(error, "ctx", None)
    return f"{words} See: {context.command_path} --help" if context else words


# --------------------------------------------------------------------------- commands


class WithExamples(click.Command):
    """A command whose help ends with examples: whole command lines."""

    def __init__(self, *given: Any, examples: Sequence[str] = (), **named: Any) -> None:
        super().__init__(*given, **named)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if not self.examples:
            return
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(WithExamples):
    """A command on its own."""


class Group(WithExamples, click.Group):
    """A command that has commands of its own."""

    command_class = Command

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **{"no_args_is_help": True, **named})


class LazyGroup(Group):
    """A group whose commands are imported when they are needed: name → `module:attribute`, below this package."""

    def __init__(self, *given: Any, loaded_from: Mapping[str, str], **named: Any) -> None:
        super().__init__(*given, **named)
        self._loaded_from = loaded_from

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._loaded_from)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's, with the nearest name where there is none such: click knows loaded commands only."""
        name = args[0]
        if name in self._loaded_from or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = get_close_matches(name, self._loaded_from, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"No such command {name!r}.{hint}", ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._loaded_from:
            return None
        module, _, attribute = self._loaded_from[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f".{module}", __package__), attribute)
        return command


def command(*, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Command]:
    """A command on its own; its name is the function's, its help the function's docstring."""
    return click.command(cls=Command, examples=examples)


def group(text: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Group]:
    return click.group(cls=Group, help=text, examples=examples)


# --------------------------------------------------------------------------- arguments


class Positive(click.ParamType[float]):
    """A number above 0, no infinity."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number: float = POSITIVE.parse(str(value))
        except ValueError:
            self.fail(f"{value!r} is not {POSITIVE.expected}.", param, ctx)
        return number


POSITIVE_NUMBER = Positive()


class Tenant(click.ParamType[str]):
    """A tenant's name."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not TENANT.fullmatch(str(value)):
            self.fail(f"{EXPECTED}, not {value!r}.", param, ctx)
        return str(value)


TENANT_NAME = Tenant()
