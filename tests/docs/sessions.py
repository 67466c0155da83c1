"""The commands of a page, run as they are printed, and what they print compared with the block that follows.

    <!-- file: clock.py -->              the next block is a file in the folder where the commands run
    <!-- server: NAME=VALUE … -->        the page's gateway has these variables, and is its own

A page's ```sh blocks are one shell session, in order. A ```text or ```json block right behind one is what it prints;
`…` there stands for anything, and ids, times and ports may differ.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

ADDRESS = "http://127.0.0.1:4000"
# A fenced block: what stands before it if that is a comment, its language and its text; and what follows at once.
BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```\n"
    r"(?:```(?:text|json)\n(?P<printed>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
SERVER = re.compile(r"^<!-- server: (.*) -->$", re.MULTILINE)
GENERATED = re.compile(r"<!-- generated:.*?<!-- end -->", re.DOTALL)
NEXT = "@@@ next block"


@dataclass(frozen=True)
class Block:
    """Commands, and what they print; None: the page does not say."""

    commands: str
    printed: str | None

    @property
    def first_line(self) -> str:
        return self.commands.splitlines()[0]


def blocks(text: str) -> list[Block]:
    """The ```sh blocks of a page."""
    return [Block(b["text"], b["printed"]) for b in BLOCK.finditer(text) if b["language"] == "sh"]


def files(text: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    return {b["file"]: b["text"] for b in BLOCK.finditer(text) if b["file"]}


def unlabelled_commands(text: str) -> list[str]:
    """Lines of our own commands in blocks that are not ```sh, and so would not be run."""
    others = [b["text"] for b in BLOCK.finditer(GENERATED.sub("", text)) if b["language"] != "sh"]
    return [
        line for one in others for line in one.splitlines() if re.match(r"(openresponses|make|curl) ", line)
    ]


def environment(home: Path) -> dict[str, str]:
    """A new user's: no key, an empty data folder, the commands of this environment on the path."""
    kept = {name: os.environ[name] for name in ("LANG",) if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "XDG_DATA_HOME": str(home)}


@contextmanager
def serving(home: Path, **environ: str) -> Iterator[tuple[str, str]]:
    """(URL, greeting) of `openresponses serve`, started in `home`."""
    command = [sys.executable, "-m", "openresponses", "serve", "--port", "0"]
    given = environment(home) | environ
    with subprocess.Popen(command, cwd=home, env=given, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            greeting = "".join(process.stdout.readline() for _ in range(4))
            found = re.search(r"http://\S+", greeting)
            assert found, greeting
            yield found[0], greeting
        finally:
            process.terminate()


def run(commands: str, url: str, folder: Path, seconds: float = 60) -> str:
    """What a shell prints for the commands, with the address of the server at hand; what it left running is ended."""
    with TemporaryFile("w+") as told, TemporaryFile("w+") as complaints:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", f"exec </dev/null\n{commands.replace(ADDRESS, url)}"],
            cwd=folder,
            env=environment(folder) | {"OPENRESPONSES_URL": url},
            stdout=told,
            stderr=complaints,
            start_new_session=True,
        )
        try:
            code = shell.wait(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        for file in (told, complaints):
            file.seek(0)
        printed = told.read()
        assert code == 0, f"{printed}\n{complaints.read()}"
        return printed


def run_page(text: str, chosen: list[Block], url: str, folder: Path) -> list[str]:
    """What each of the page's blocks prints."""
    for name, content in files(text).items():
        (folder / name).write_text(content)
    whole = f"\necho\necho '{NEXT}'\n".join(block.commands for block in chosen)
    return run(whole, url, folder).split(NEXT)


def plain(printed: str) -> str:
    """Output without what differs from run to run: ids, times, the port."""
    printed = re.sub(r"[0-9a-f]{32}", "ID", printed)
    printed = re.sub(r'("(?:created|completed)_at":)\d+', r"\1TIME", printed)
    printed = re.sub(r"http://127\.0\.0\.1:\d+", ADDRESS, printed)
    printed = re.sub(r"(?<!\d)\d\d:\d\d(?!\d)", "TIME", printed)
    return "\n".join(line.rstrip() for line in printed.strip().splitlines())


def agrees(promised: str, got: str) -> bool:
    """Whether a page's output block is what was printed; its `…` stands for anything."""
    pattern = ".*?".join(map(re.escape, plain(promised).split("…")))
    return re.fullmatch(pattern, plain(got), re.DOTALL) is not None
