"""Explaining a request: what is explained is what is sent, and its fields are those of the tables in the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openresponses.routing import Router
from openresponses.settings import Settings

from scripts import fields
from scripts.features import FUNCTION, PIXEL
from tests.support.gateway import KEY, Gateway, Server, environment
from tests.support.provider import Provider
from tests.support.speech import says

Json = dict[str, Any]

MODELS = {
    "openai": ("openai/gpt-5.4", "openai"),
    "anthropic": ("anthropic/claude-opus-4-6", "anthropic"),
    "gemini": ("gemini/gemini-3.5-flash", "gemini"),
    "ollama": ("ollama/qwen3", "ollama"),
    "groq": ("groq/openai/gpt-oss-120b", "chat"),
}
REQUEST: Json = {
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        fields.CALL,
        {"type": "function_call_output", "call_id": "call_1", "output": "12:34"},
    ],
    "tools": [FUNCTION],
    "temperature": 0.5,
    "reasoning": {"effort": "low"},
    "text": {"verbosity": "low"},
    "metadata": {"a": "b"},
    "max_output_tokens": 900,
    "seed": 7,
    "store": False,
}


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url)).start()
    yield started
    started.stop()


def explained(gateway: Gateway, body: Json) -> Json:
    reply = gateway.http.post(f"{gateway.base_url}/playground/explain", json=body)
    assert reply.status_code == 200, reply.text
    assert KEY not in reply.text
    told: Json = reply.json()
    return told


def outcomes(told: Json) -> dict[str, str]:
    return {row["path"]: row["outcome"] for row in told["fields"]}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_explained_is_what_is_sent(gateway: Gateway, name: str) -> None:
    model, dialect = MODELS[name]
    told = explained(gateway, {"model": model, **REQUEST})
    scenario = gateway.scenario(says(dialect, "Well."))
    answer = gateway.ask({"model": model, **REQUEST})
    assert answer.status == 200 and told["error"] is None and told["complete"]
    (sent,) = scenario.requests
    request = told["request"]
    assert request["url"].endswith(sent.path) and request["method"] == "POST"
    assert request["body"] == json.loads(sent.body)
    shown = {k: v.replace(f"${name.upper()}_API_KEY", KEY) for k, v in request["headers"].items()}
    assert {key: sent.headers.get(key) for key in shown} == shown
    header = answer.headers.get("x-openresponses-ignored", "")
    assert told["ignored"] == [path for path in header.split(", ") if path]
    assert told["route"] == answer.headers["x-openresponses-route"]
    found = outcomes(told)
    assert {path for path, outcome in found.items() if outcome == "ignored"} == set(told["ignored"])
    assert (found["seed"], found["store"], found["metadata"]) == ("unknown", "gateway", "echoed")
    top = {path.partition(".")[0].partition("[")[0] for path in found}
    assert top == {"model", *REQUEST}, "every field has its row"


def test_the_places_are_those_of_the_values(gateway: Gateway) -> None:
    """What `to` names holds what the client said, where it is sent as it was said."""
    told = explained(gateway, {"model": "anthropic/claude-opus-4-6", **REQUEST})
    to = {row["path"]: row["to"] for row in told["fields"]}
    assert (
        to["instructions"] == ["system[0].text"]
        and told["request"]["body"]["system"][0]["text"] == "Be brief."
    )
    assert to["input[0].content[0].text"] == ["messages[0].content[0].text"]
    assert to["max_output_tokens"] == ["max_tokens"] and to["reasoning.effort"] == ["output_config.effort"]


def test_all_that_is_refused_is_named_in_the_clients_own_places(gateway: Gateway) -> None:
    image: Json = {"type": "input_image", "file_id": "file-1"}
    content = [
        image,
        {"type": "input_text", "text": "Look"},
        image,
        {"type": "input_image", "image_url": PIXEL},
    ]
    body = {
        "model": "groq/openai/gpt-oss-120b",
        "input": [{"role": "user", "content": content}],
        "top_p": 0.5,
    }
    told = explained(gateway, body)
    assert told["request"] is None and told["error"]["param"] == "input[0].content[0].file_id"
    assert told["error"]["status"] == 400
    found = outcomes(told)
    assert [path for path, outcome in found.items() if outcome == "refused"] == [
        "input[0].content[0].file_id",
        "input[0].content[2].file_id",
    ]
    assert found["input[0].content[1].text"] == found["input[0].content[3].image_url"] == "mapped"
    assert found["top_p"] == "mapped"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": "no-such-model", "input": "Hi"}, "model"),
        ({"model": "echo"}, "input"),
        (
            {"model": "echo", "input": "Hi", "previous_response_id": "resp_" + "0" * 32},
            "previous_response_id",
        ),
        ({"model": "echo", "input": [], "temperature": "hot"}, "temperature"),
    ],
)
def test_what_no_provider_would_be_asked(gateway: Gateway, body: Json, param: str) -> None:
    told = explained(gateway, body)
    asked = gateway.ask(body)
    assert told["request"] is None and told["error"]["param"] == param
    assert {key: told["error"][key] for key in asked.error} == asked.error and told["error"][
        "status"
    ] == asked.status
    assert outcomes(told)[param] == "refused"


def test_the_earlier_turns_are_in_it(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello."))
    first = gateway.ask({"model": "anthropic/claude-opus-4-6", "input": "My name is Alice."})
    body = {
        "model": "anthropic/claude-opus-4-6",
        "input": "And?",
        "previous_response_id": first.response["id"],
    }
    told = explained(gateway, body)
    assert "My name is Alice." in json.dumps(told["request"]["body"])
    assert outcomes(told)["previous_response_id"] == "mapped"


def test_a_body_that_is_no_json(gateway: Gateway) -> None:
    reply = gateway.http.post(f"{gateway.base_url}/playground/explain", content=b"{")
    assert reply.status_code == 400 and reply.json()["error"]["code"] == "invalid_json"


# What lies in the store, or is sealed for a provider; and names, whose change changes what they name as well.
APART = (
    *("model", "input", "previous_response_id", "conversation", "tool_choice.tools"),
    *("input[].reasoning.encrypted_content", "input[].reasoning.summary"),
)
SAMPLE = 20  # one case of so many is in `make test`
CASES = [
    pytest.param(
        model,
        case,
        id=f"{provider}-{case.field}",
        marks=() if number % SAMPLE == len(provider) else pytest.mark.slow,
    )
    for provider, (model, _) in MODELS.items()
    for number, case in enumerate(fields.cases())
    if case.field not in APART
]


@pytest.mark.parametrize(("model", "case"), CASES)
def test_fields_are_those_of_the_docs(gateway: Gateway, model: str, case: fields.Case) -> None:
    """The same machinery tells the tables and the explanation; this holds them together."""
    expected = fields.outcome(Router(Settings.load({})), model, case)
    told = explained(gateway, {"model": model, "input": fields.TALK, **case.asked})
    if expected == "400":
        assert told["error"]["param"] and "refused" in outcomes(told).values()
        return
    name = case.field.rpartition(".")[2]
    rows = [
        row for row in told["fields"] if name in row["path"].replace("]", ".").replace("[", ".").split(".")
    ]
    whole = [row for row in told["fields"] if case.field.startswith(row["path"])]
    assert rows or whole, told["fields"]
    assert ("mapped" if expected == "yes" else expected) in {row["outcome"] for row in rows + whole}


@pytest.mark.parametrize("model", ["openai/gpt-5.4", "gemini/gemini-3.5-flash"])
@pytest.mark.parametrize(
    "url", ["https://mcp.example.com/mcp", "https://127.0.0.1/mcp", "https://169.254.169.254/mcp"]
)
def test_no_name_is_looked_up(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, model: str, url: str
) -> None:
    """What an address alone forbids is refused all the same."""

    def asked(*_: Any, **__: Any) -> Any:
        looked_up.append(_)
        raise OSError

    looked_up: list[Any] = []
    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", asked)
    tool = {"type": "mcp", "server_label": "a", "server_url": url}
    told = explained(gateway, {"model": model, "input": "Hi", "tools": [tool]})
    assert looked_up == []
    assert (told["error"] or {}).get("param") == ("tools[0].server_url" if "169" in url else None)
