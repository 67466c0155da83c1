"""Fallback routes: another provider answers where the first one fails before it has said anything, and only there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.gateway import Gateway, Server, environment
from ..support.provider import SSE, Answer, Provider, Received, Script
from ..support.speech import says

Json = dict[str, Any]

CONFIG = """
[[route]]
match = "claude-guarded"
provider = "anthropic"
fallback = ["openai/gpt-test", "gemini/gemini-test"]

[[route]]
match = "claude-alone"
provider = "anthropic"

[[alias]]
name = "best"
target = "claude-guarded"

[[alias]]
name = "fast"
target = "claude-guarded"
fallback = ["groq/llama-test"]

[[alias]]
name = "text-first"
target = "claude-guarded"
fallback = ["mistral/text-only", "gemini/gemini-test"]

[[alias]]
name = "unconfigured"
target = "claude-guarded"
fallback = ["azure/nothing", "gemini/gemini-test"]

[[model]]
match = "text-only"
options = { inputs = [] }
"""
TEXT = "Hello there"
COMMIT = 1.0
PATHS = {  # which provider a request went to
    "/v1/messages": "anthropic",
    "/v1/responses": "openai",
    "/v1/chat/completions": "chat",
    "/v1beta/": "gemini",
}


@pytest.fixture(scope="module")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("fallback") / "mine.toml"
    file.write_text(CONFIG)
    started = Server(environment(provider.url), config_path=str(file), commit_seconds=COMMIT).start()
    yield started
    started.stop()


def dialect_of(request: Received) -> str:
    return next(name for path, name in PATHS.items() if path in request.path)


def asked(requests: list[Received]) -> list[str]:
    return [dialect_of(request) for request in requests]


def each(**answers: Answer) -> Script:
    """Every provider with an answer of its own; one that has none speaks."""

    def answer(request: Received) -> Answer:
        name = dialect_of(request)
        return answers.get(name) or says(name, TEXT)

    return answer


def refusal(status: int, **headers: str) -> Answer:
    return Answer(
        b'{"type":"error","error":{"type":"x","message":"model: no"}}', status=status, headers=headers
    )


OVERLOADED = refusal(529)
HELPED = [
    pytest.param(OVERLOADED, id="529"),
    pytest.param(refusal(500), id="500"),
    pytest.param(refusal(408), id="408"),
    pytest.param(refusal(429), id="429"),
    pytest.param(refusal(402), id="spent account"),
    pytest.param(refusal(429, **{"retry-after": "60"}), id="429 for a minute"),
    pytest.param(Answer(b"", content_type=SSE), id="empty"),
    pytest.param(Answer(b"", ending="abort", content_type=SSE), id="reset"),
    pytest.param(Answer(raw=True, pieces=[]), id="hangs up"),
    pytest.param(
        Answer(b'data: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n', content_type=SSE),
        id="200 with an error",
    ),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("failure", HELPED)
def test_another_provider_answers(gateway: Gateway, failure: Answer, stream: bool) -> None:
    scenario = gateway.scenario(each(anthropic=failure))
    told = gateway.ask({"model": "claude-guarded", "input": "hi"}, stream=stream)
    assert (told.text, told.response["status"]) == (TEXT, "completed")
    assert set(asked(scenario.requests)) == {"anthropic", "openai"}
    assert told.headers["x-openresponses-route"] == "openai/gpt-test"
    assert told.response["model"] == "gpt-test", "what answered, as its provider calls it"
    assert gateway.get(f"/responses/{told.response['id']}").json() == told.response


NOT_HELPED = [
    pytest.param(refusal(400), 400, id="400"),
    pytest.param(refusal(401), 502, id="401"),
    pytest.param(refusal(403), 502, id="403"),
    pytest.param(refusal(404), 404, id="404"),
    pytest.param(refusal(413), 413, id="413"),
    pytest.param(Answer(b"<html>", content_type="text/html"), 502, id="HTML"),
]


@pytest.mark.parametrize(("failure", "status"), NOT_HELPED)
def test_what_is_wrong_with_the_request_or_the_key_stays_where_it_is(
    gateway: Gateway, failure: Answer, status: int
) -> None:
    scenario = gateway.scenario(each(anthropic=failure))
    told = gateway.ask({"model": "claude-guarded", "input": "hi"}, stream=True)
    assert told.status == status
    assert set(asked(scenario.requests)) == {"anthropic"}


NAMES = [  # name, providers asked, model that answers
    pytest.param("best", ["anthropic", "openai"], "openai/gpt-test", id="alias: its target's"),
    pytest.param("fast", ["anthropic", "chat"], "groq/llama-test", id="alias: its own"),
    pytest.param("unconfigured", ["anthropic", "gemini"], "gemini/gemini-test", id="one without settings"),
]


@pytest.mark.parametrize(("name", "providers", "route"), NAMES)
def test_which_fallback_a_name_has(gateway: Gateway, name: str, providers: list[str], route: str) -> None:
    scenario = gateway.scenario(each(anthropic=OVERLOADED))
    told = gateway.ask({"model": name, "input": "hi"})
    assert (asked(scenario.requests), told.headers["x-openresponses-route"]) == (providers, route)


@pytest.mark.parametrize("name", ["claude-alone", "anthropic/claude-guarded"])
def test_a_name_without_a_fallback_stays_where_it_is(gateway: Gateway, name: str) -> None:
    scenario = gateway.scenario(each(anthropic=OVERLOADED))
    assert gateway.ask({"model": name, "input": "hi"}).error["code"] == "server_is_overloaded"
    assert asked(scenario.requests) == ["anthropic"]


def test_a_fallback_that_cannot_take_the_request_is_passed_over(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = gateway.scenario(each(anthropic=OVERLOADED))
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    message = {"type": "message", "role": "user", "content": [image]}
    with caplog.at_level(logging.WARNING):
        told = gateway.ask({"model": "text-first", "input": [message]})
    assert asked(scenario.requests) == ["anthropic", "gemini"]
    assert told.headers["x-openresponses-route"] == "gemini/gemini-test"
    assert "anthropic/claude-guarded: server_is_overloaded; falling back to mistral/text-only" in caplog.text
    assert "mistral/text-only: unsupported_" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
def test_where_all_fail_the_first_error_is_told(gateway: Gateway, stream: bool) -> None:
    scenario = gateway.scenario(
        each(anthropic=refusal(429, **{"retry-after": "60"}), openai=refusal(400), gemini=refusal(500))
    )
    told = gateway.ask({"model": "claude-guarded", "input": "hi"}, stream=stream)
    assert (told.status, told.error["code"]) == (429, "rate_limit_exceeded")
    assert told.headers["retry-after"] == "60"
    assert asked(scenario.requests) == ["anthropic", "openai", "gemini"]


def test_nothing_is_switched_once_the_answer_has_begun(gateway: Gateway) -> None:
    begun = b"\n\n".join(says("anthropic", TEXT).body.split(b"\n\n")[:4])
    scenario = gateway.scenario(each(anthropic=Answer(begun, content_type=SSE)))
    told = gateway.ask({"model": "claude-guarded", "input": "hi"}, stream=True)
    assert (told.response["status"], asked(scenario.requests)) == ("failed", ["anthropic"])


def test_nothing_is_switched_once_the_stream_has_begun(gateway: Gateway) -> None:
    """Its header has told where the answer comes from."""
    slow = Answer(b"{}", status=500, delay=COMMIT + 0.2)
    scenario = gateway.scenario(each(anthropic=slow))
    told = gateway.ask({"model": "claude-guarded", "input": "hi"}, stream=True)
    assert (told.status, told.response["error"]["code"]) == (200, "provider_error")
    assert told.headers["x-openresponses-route"] == "anthropic/claude-guarded"
    assert asked(scenario.requests) == ["anthropic"]


def test_provider_state_goes_to_its_own_provider_only(gateway: Gateway) -> None:
    """It is tagged with the provider that answered, and the conversation goes on with any."""
    include = ["reasoning.encrypted_content"]
    gateway.scenario(each(anthropic=OVERLOADED, openai=says("openai", TEXT, reasoning="let me think")))
    first = gateway.ask({"model": "claude-guarded", "input": "hi", "include": include})
    assert first.output[0]["encrypted_content"] == "b3BhcXVl", "OpenAI's own, untagged"
    for model, sent in (("claude-alone", False), ("openai/gpt-test", True)):
        scenario = gateway.scenario(each())
        told = gateway.ask({"model": model, "input": "go on", "previous_response_id": first.response["id"]})
        assert told.text == TEXT
        assert (b"b3BhcXVl" in scenario.requests[0].body) is sent
        assert TEXT.encode() in scenario.requests[0].body


def test_calls_keep_their_ids(gateway: Gateway) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    gateway.scenario(each(anthropic=says("anthropic", "", calls=[("f", {"a": 1})])))
    first = gateway.ask({"model": "claude-guarded", "input": "hi", "tools": [tool]})
    call_id = first.output[-1]["call_id"]
    scenario = gateway.scenario(each(anthropic=OVERLOADED))
    output = {"type": "function_call_output", "call_id": call_id, "output": "42"}
    request = {"model": "claude-guarded", "input": [output], "tools": [tool]}
    told = gateway.ask({**request, "previous_response_id": first.response["id"]})
    assert told.headers["x-openresponses-route"] == "openai/gpt-test"
    sent = scenario.requests[-1].json["input"]
    assert [item["call_id"] for item in sent if "call_id" in item] == [call_id, call_id]


def test_in_the_background(gateway: Gateway) -> None:
    gateway.scenario(each(anthropic=OVERLOADED))
    url = f"{gateway.base_url}/v1/responses"
    queued = gateway.http.post(
        url, json={"model": "claude-guarded", "input": "hi", "background": True}
    ).json()
    end = time.monotonic() + 5
    while (response := gateway.get(f"/responses/{queued['id']}").json())["status"] in (
        "queued",
        "in_progress",
    ):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert (response["status"], response["model"]) == ("completed", "gpt-test")


def test_a_circuit_that_is_open_falls_back_at_once(
    provider: Provider, http: httpx.Client, server: Server
) -> None:
    elsewhere = {**environment(provider.url), "ANTHROPIC_BASE_URL": f"{provider.url}/elsewhere/v1"}
    guarded = Server(elsewhere, config_path=server.settings["config_path"], breaker_failures=2).start()
    try:
        gateway = Gateway(guarded.url, provider, http)
        scenario = gateway.scenario(each(anthropic=OVERLOADED))
        for _ in range(3):
            assert gateway.ask({"model": "claude-guarded", "input": "hi"}).text == TEXT
        assert asked(scenario.requests) == ["anthropic", "openai"] * 2 + ["openai"]
    finally:
        guarded.stop()


ROUTE = '[[route]]\nmatch = "x"\nprovider = "openai"\n'
WRONG = [
    pytest.param(ROUTE + 'fallback = "gpt-5"', "fallback: must be a list", id="text"),
    pytest.param(ROUTE + 'fallback = ["zzz"]', "no provider serves 'zzz'", id="route"),
    pytest.param(
        '[[alias]]\nname = "a"\ntarget = "gpt-5"\nfallback = ["a"]', "no provider serves 'a'", id="alias"
    ),
]


@pytest.mark.parametrize(("config", "words"), WRONG)
def test_a_wrong_fallback_is_named_at_the_start(tmp_path: Path, config: str, words: str) -> None:
    from openresponses.catalog import Catalog
    from openresponses.settings import SettingsError

    file = tmp_path / "mine.toml"
    file.write_text(config)
    with pytest.raises(SettingsError, match="fallback") as caught:
        Catalog.load(str(file))
    assert words in str(caught.value)
