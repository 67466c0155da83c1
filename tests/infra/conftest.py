from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAM_PYTHON = ROOT / ".venv-sam/bin/python"

Templates = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def sam() -> Path:
    """The SAM CLI's folder of programs."""
    if not SAM_PYTHON.exists():
        pytest.skip("needs the SAM CLI: make sam-venv")
    return SAM_PYTHON.parent


@pytest.fixture(scope="session")
def translate(sam: Path) -> Callable[..., Templates]:
    """SAM templates' texts, by name, to CloudFormation's terms, and what parameters they are translated with; one start
    of the translator for all."""

    def run(texts: dict[str, str], parameters: Mapping[str, dict[str, str]] | None = None) -> Templates:
        script = Path(__file__).with_name("translate.py")
        given = parameters or {}
        wanted = json.dumps(
            {name: {"template": text, "parameters": given.get(name, {})} for name, text in texts.items()}
        )
        command = [sam / "python", script]
        done = subprocess.run(command, input=wanted, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        translated: Templates = json.loads(done.stdout)
        return translated

    return run
