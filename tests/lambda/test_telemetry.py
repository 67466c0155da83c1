"""What the built function writes to its log: the metrics that alarms and the dashboard read, and a line a turn."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support import speech
from tests.support.deployment import Deployment, Lambda
from tests.support.gateway import KEY, environment
from tests.support.lambda_function import ROOT, rest_event
from tests.support.provider import SSE, Answer, Provider
from tests.support.runtime_api import Answer as LambdaAnswer

MODEL = speech.MODELS["anthropic"]
XRAY = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1"
OVERLOADED = Answer(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', status=529)
LIMITED = Answer(b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', status=429)
REFUSED = Answer(b'{"type":"error","error":{"type":"authentication_error","message":"no"}}', status=401)

pytestmark = pytest.mark.asyncio(loop_scope="module")


ROWS = """
[[model]]
match = ["claude-test"]
price = {{ input = 3, output = 15 }}

[[alias]]
name = "with-a-spare"
target = "openai/gpt-test"
fallback = ["anthropic/claude-test"]

[[tool]]
name = "remote"
url = "{url}/tool"
"""
REMOTE = {"model": MODEL, "tools": [{"type": "function", "name": "remote"}]}
ANSWERED = Answer(b"42", content_type="text/plain")
DOWN = Answer(b'{"error":{"message":"down"}}', status=503)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faulty(
    deployment: Deployment, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lambda]:
    """A function without its table, with a tool and prices, that gives a provider up at once."""
    config = tmp_path_factory.mktemp("config") / "models.toml"
    config.write_text(ROWS.format(url=provider.url))
    settings = {
        "OPENRESPONSES_CONFIG": str(config),
        "OPENRESPONSES_BREAKER_FAILURES": "1",
        "OPENRESPONSES_BREAKER_SECONDS": "1e-9",  # all providers share a URL, and so a circuit
        "TABLE_NAME": "lost",
    }
    async with deployment.function(**settings) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def function(deployment: Deployment) -> AsyncIterator[Lambda]:
    settings = {"OPENRESPONSES_MAX_RETRIES": "1", "OPENRESPONSES_MAX_JSON_SECONDS": "1"}
    async with deployment.function(**settings) as started:
        yield started


class Said:
    """The lines that the function writes from now on, or has written `since`, as JSON."""

    def __init__(self, function: Lambda, since: int | None = None) -> None:
        self._function = function
        self._begun = len(function.process.log) if since is None else since

    def lines(self) -> list[dict[str, Any]]:
        text = self._function.process.log[self._begun :]
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def metrics(self, *dimensions: str) -> dict[str, float]:
        """Sums of the metrics under `service` and `dimensions`, in the embedded metric format."""
        sums: dict[str, float] = {}
        for line in self.lines():
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                assert directive["Namespace"] == "OpenResponses" and line["service"] == "openresponses"
                if ["service", *dimensions] in directive["Dimensions"]:
                    for metric in directive["Metrics"]:
                        name = metric["Name"]
                        sums[name] = sums.get(name, 0) + sum(line[name])
        return sums

    def turns(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("message") == "turn ended"]


async def ask(function: Lambda, **more: Any) -> LambdaAnswer:
    body = {"model": MODEL, "input": "canary-input", **more}
    event = rest_event("POST", "/v1/responses", body, authorizer={"tenant": "acme"})
    answer = await (await function.api.invoke(event, trace=XRAY)).done()
    await asyncio.wait_for(
        function.api.waiting.wait(), 5
    )  # what is written before the function may be frozen
    return answer


async def test_a_turn(function: Lambda, provider: Provider) -> None:
    provider.play(speech.says("anthropic", "canary-output"))
    said = Said(function)
    answer = await ask(function, stream=True)
    assert answer.status == 200
    metrics = said.metrics()
    assert metrics["Responses"] == 1 and metrics["InputTokens"] > 0 and metrics["OutputTokens"] > 0
    assert 0 < metrics["TimeToFirstToken"] <= metrics["Duration"] < 10_000
    assert not {"ResponsesFailed", "ResponsesIncomplete", "Retries"} & set(metrics)
    assert said.metrics("provider", "model") == metrics
    (line,) = said.turns()
    assert line["response_id"].startswith("resp_") and line["tenant"] == "acme"
    assert (line["provider"], line["status"]) == ("anthropic", "completed")
    assert line["request_id"] == answer.prelude["headers"]["x-request-id"]
    (sample,) = (line for line in said.lines() if line.get("message") == "sample ended")
    assert sample["gen_ai.provider.name"] == "anthropic" and sample["xray_trace_id"] in XRAY
    for named in ("request_id", "response_id", "tenant", "trace_id"):
        assert sample[named] == line[named]
    assert "canary" not in function.process.log and KEY not in function.process.log


async def test_failures_before_and_after_the_first_byte(function: Lambda, provider: Provider) -> None:
    said = Said(function)
    provider.play(OVERLOADED)
    assert (await ask(function)).status == 503
    begun = speech.says("anthropic", "Hello there").body.split(b"\n\n")[:4]
    provider.play(Answer(pieces=[part + b"\n\n" for part in begun], content_type=SSE, ending="abort"))
    assert (await ask(function, stream=True)).status == 200
    metrics = said.metrics()
    assert metrics["ResponsesFailed"] == 2 and metrics["Responses"] == 2 and metrics["Retries"] == 1
    assert [line["status"] for line in said.turns()] == ["failed", "failed"]
    assert said.metrics("provider", "model")["Retries"] == 1


async def test_a_bad_request_is_no_failure(function: Lambda) -> None:
    said = Said(function)
    assert (await ask(function, previous_response_id="resp_" + "0" * 32)).status == 404
    assert said.metrics().keys() == {"Responses", "ResponsesRefused", "Duration"}


async def test_a_provider_that_limits(function: Lambda, provider: Provider) -> None:
    provider.play(LIMITED)
    said = Said(function)
    assert (await ask(function)).status == 429
    assert said.metrics()["Throttled"] == 2  # the retry, too


async def test_a_refused_key(function: Lambda, deployment: Deployment, provider: Provider) -> None:
    provider.play(REFUSED)
    said = Said(function)
    assert (await ask(function)).status == 502
    assert said.metrics()["ProviderKeyRefused"] == 1
    said = Said(function)
    provider.play(REFUSED, speech.says("anthropic", "Hello"))  # rotated: the fresh one is accepted
    assert (await ask(function)).status == 200
    assert "ProviderKeyRefused" not in said.metrics()


async def test_an_answer_that_does_not_stream_ends_before_api_gateway_does(
    function: Lambda, provider: Provider
) -> None:
    begun = speech.says("anthropic", "Hello there").body.split(b"\n\n")[:4]
    provider.play(Answer(pieces=[part + b"\n\n" for part in begun], content_type=SSE, ending="hang"))
    said = Said(function)
    response = (await ask(function)).json
    assert response["status"] == "incomplete" and response["incomplete_details"] == {"reason": "time_limit"}
    assert said.metrics()["ResponsesIncomplete"] == 1
    assert said.turns()[0]["reason"] == "time_limit"


async def test_models_by_any_name_are_one_dimension(function: Lambda, provider: Provider) -> None:
    provider.play(speech.says("anthropic", "Hello"))
    said = Said(function)
    await ask(function, model="anthropic/no-model-of-this-name")
    models = {line["model"] for line in said.lines() if "_aws" in line}
    assert models == {"other"}


async def test_keys_that_nobody_has_written(deployment: Deployment, provider: Provider) -> None:
    try:
        deployment.set_secret({})
        async with deployment.function() as function:
            answer = await ask(function)
            assert answer.json["error"]["code"] == "provider_not_configured"
            assert "ANTHROPIC_API_KEY" in answer.json["error"]["message"]
    finally:
        deployment.set_secret(environment(provider.url))


async def test_a_store_that_is_lost(faulty: Lambda, provider: Provider) -> None:
    provider.play(speech.says("anthropic", "Hello"))
    said = Said(faulty)
    assert (await ask(faulty)).json["store"] is False
    assert said.metrics("provider", "model")["StoreFailures"] == 1
    assert said.metrics()["Cost"] == pytest.approx((11 * 3 + 7 * 15) / 1e6)


async def test_a_fallback_and_an_open_circuit(faulty: Lambda, provider: Provider) -> None:
    provider.play(DOWN, speech.says("anthropic", "Hello"))
    said = Said(faulty)
    assert (await ask(faulty, model="with-a-spare", store=False)).status == 200
    metrics = said.metrics("provider", "model")
    assert (metrics["Fallbacks"], metrics["CircuitsOpened"]) == (1, 1)
    assert [line.get("error.type") for line in said.lines() if line.get("message") == "sample ended"][1:] == [
        None
    ]


async def test_tools(faulty: Lambda, provider: Provider) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("remote", {})]
    provider.play(speech.says("anthropic", calls=calls), ANSWERED, speech.says("anthropic", "42"))
    said = Said(faulty)
    assert (await ask(faulty, **REMOTE, store=False)).status == 200
    provider.play(speech.says("anthropic", calls=calls), DOWN, speech.says("anthropic", "So"))
    assert (await ask(faulty, **REMOTE, store=False)).status == 200
    assert (said.metrics("kind")["ToolCalls"], said.metrics("kind")["ToolFailures"]) == (2, 1)
    errors = [line.get("error.type") for line in said.lines() if line.get("message") == "tool ended"]
    assert errors == [None, "RuntimeError"]


def alarmed() -> Iterator[str]:
    """The gateway's own metrics, as alarms and dashboard name them."""
    text = (ROOT / "infra/monitoring.yaml").read_text()
    yield from re.findall(r"Namespace: OpenResponses\n +MetricName: (\w+)", text)
    yield from re.findall(r'\["OpenResponses", "(\w+)", "service", "openresponses"', text)


