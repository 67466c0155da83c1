"""The deployment on this machine: what `sam build` makes, run as Lambda runs it, with moto for AWS's services."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from openresponses.store.dynamodb_keys import DynamoDBKeys

from scripts import stand_in

from .lambda_function import ROOT, Function, running
from .runtime_api import RuntimeApi

BUILDS = ROOT / "build/lambda"
SOURCES = ("layers", "functions", "infra", "template.yaml")
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]


def python313() -> str:
    """A working CPython 3.13: on PATH, or pyenv's. Skips the test where there is none."""
    found = [shutil.which("python3.13"), *map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))]
    for candidate in filter(None, found):
        asked = subprocess.run(
            [candidate, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
        )
        if asked.returncode == 0:
            return os.path.realpath(asked.stdout.strip())
    pytest.skip("needs Python 3.13, on PATH or among pyenv's versions")


def build() -> Path:
    """`sam build` of the sources as they are, once; the folder with its artifacts. Skips where there is no SAM CLI."""
    sam = ROOT / ".venv-sam/bin/sam"
    if not sam.exists():
        pytest.skip("needs the SAM CLI: make sam-venv")
    path = f"{Path(python313()).parent}:/usr/local/bin:/usr/bin:/bin"
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = BUILDS / digest_of_sources()
        if not built.exists():
            remove_old_builds()
            under_way = BUILDS / "under-way"
            shutil.rmtree(under_way, ignore_errors=True)
            command = [str(sam), "build", "--no-cached", "--build-dir", str(under_way / "artifacts")]
            command += ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
            settings = {"PATH": path, "AWS_DEFAULT_REGION": stand_in.REGION, "SAM_CLI_TELEMETRY": "0"}
            environment = {**os.environ, **settings}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
            unpack_layers(under_way / "artifacts", under_way / "opt")
            under_way.rename(built)
    return built


def remove_old_builds() -> None:
    """Those that no test can be using any more."""
    for folder in BUILDS.iterdir():
        if folder.is_dir() and folder.stat().st_mtime < time.time() - 1800:
            shutil.rmtree(folder, ignore_errors=True)


def digest_of_sources() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        root = ROOT / source
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file):
                digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def unpack_layers(artifacts: Path, opt: Path) -> None:
    """The layers, one over the other, as they stand in /opt. Links, so that it costs nothing."""
    shutil.rmtree(opt, ignore_errors=True)
    for layer in ("CoreLayer", "RuntimeLayer"):
        shutil.copytree(artifacts / layer, opt, copy_function=os.link, dirs_exist_ok=True)


@dataclass
class Deployment:
    """A stack of its own: table, secret, keys. `endpoint` is moto's."""

    artifacts: Path
    opt: Path
    python: str
    endpoint: str
    table: str
    secret: str
    sealing_secret: str
    keys: DynamoDBKeys

    def set_secret(self, values: Mapping[str, str]) -> None:
        manager = stand_in.client("secretsmanager", self.endpoint)
        manager.put_secret_value(SecretId=self.secret, SecretString=json.dumps(dict(values)))

    def environment(self, **more: str) -> dict[str, str]:
        """What the template gives the function."""
        return {
            "TABLE_NAME": self.table,
            "PROVIDER_SECRET_ARN": self.secret,
            "SEALING_SECRET_ARN": self.sealing_secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "OPENRESPONSES_HISTORY_TTL_DAYS": "30",
            "OPENRESPONSES_MAX_TURN_SECONDS": "600",
            "OPENRESPONSES_MAX_BODY_BYTES": "4194304",
            "OPENRESPONSES_LOG_LEVEL": "INFO",
            "OPENRESPONSES_MAX_RETRIES": "0",
            "WORKER_FUNCTION": "worker",
            "WEBSOCKET_URL": "http://127.0.0.1:9/live",
            "POWERTOOLS_SERVICE_NAME": "openresponses",
            "POWERTOOLS_METRICS_NAMESPACE": "OpenResponses",
            "PYTHONNOUSERSITE": "1",
            **more,
        }

    @asynccontextmanager
    async def function(self, name: str = "ResponsesFunction", /, **environment: str) -> AsyncIterator[Lambda]:
        """A function that streams, running, and its Runtime API."""
        async with (
            RuntimeApi() as api,
            running(
                api,
                opt=self.opt,
                task_root=self.artifacts / name,
                python=self.python,
                env=self.environment(**environment),
            ) as process,
        ):
            yield Lambda(api, process)


@dataclass
class Lambda:
    api: RuntimeApi
    process: Function


def deploy(endpoint: str, provider_settings: Mapping[str, str]) -> Deployment:
    """A new stack of what was built."""
    built = build()
    name = f"responses-{uuid4().hex[:8]}"
    stand_in.make_table(endpoint, name)
    secret = stand_in.make_secret(endpoint, name, provider_settings)
    sealing_secret = stand_in.make_sealing_secret(endpoint, f"{name}-sealing")
    keys = DynamoDBKeys(name, client=lambda: stand_in.client("dynamodb", endpoint))
    return Deployment(
        built / "artifacts", built / "opt", python313(), endpoint, name, secret, sealing_secret, keys
    )
