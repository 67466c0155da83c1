"""Lines of a person or of a pipe: edited with prompt_toolkit on a terminal that can do it, else read as they come."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from .terminal import write

Result = TypeVar("Result")
HINT = "(Ctrl-D or /quit leaves)\n"


class Left(Exception):
    """There is no more input, or no answer to what was asked."""


class Input:
    """Where lines come from; `completed` are words that the editor completes."""

    def __init__(self, completed: Sequence[str]) -> None:
        self._completed = completed
        self.is_person = sys.stdin.isatty()
        self._session: Any = None

    async def line(self, prompt: str, *, of_call: bool = False) -> str:
        """The next line. Raises Left at the end of the input; at Ctrl-C, too, if it is asked for the result of a call,
        else Ctrl-C only clears the line."""
        while True:
            try:
                return await self._read(prompt)
            except EOFError:
                if self.is_person:
                    write("\n")
                raise Left from None
            except KeyboardInterrupt:
                if of_call:
                    raise Left from None
                write(HINT, "dim")

    async def _read(self, prompt: str) -> str:
        if not self.is_person:
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
        line: str = await self._session.prompt_async(prompt, handle_sigint=False)
        return line


def _plain(prompt: str) -> str:
    """`input`, which Ctrl-C interrupts at once; the event loop hears nothing of it."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    wakeup = signal.set_wakeup_fd(-1)
    try:
        return input(prompt)
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, handler)


class Interrupts:
    """Ctrl-C while it is entered: cancels what is `cancellable`, else does nothing."""

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    def __enter__(self) -> Self:
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, another thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        if self._running:
            self._running.cancel()

    async def cancellable(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """The result of `work`; None if it was interrupted."""
        running = self._running = asyncio.ensure_future(work)
        try:
            await asyncio.wait((running,))
        finally:
            self._running = None
            running.cancel()  # no more than it was, unless the wait was cancelled
        return None if running.cancelled() else running.result()
