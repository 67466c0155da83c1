"""Compile the locked requirements files from pyproject.toml: `make lock`.

Owns the lock files and their headers. Its first argument is the path of `uv`, the rest are options for it; with
`--check` alone it needs no uv and only says whether the locks still belong to pyproject.toml.

The locks are universal (one file for every Python, system and architecture that we support), complete (install them
with `--no-deps`), carry hashes and name no package index.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYER = "layers/core/requirements.txt"
SERVE = "requirements-serve.txt"
DEV = "requirements-dev.txt"
SAM = "requirements-sam.txt"
AUDIT = "requirements-audit.txt"
UV = "scripts/requirements-uv.txt"
CLIENTS = "requirements-clients.txt"
CLIENTS_2 = "requirements-clients-openai2.txt"
SERVER = ["pyproject.toml", "--extra", "serve", "--group", "build"]

# lock file → what it holds, what uv compiles into it, the lock whose versions it must repeat (the widest first,
# so that one environment satisfies them all and the layer ships exactly what was tested)
LOCKS: dict[str, tuple[str, list[str], str | None]] = {
    DEV: ("everything: what `make test` and `make check` need", [*SERVER, "--group", "dev"], None),
    SERVE: ("what `make run` needs: the layer's packages and the local server's", SERVER, DEV),
    LAYER: ("what ships in the Lambda layer", ["pyproject.toml"], SERVE),
    SAM: ("AWS's SAM CLI, for `make sam-venv`", ["--group", "pyproject.toml:sam"], None),
    AUDIT: (
        "pip-audit and CycloneDX, for `make audit` and `make sbom`",
        ["--group", "pyproject.toml:audit"],
        None,
    ),
    UV: ("uv, for `make lock`", ["--group", "pyproject.toml:lock"], None),
    CLIENTS: ("client libraries, for `make test-clients`", ["--group", "pyproject.toml:clients"], None),
    CLIENTS_2: ("those that ask for openai 2", ["--group", "pyproject.toml:clients-openai2"], None),
}
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-config", "--quiet"]
OPTIONS += ["--no-header", "--no-emit-index-url", "--no-emit-find-links"]
DIGEST = "# dependencies-digest: sha256:"


def digest(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The SHA-256 of pyproject.toml's dependency tables, whatever their layout and comments."""
    tables = tomllib.loads(pyproject.read_text())
    project = tables["project"]
    wanted = {
        "requires-python": project["requires-python"],
        "dependencies": project["dependencies"],
        "optional-dependencies": project["optional-dependencies"],
        "dependency-groups": tables["dependency-groups"],
    }
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def stale() -> list[str]:
    """The lock files that were not compiled from today's pyproject.toml."""
    line = DIGEST + digest()
    return [name for name in LOCKS if line not in (ROOT / name).read_text().splitlines()[:5]]


def compile_lock(uv: str, name: str, options: list[str]) -> None:
    """Write one lock file. Versions already locked are kept unless `--upgrade` is among the options for uv."""
    title, what, constraint = LOCKS[name]
    command = [uv, "pip", "compile", *what, "--output-file", name, *OPTIONS, *options]
    if constraint:
        command += ["--constraints", constraint]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    lock_file = ROOT / name
    header = f"# {title}. Made by `make lock` from pyproject.toml; do not edit.\n{DIGEST}{digest()}\n\n"
    lock_file.write_text(header + lock_file.read_text())


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if old := stale():
            sys.exit(f"not compiled from this pyproject.toml: {', '.join(old)}; run make lock")
    else:
        uv, *options = sys.argv[1:]
        for lock in LOCKS:
            compile_lock(uv, lock, options)
