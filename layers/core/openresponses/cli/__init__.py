"""The command `openresponses`. One file a group of commands; `COMMANDS` lists them, and each is loaded when it is asked
for.

    base.py        what commands are made of: errors and exit codes, examples, lazy loading
    place.py       which stack, or which local store, an operator works on
    gateway.py     which gateway a command speaks to: over HTTP, or within this process
    terminal.py    what the terminal shows

Exit codes: 0 it worked, 1 the request (or what was examined) failed, 2 it was called wrongly, 130 it was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

# Name → where it is, below this package.
COMMANDS = {
    "serve": "serve:serve",
    "ask": "ask:ask",
    "chat": "chat:chat",
    "models": "models:models",
    "explain": "explain:explain",
    "responses": "responses:responses",
    "keys": "keys:keys",
    "secrets": "secrets:secrets",
    "tenants": "tenants:tenants",
    "doctor": "doctor:doctor",
    "completion": "completion:completion",
}
PACKAGE = __name__.partition(".")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code. What went wrong is one line on standard error that says what to do."""
    try:
        from .base import run

        return run(COMMANDS, list(sys.argv[1:] if arguments is None else arguments))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(PACKAGE):
            raise
        print(f"openresponses: {error.name} is missing: pip install 'openresponses[serve]'", file=sys.stderr)
        return 2
