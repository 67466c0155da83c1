"""The session of docs/cli.md prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docs import ROOT


@pytest.mark.slow
def test_the_session(tmp_path: Path) -> None:
    session = (
        (ROOT / "docs/cli.md").read_text().split("<!-- session -->")[1].split("<!-- end of session -->")[0]
    )
    commands, expected = (block.partition("```")[0] for block in re.split(r"```(?:sh|text)\n", session)[1:])
    (tmp_path / "openresponses").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m openresponses "$@"\n')
    (tmp_path / "openresponses").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"exec </dev/null\n{commands}"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = [line.rstrip() for line in done.stdout.splitlines()]
    assert told == expected.splitlines()
