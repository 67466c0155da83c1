"""What a cold start costs, as a ratio in one run: the built function's first byte beside what any function with a
provider key, a table and a checked request has to import. With -s it prints the figures of docs/performance.md.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time

import pytest

from tests.support import speech
from tests.support.deployment import Deployment
from tests.support.lambda_function import rest_event
from tests.support.provider import Provider

ROUNDS = 7
MOST = 1.25
BARE = "import boto3; boto3.client('dynamodb'); import pydantic, httpx"
TURN = {"model": speech.MODELS["anthropic"], "input": "Hello", "stream": True, "store": False}


async def bare_imports(deployment: Deployment) -> float:
    """Seconds from the process's start to its end."""
    path = f"{deployment.opt}/python"
    environment = {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "eu-west-1", "PYTHONDONTWRITEBYTECODE": "1"}
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(deployment.python, "-c", BARE, env=environment)
    assert await process.wait() == 0
    return time.perf_counter() - begun


async def first_byte(deployment: Deployment) -> float:
    """Seconds from the process's start to the first byte of the answer: the key is fetched, the provider asked."""
    begun = time.monotonic()
    async with deployment.function() as function:
        event = rest_event("POST", "/v1/responses", TURN, authorizer={"tenant": "acme"})
        answer = await (await function.api.invoke(event)).done()
        assert answer.status == 200
        at, _ = answer.pieces()[0]
        return at - begun


@pytest.mark.slow
async def test_a_cold_start_beside_bare_imports(deployment: Deployment, provider: Provider) -> None:
    provider.play(speech.says("anthropic", "Hello"))
    await bare_imports(deployment), await first_byte(deployment)  # the files are in memory from now on
    pairs = [(await bare_imports(deployment), await first_byte(deployment)) for _ in range(ROUNDS)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / its for its, mine in pairs)
    print(f"\nbare imports {bare * 1000:.0f} ms, first byte {ours * 1000:.0f} ms, ratio {ratio:.2f}")
    assert ratio <= MOST


def test_what_a_stateless_turn_does_not_need_is_not_imported(deployment: Deployment) -> None:
    task = deployment.artifacts / "ResponsesFunction"
    environment = deployment.environment(
        PYTHONPATH=f"{task}:{deployment.opt}/python",
        PYTHONDONTWRITEBYTECODE="1",
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
    )
    code = "import sys, lambda_stream.runtime, app; print(*sys.modules)"
    command = [deployment.python, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "openresponses.http.app" in imported
    assert not sorted(NOT_NEEDED & imported)


NOT_NEEDED = {
    "boto3",
    "botocore.session",
    "cryptography",
    "uvicorn",
    "aiohttp",
    "sqlite3",
    "openresponses.http.openapi",
    "openresponses.http.websocket",
    "openresponses.protocol.conversations",
    "openresponses.engine.background",
    "mcp",
    "opentelemetry",
    "openresponses.otel",
    "openresponses.prometheus",
    "httpx2",
    "openresponses.engine.mcp.servers",
}
