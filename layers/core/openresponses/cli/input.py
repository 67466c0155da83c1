"""Lines of a person or of a pipe: edited with prompt_toolkit on a terminal that can do it, else read as they come."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from .terminal import write

HINT = "(Ctrl-D or /quit leaves)\n"


class Left(Exception):
    """There is no more input, or no answer to what was asked."""


class Input:
    """Where lines come from; `completed` are words that the editor completes."""

    def __init__(self, completed: Sequence[str]) -> None:
        self._completed = completed
        self._is_person = sys.stdin.isatty()
        self._session: Any = None

    async def line(self, prompt: str, *, of_call: bool = False) -> str:
        """The next line. Raises Left at the end of the input; at Ctrl-C, too, if it is asked for the result of a call,
        else Ctrl-C only clears the line."""
        while True:
            try:
                return await self._read(prompt)
            except EOFError:
                if self._is_person:
                    write("\n")
                raise Left from None
            except KeyboardInterrupt:
                if of_call:
                    raise Left from None
                write(HINT, "dim")

    async def _read(self, prompt: str) -> str:
        if not self._is_person:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            write(f"{prompt}{line.rstrip()}\n")
            return line.rstrip("\n")
        if os.environ.get("TERM", "dumb") in ("dumb", "unknown") or not sys.stdout.isatty():
            return _plain(prompt)
        return await self._edited(prompt)

    async def _edited(self, prompt: str) -> str:
        if self._session is None:
            from prompt_toolkit import PromptSession
            from prompt_toolkit.completion import WordCompleter

            words = WordCompleter(list(self._completed), sentence=True)
            self._session = PromptSession(completer=words, complete_while_typing=False)
        line: str = await self._session.prompt_async(prompt)
        return line


def _plain(prompt: str) -> str:
    """`input`, which Ctrl-C interrupts: within asyncio it would only cancel the task that waits for it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt)
    finally:
        signal.signal(signal.SIGINT, before)
