"""The project's own equipment: lock files, what is checked in, and the setup script's way to say no."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import lock

ROOT = Path(__file__).resolve().parent.parent
LOCKS = list(lock.LOCKS)
# Put together here so that this file does not name them either.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("conda", "anaconda", "org"),
    )
]


def requirements(name: str) -> list[str]:
    """The requirements of a lock file, one string each: `name==version ; marker --hash=...`."""
    text = (ROOT / name).read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def pins(name: str) -> set[str]:
    return {line.split()[0] for line in requirements(name)}


def test_locks_belong_to_pyproject() -> None:
    assert lock.stale() == [], "run make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    assert requirements(name)
    pin = re.compile(r"[a-z0-9._-]+==\S+ +(;[^\\]+? +)?(--hash=sha256:[0-9a-f]{64} *)+")
    assert [line for line in requirements(name) if not pin.fullmatch(line)] == []


def test_what_ships_is_what_is_tested() -> None:
    assert pins(lock.LAYER) <= pins(lock.SERVE) <= pins(lock.DEV)


def test_layer_lock_has_no_markers_but_of_what_builds_and_lambda_share() -> None:
    """pip reads markers for the machine that builds the layer, not for Lambda; both are CPython on a Unix."""
    same = re.compile(
        r"( and |(platform_python_implementation|implementation_name) != 'PyPy'|sys_platform != 'emscripten')+"
        r"|(.* and )?sys_platform == '(emscripten|win32)'"
    )
    markers = {line.partition(";")[2].partition("--hash")[0].strip() for line in requirements(lock.LAYER)}
    assert [marker for marker in markers - {""} if not same.fullmatch(marker)] == []


def test_layer_keeps_the_services_that_the_code_uses() -> None:
    makefile = (ROOT / "layers/core/Makefile").read_text()
    kept = re.search(r"^AWS_SERVICES := (.*)$", makefile, re.M)
    assert kept
    code = [*ROOT.glob("layers/*/**/*.py"), *ROOT.glob("functions/**/*.py")]
    code = [
        path for path in code if "cli" not in path.parts
    ]  # it runs where the operator is, with all of boto3
    calls = re.compile(r"\b(?:client|resource)\(\s*[\"']([a-z0-9-]+)[\"']")
    used = {name for path in code for name in calls.findall(path.read_text()) if "build" not in path.parts}
    assert used <= set(kept[1].split())


def test_no_package_index_is_named() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked
        if path.is_file()
        for host in INDEX_HOSTS
        if host.encode() in path.read_bytes()
    ]
    assert found == []


def fake_python(folder: Path, script: str) -> Path:
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


def setup_with(python: Path, venv: Path) -> str:
    """What `make setup` says on standard error when `python` is the only interpreter; it must fail."""
    ran = subprocess.run(
        [ROOT / "scripts/setup.sh", venv, lock.SERVE],
        env={"PATH": os.environ["PATH"], "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode != 0
    assert ran.stdout == ""
    assert not venv.exists()
    assert len(ran.stderr.splitlines()) == 1
    return ran.stderr


def test_old_python_is_one_line(tmp_path: Path) -> None:
    old = fake_python(tmp_path, 'case "$2" in *print*) echo 3.9;; *) exit 1;; esac')
    assert setup_with(old, tmp_path / "venv").startswith("Python 3.9 is too old: install Python 3.11")


def test_missing_venv_module_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('as on Debian without python3-venv')")
    bare = fake_python(tmp_path, f'PYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"')
    assert "sudo apt install python3-venv" in setup_with(bare, tmp_path / "venv")


def test_a_link_to_another_checkouts_environment_is_left_alone(tmp_path: Path) -> None:
    """It is not this checkout's, so an environment is made afresh: in the link's place, not where it leads."""
    other, link = tmp_path / "other", tmp_path / "venv"
    other.mkdir()
    (other / "theirs").touch()
    link.symlink_to(other)
    broken = fake_python(
        tmp_path, f'case "$2" in venv) rm -rf "$4"/*; exit 1;; *) exec "{sys.executable}" "$@";; esac'
    )
    assert "could not make" in setup_with(broken, link)
    assert (other / "theirs").exists()


def test_no_python_is_one_line(tmp_path: Path) -> None:
    assert setup_with(tmp_path / "nowhere", tmp_path / "venv").startswith("No Python found as ")
