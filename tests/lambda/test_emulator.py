"""AWS's own Runtime Interface Emulator accepts what the built function says. It buffers: a check of contract only."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.support.deployment import ARCHITECTURE, Deployment
from tests.support.lambda_function import ROOT, lambda_environment, rest_event


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def emulator(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL to invoke at."""
    pattern = f".venv-sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"
    (program,) = ROOT.glob(pattern)
    task_root = deployment.artifacts / "ResponsesFunction"
    scratch = tmp_path_factory.mktemp("emulator")
    bootstrap = scratch / "bootstrap"
    # As the managed image's: the wrapper gets the command line of the managed runtime.
    bootstrap.write_text(
        f'#!/bin/sh\nexec "$AWS_LAMBDA_EXEC_WRAPPER" {deployment.python} /var/runtime/bootstrap.py\n'
    )
    bootstrap.chmod(0o755)
    runtime_api = f"127.0.0.1:{free_port()}"
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **lambda_environment(task_root, "app.app", runtime_api, str(scratch)),
        **deployment.environment(),
        "AWS_LAMBDA_EXEC_WRAPPER": str(deployment.opt / "streaming-runtime"),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
    }
    command = [str(program), "--runtime-interface-emulator-address", address]
    command += ["--runtime-api-address", runtime_api, str(bootstrap), "app.app"]
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=task_root, env=environment, stdout=log, stderr=log)
    try:
        wait_for(address)
        yield f"http://{address}/2015-03-31/functions/function/invocations"
    finally:
        process.terminate()
        process.wait(10)


def wait_for(address: str) -> None:
    host, port = address.split(":")
    for _ in range(200):
        with suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.05)
    raise AssertionError("the emulator did not start")


def invoke(url: str, event: Any) -> bytes:
    answer = httpx.post(url, json=event, timeout=60, trust_env=False)
    assert answer.status_code == 200
    return answer.content


def test_the_emulator_accepts_streams_errors_and_unknown_events(emulator: str) -> None:
    body = {"model": "echo", "input": "Hello", "stream": True}
    for _ in range(2):
        event = rest_event("POST", "/v1/responses", body, authorizer={"tenant": "acme"})
        head, _, payload = invoke(emulator, event).partition(b"\0" * 8)
        assert json.loads(head)["statusCode"] == 200
        assert payload.endswith(b"data: [DONE]\n\n") and b"event: response.completed" in payload
    refused, _, payload = invoke(emulator, rest_event("POST", "/v1/responses", body)).partition(b"\0" * 8)
    assert json.loads(refused)["statusCode"] == 401 and json.loads(payload)["error"]
    assert json.loads(invoke(emulator, {"warmup": True}))["statusCode"] == 400
