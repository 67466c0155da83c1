"""`POST /v1/responses/input_tokens`: the provider's own count where it has one, else an estimate that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openresponses.adapters.base import Counts
from openresponses.adapters.registry import adapter_named

from ..support.client import checked_error
from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import MODELS, says

Json = dict[str, Any]
TOOL = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
}
# Route -> the path of its counting endpoint, and what that answers for 42.
COUNTING = {
    "openai": ("/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 42}),
    "anthropic": ("/v1/messages/count_tokens", {"input_tokens": 42}),
    "gemini": ("/v1beta/models/gemini-test:countTokens", {"totalTokens": 42, "promptTokensDetails": []}),
}
# What such an endpoint refuses.
NOT_COUNTED = (
    "stream",
    "max_tokens",
    "max_output_tokens",
    "temperature",
    "store",
    "include",
    "metadata",
    "serviceTier",
)
TRACES = Path(__file__).parents[3] / "shared/traces"


def ask(gateway: Gateway, **body: Any) -> Any:
    return gateway.http.post(f"{gateway.base_url}/v1/responses/input_tokens", json=body)


def counted(gateway: Gateway, **body: Any) -> tuple[int, bool]:
    """(tokens, whether they are an estimate)."""
    reply = ask(gateway, **body)
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert told.keys() == {"object", "input_tokens"} and told["object"] == "response.input_tokens"
    return told["input_tokens"], "x-openresponses-estimate" in reply.headers


@pytest.mark.parametrize("route", COUNTING)
def test_the_provider_counts(gateway: Gateway, route: str) -> None:
    path, answer = COUNTING[route]
    scenario = gateway.scenario(Answer(json.dumps(answer).encode()))
    body = {
        "instructions": "Be brief.",
        "input": "What time is it?",
        "tools": [TOOL],
        "max_output_tokens": 50,
    }
    assert counted(gateway, model=MODELS[route], stream=True, temperature=0.5, **body) == (42, False)
    [request] = scenario.requests
    assert request.path == path
    sent = request.json.get("generateContentRequest", request.json)
    assert not set(NOT_COUNTED) & set(sent)
    text = json.dumps(request.json)
    assert all(part in text for part in ("Be brief.", "What time is it?", "get_time", "zone"))


@pytest.mark.parametrize("route", COUNTING)
def test_history_counts_too(gateway: Gateway, route: str) -> None:
    gateway.scenario(says(route, "Hello Alice"))
    first = gateway.ask({"model": MODELS[route], "input": "I am Alice"})
    scenario = gateway.scenario(Answer(json.dumps(COUNTING[route][1]).encode()))
    stored = gateway.stored()
    counted(gateway, model=MODELS[route], input="and now?", previous_response_id=first.response["id"])
    sent = scenario.requests[0].body.decode()
    assert sent.find("I am Alice") < sent.find("Hello Alice") < sent.find("and now?")
    assert gateway.stored() == stored


@pytest.mark.parametrize("route", ["chat", "ollama"])
def test_where_nobody_counts_it_is_estimated(gateway: Gateway, route: str) -> None:
    scenario = gateway.scenario()
    text = "The quick brown fox jumps over the lazy dog. " * 20
    tokens, estimated = counted(gateway, model=MODELS[route], input=text)
    assert estimated and not scenario.requests
    assert 150 < tokens < 350, "200 or so by the tokenizers of the field"
    more, _ = counted(gateway, model=MODELS[route], input=text, tools=[TOOL], instructions="Be brief.")
    assert tokens < more < tokens + 100
    image = {"type": "input_image", "image_url": "data:image/png;base64," + "QUJD" * 50_000}
    shown, _ = counted(gateway, model=MODELS[route], input=[{"role": "user", "content": [image]}])
    assert 500 < shown < 2000, "an image is not its bytes"


def test_a_backend_without_the_endpoint_is_estimated(gateway: Gateway) -> None:
    gateway.scenario(Answer(b'{"detail":"Not Found"}', status=404))
    tokens, estimated = counted(gateway, model=MODELS["openai"], input="hello there")
    assert estimated and 1 <= tokens < 20


@pytest.mark.parametrize("route", COUNTING)
def test_a_provider_that_fails_is_told(gateway: Gateway, route: str) -> None:
    gateway.scenario(Answer(b'{"error":{"message":"overloaded"}}', status=503))
    reply = ask(gateway, model=MODELS[route], input="hi")
    assert reply.status_code in (502, 503)
    checked_error(reply)
    for nonsense in (b"not JSON", b"{}", b'{"input_tokens":null,"totalTokens":null}', b"[]"):
        gateway.scenario(Answer(nonsense))
        error = checked_error(ask(gateway, model=MODELS[route], input="hi"))
        assert error["code"] == "provider_invalid_response"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": "hi"}, 400, "model"),
        ({"model": "echo"}, 400, "input"),
        ({"model": "no-such-model", "input": "hi"}, 404, "model"),
        ({"model": "echo", "input": "hi", "tools": [{"type": "function"}]}, 400, "tools[0].name"),
        ({"model": "echo", "input": "hi", "previous_response_id": "resp_x"}, 404, "previous_response_id"),
    ],
)
def test_what_is_wrong_is_named(gateway: Gateway, body: Json, status: int, param: str) -> None:
    reply = ask(gateway, **body)
    assert (reply.status_code, checked_error(reply)["param"]) == (status, param)


def records() -> list[Path]:
    slugs = ("count-tokens-with", "usage-limit-not-exceeded-0", "test-responses-usage-limit-exceeded-0")
    return [path for slug in slugs for path in sorted(TRACES.glob(f"*/*{slug}*.json"))]


@pytest.mark.skipif(not records(), reason="the recordings are not here")
def test_recorded_counts_are_read() -> None:
    found = set()
    for path in records():
        record = json.loads(path.read_text())
        adapter = adapter_named(record["provider"])
        assert isinstance(adapter, Counts)
        body = json.loads(record["response"]["body"])
        if "countTokens" in record["endpoint"] or "_tokens" in record["endpoint"]:
            assert adapter.counted(body) > 0
            found.add(record["provider"])
    assert found == {"openai", "anthropic", "gemini"}
