"""What CI and the container image are made of: pinned, with few permissions, and of things that are there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


# --------------------------------------------------------------------------- workflows


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"audit", "build", "ci", "deploy"}


@every_workflow
def test_actions_are_pinned(path: Path) -> None:
    """A tag can be moved; a commit cannot. The comment says which release it is; one action has one commit."""
    uses = re.findall(r"uses: (.*)$", path.read_text(), re.MULTILINE)
    assert uses
    for line in uses:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    everywhere = [
        line for one in WORKFLOWS for line in re.findall(r"uses: (.*)$", one.read_text(), re.MULTILINE)
    ]
    pins = {line.partition("@")[0]: line for line in everywhere}
    assert set(everywhere) == set(pins.values())


@every_workflow
def test_permissions_are_few(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        wanted = {"contents": "read", "id-token": "write"} if path.stem == "deploy" else None
        assert job.get("permissions") == wanted, name
        assert job["timeout-minutes"] <= 60, name
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts), name
    assert "secrets." not in path.read_text(), "no long-lived keys"
    assert "pull_request_target" not in path.read_text()


@every_workflow
def test_runs_do_not_pile_up(path: Path) -> None:
    concurrency = read(path)["concurrency"]
    assert concurrency["group"].startswith(f"{path.stem}-${{{{ ")
    assert concurrency["cancel-in-progress"] is (path.stem != "deploy")


@every_workflow
def test_what_is_run_exists(path: Path) -> None:
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            script = step.get("run", "")
            assert "${{" not in script, "an expression in a script is a way in: use env"
            for called in re.findall(r"\bmake ([^\n|&;]+)", script):
                names = [word for word in called.split() if "=" not in word]
                assert names and set(names) <= TARGETS, called
            for file in re.findall(r"\b(?:examples|scripts)/[\w./]+", script):
                assert (ROOT / file).exists(), file


def test_the_versions_are_those_that_are_promised() -> None:
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix == {"os": ["ubuntu-latest", "macos-latest"], "python": ["3.11", "3.12", "3.13", "3.14"]}


def test_a_deployment_is_asked_for() -> None:
    workflow = read(ROOT / ".github/workflows/deploy.yml")
    assert list(workflow[cast(Any, True)]) == ["workflow_dispatch"]  # YAML reads the key `on` as true


def test_every_target_is_listed() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    silent = {"setup-run", "clients-python", "clients-js", "audit-venv"}
    assert set(re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE)) == TARGETS - silent
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert set(phony.split()) == TARGETS


# --------------------------------------------------------------------------- the container image


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_made_of_what_is_there_and_let_in() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == let_in and all((ROOT / source).exists() for source in copied)


def test_every_engine_keeps_the_health_check() -> None:
    """Podman and Buildah leave it out of an image in their own format, and only warn."""
    for engine in ("podman", "buildah"):
        called = subprocess.run(
            ["make", "-n", "image", f"ENGINE={engine}"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert f"BUILDAH_FORMAT=docker {engine} build " in called.stdout


def test_the_image_runs_as_nobody_in_particular() -> None:
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert len(stages) == 2 and len({stage.split()[0] for stage in stages}) == 1
    words = [word for word, _ in instructions()]
    last = instructions()[len(words) - words[::-1].index("FROM") :]
    given = dict(last)
    assert given["USER"] == "10001" and f"--uid {given['USER']}" in given["RUN"]
    assert "HEALTHCHECK" in given
    assert json.loads(given["ENTRYPOINT"]) == ["openresponses"]
    assert json.loads(given["CMD"])[0] == "serve"
    installs = [rest for _, rest in instructions() if "pip install" in rest]
    assert all("--require-hashes" in rest or "--no-index" in rest for rest in installs)


@pytest.mark.slow
def test_the_steps_of_the_image(tmp_path: Path) -> None:
    """The build stage's steps, here: only what is copied is there. Then the health check's own program, on a server."""
    source, home, wheels = tmp_path / "src", tmp_path / "opt", tmp_path / "dist"
    source.mkdir()
    places = {"/opt/openresponses": str(home), "/dist": str(wheels)}
    for word, rest in instructions():
        if word == "FROM" and not rest.endswith("AS build"):
            break
        if word == "COPY":
            *copied, _ = rest.split()
            for name in copied:
                into = source / name
                into.parent.mkdir(parents=True, exist_ok=True)
                whole = (ROOT / name).is_dir()
                shutil.copytree(ROOT / name, into) if whole else shutil.copy(ROOT / name, into)
        if word == "RUN":
            step = rest
            for there, here in places.items():
                step = step.replace(there, here)
            step = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", step)
            done = subprocess.run(["sh", "-euc", step], cwd=source, capture_output=True, text=True)
            assert done.returncode == 0, f"{step}\n{done.stderr}"
    [health] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    check = json.loads(health.partition("CMD ")[2])
    command = [str(home / "bin/openresponses"), "serve", "--port", "0", "--store", ":memory:"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            [url] = re.findall(r"http://\S+", server.stdout.readline())
            program = check[-1].replace("http://127.0.0.1:4000", url)
            assert subprocess.run([str(home / "bin/python"), "-c", program]).returncode == 0
        finally:
            server.terminate()
    assert server.returncode in (0, -signal.SIGTERM)  # by itself, not killed
