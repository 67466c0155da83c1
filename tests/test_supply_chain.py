"""What is installed and shipped: audited, listed, and nothing but wheels with the hashes of the lock."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import audit, lock

from .test_setup import ROOT, pins

CLEAN = {"name": "httpx", "version": "0.28.1", "vulns": []}
BAD = {"name": "httpx", "version": "0.28.1", "vulns": [{"id": "PYSEC-2030-1", "fix_versions": ["0.29.0"]}]}
UNKNOWN = {"name": "httpx", "skip_reason": "Dependency not found and could not be audited: httpx (0.28.1)"}


def stand_in(folder: Path, *packages: dict[str, Any], error: str = "", code: int = 0) -> str:
    """A pip-audit that answers this for every lock."""
    answer = f"echo '{error}' >&2" if error else f"cat <<'END'\n{json.dumps({'dependencies': packages})}\nEND"
    program = folder / "pip-audit"
    program.write_text(f"#!/bin/sh\n{answer}\nexit {code}\n")
    program.chmod(0o755)
    return str(program)


def test_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([stand_in(tmp_path, CLEAN)]) == 0
    assert "No known vulnerability" in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--allow-unreachable"]])
def test_something_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert audit.main([stand_in(tmp_path, CLEAN, BAD, UNKNOWN, code=1), *options]) == audit.VULNERABLE
    assert "httpx 0.28.1: PYSEC-2030-1, fixed in 0.29.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "how", [{"error": "Connection refused", "code": 1}, {"packages": [CLEAN, UNKNOWN]}], ids=str
)
def test_what_was_not_looked_at_is_no_clean_bill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: dict[str, Any]
) -> None:
    program = stand_in(tmp_path, *how.pop("packages", ()), **how)
    assert audit.main([program]) == audit.NOT_AUDITED
    said = capsys.readouterr().out
    assert said.startswith("NOT AUDITED requirements-dev.txt: ") and "No known" not in said
    assert audit.main([program, "--allow-unreachable"]) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_every_locked_package_is_asked_for() -> None:
    asked = set.union(*(pins(name) for name in lock.LOCKS if name not in audit.CONTAINED))
    assert asked == set.union(*(pins(name) for name in lock.LOCKS))


@pytest.mark.parametrize("file", ["scripts/setup.sh", "layers/core/Makefile"])
def test_only_wheels_with_the_locks_hashes_are_installed(file: str) -> None:
    """A source distribution would run its own code while it is built."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    installs = [line for line in re.findall(r".*(?:pip|PIP\)) install .*", text) if " -r " in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line and "--only-binary=:all:" in line and "--no-deps" in line, line


def test_a_build_has_its_bill_of_materials() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "build"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    built, listed = (done.stdout.index(word) for word in ("/sam build", "cyclonedx-py requirements"))
    assert built < listed and lock.LAYER in done.stdout[listed:] and ".aws-sam/build/" in done.stdout[listed:]


@pytest.mark.slow
def test_the_bill_of_materials_names_all_that_ships(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    command = ["make", "sbom", f"SBOM={file}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(file.read_text())
    assert (made["bomFormat"], made["metadata"]["component"]["name"]) == ("CycloneDX", "openresponses")
    assert {f"{part['name']}=={part['version']}" for part in made["components"]} == pins(lock.LAYER)
    assert all(part["purl"].startswith("pkg:pypi/") for part in made["components"])
    assert all(part["externalReferences"][0]["hashes"] for part in made["components"])