@pytest.mark.parametrize("metric", sorted(set(alarmed())))
async def test_what_alarms_and_dashboard_read_was_written(
    function: Lambda, faulty: Lambda, metric: str
) -> None:
    """By now the functions have met every fault above."""
    assert metric in Said(function, since=0).metrics() | Said(faulty, since=0).metrics()


QUERY = re.compile(r"aws logs start-query --log-group-name LOGS .*--query-string '(.*)'")
OWN_FIELDS = {"level", "message", "@message"}  # of every line
FUNCTIONS = {"count", "sum", "avg", "max", "pct", "ispresent"}
WORDS = {"filter", "stats", "by", "and", "or", "like"}


@pytest.mark.parametrize("query", QUERY.findall((ROOT / "docs/runbook.md").read_text()))
async def test_the_fields_of_the_runbook_stand_in_the_log(
    function: Lambda, faulty: Lambda, query: str
) -> None:
    lines = Said(function, since=0).lines() + Said(faulty, since=0).lines()
    written = {name for line in lines for name in line}
    words = set(re.findall(r"@?[a-z][\w.]*", re.sub(r'"[^"]*"', "", query)))
    asked = words - FUNCTIONS - WORDS - OWN_FIELDS
    assert asked <= written
    messages = {str(line.get("message")) for line in lines}
    for message in re.findall(r'message = "([^"]+)"', query):
        assert message in messages
    for part in re.findall(r'[^@]message like "([^"]+)"', query):
        assert any(part in message for message in messages)
