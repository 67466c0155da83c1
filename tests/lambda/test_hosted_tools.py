"""An operator's tools behind the built function, as `make build` lays them into the layer: Python, HTTP, Lambda; and a
deadline while they run."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.server import HTTPServer
from typing import Any

import pytest
import pytest_asyncio

from tests.engine.test_hosted_tools import FUNCTION, Endpoint
from tests.support import grammar
from tests.support.deployment import Deployment, Lambda
from tests.support.lambda_function import rest_event
from tests.support.provider import Provider
from tests.support.speech import MODELS, says

Json = dict[str, Any]
ACME = {"tenant": "acme"}
MODULE = '''
import asyncio, threading, time

def add(first: int, second: int = 1) -> int:
    """Adds two numbers."""
    return first + second

async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "late"

def hangs() -> None:
    threading.Event().wait()
'''
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def function(
    deployment: Deployment, endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lambda]:
    opt = tmp_path_factory.mktemp("operator") / "opt"
    shutil.copytree(deployment.opt, opt, copy_function=os.link)
    rows = [f'[[tool]]\nname = "{name}"\npython = "own_tools:{name}"\n' for name in ("add", "slow", "hangs")]
    rows.append(f'[[tool]]\nname = "weather"\nurl = "{endpoint}/weather"\ndescription = "The weather"\n')
    rows.append(f'[[tool]]\nname = "forecast"\nlambda = "{FUNCTION}"\n')
    (opt / "python/openresponses.toml").write_text("".join(rows))
    (opt / "python/own_tools.py").write_text(MODULE)
    async with replace(deployment, opt=opt).function(AWS_ENDPOINT_URL_LAMBDA=endpoint) as started:
        yield started


async def ask(function: Lambda, *, seconds: float = 60.0, **body: Any) -> Json:
    """The response of a streamed turn, which the store has, too."""
    event = rest_event("POST", "/v1/responses", {**body, "stream": True}, authorizer=ACME)
    answer = await (await function.api.invoke(event, seconds=seconds)).done()
    assert answer.status == 200 and answer.trailer_error is None, answer.body
    response: Json = grammar.check_stream(grammar.parse(answer.body))
    event = rest_event("GET", f"/v1/responses/{response['id']}", authorizer=ACME)
    assert (await (await function.api.invoke(event)).done()).json == response
    return response


def hosted(*names: str) -> list[Json]:
    return [{"type": "function", "name": name} for name in names]


def outputs(response: Json) -> list[str]:
    return [item["output"] for item in response["output"] if item["type"] == "function_call_output"]


@pytest.mark.parametrize("route", ["anthropic", "gemini"])
async def test_every_kind_runs_inside_the_turn(function: Lambda, provider: Provider, route: str) -> None:
    calls: list[tuple[str, Json | str]] = [
        ("add", {"first": 2}),
        ("weather", {"city": "Bern"}),
        ("forecast", {"city": "Rome"}),
        ("forecast", {"city": "Rome", "fail": True}),
    ]
    scenario = provider.play(says(route, calls=calls), says(route, "Done."))
    tools = hosted("add", "weather", "forecast")
    response = await ask(function, model=MODELS[route], input="go", tools=tools)
    failed = "Error: RuntimeError: the function failed: weather of Rome"
    assert outputs(response) == ["3", "weather of Bern", "weather of Rome", failed]
    assert response["output"][-1]["content"][0]["text"] == "Done."
    assert response["usage"]["total_tokens"] == 36 and len(scenario.requests) == 2
    assert "Adds two numbers." in scenario.requests[0].body.decode()


@pytest.mark.parametrize("name", ["slow", "hangs"])
async def test_the_deadline_stops_the_loop(function: Lambda, provider: Provider, name: str) -> None:
    """With an end, stored; the function answers the next turn, which goes on from it."""
    arguments = {"seconds": 60} if name == "slow" else {}
    calls: list[tuple[str, Json | str]] = [("add", {"first": 1}), (name, arguments)]
    scenario = provider.play(says("anthropic", calls=calls), says("anthropic", "On we go."))
    body: Json = {"model": MODELS["anthropic"], "tools": hosted("add", name)}
    response = await ask(function, seconds=11.5, input="go", **body)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "time_limit"})
    assert outputs(response) == ["2", "Error: the call was not completed."]
    assert len(scenario.requests) == 1
    again = await ask(function, input="And?", previous_response_id=response["id"], **body)
    assert again["output"][-1]["content"][0]["text"] == "On we go."


async def test_the_deadline_bounds_a_model_that_always_calls(function: Lambda, provider: Provider) -> None:
    scenario = provider.play(says("chat", calls=[("slow", {"seconds": 0.4})]))
    response = await ask(function, seconds=12.0, model=MODELS["chat"], input="go", tools=hosted("slow"))
    assert response["incomplete_details"] == {"reason": "time_limit"}
    assert 2 <= len(scenario.requests) <= 6
    assert outputs(response)[0] == "late"
