"""Commands as a person calls them, within the test's process: arguments and standard input in, what is told out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from openresponses import cli


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]
OF_OURS = ("OPENRESPONSES_", "_API_KEY", "_BASE_URL", "AWS_")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, as the current folder, and nothing of ours in the environment."""
    import os

    for name in list(os.environ):
        if any(mark in name for mark in OF_OURS):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    # No server of whoever runs the tests.
    monkeypatch.setattr("openresponses.cli.gateway.LOCAL_URL", "http://127.0.0.1:1/v1")
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str, stdin: str | bytes = b"") -> Said:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        code = cli.main(arguments)
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return call
