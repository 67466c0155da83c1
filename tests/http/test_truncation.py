"""`truncation`: what goes when a context is too long for its model, what never does, and what stays in the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openresponses.engine.context import answers, asks
from openresponses.engine.truncation import Shortened

from ..support.gateway import Gateway, Server, environment
from ..support.provider import Answer, Provider, Received
from ..support.speech import MODELS, says

Json = dict[str, Any]
ROUTES = sorted(MODELS)
LIMIT = 3000  # characters that the scripted models take
WINDOW = LIMIT // 4
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}

# How each provider says that a context is too long, and how it says a number of tokens.
TOO_LONG: dict[str, Json] = {
    "openai": {"error": {"message": "Your input exceeds the context window.", "code": "context_length_exceeded"}},
    "anthropic": {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
    },
    "gemini": {
        "error": {
            "code": 400,
            "status": "INVALID_ARGUMENT",
            "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        }
    },
    "ollama": {"error": "the input length exceeds the context length"},
    "chat": {"error": {"message": "This model's maximum context length is 8 tokens.", "type": "BadRequestError"}},
}  # fmt: skip
COUNTS: dict[str, Callable[[int], Json]] = {
    "/input_tokens": lambda tokens: {"object": "response.input_tokens", "input_tokens": tokens},
    "/count_tokens": lambda tokens: {"input_tokens": tokens},
    ":countTokens": lambda tokens: {"totalTokens": tokens},
}


def model(route: str, limit: int = LIMIT) -> Callable[[Received], Answer]:
    """A provider that counts, and refuses what has more than `limit` characters."""

    def answer(request: Received) -> Answer:
        size = len(request.body)
        for ending, count in COUNTS.items():
            if request.path.split("?")[0].endswith(ending):
                return Answer(json.dumps(count(size // 4)).encode())
        if size > limit:
            return Answer(json.dumps(TOO_LONG[route]).encode(), status=400)
        return says(route, "fine")

    return answer


def is_count(request: Received) -> bool:
    return any(request.path.split("?")[0].endswith(ending) for ending in COUNTS)


def asked(gateway: Gateway) -> list[str]:
    """The bodies that were to be answered."""
    return [request.body.decode() for request in gateway.provider.scenario.requests if not is_count(request)]


def message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def long_conversation(turns: int) -> list[Json]:
    items = [message("system", "Always be polite.")]
    for number in range(turns):
        items += [
            message("user", f"question {number:03} " + "x" * 200),
            message("assistant", f"answer {number:03}"),
        ]
    return [*items, message("developer", "Answer in French."), message("user", "the last question")]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("route", ROUTES)
def test_without_it_too_long_is_an_error(gateway: Gateway, route: str, stream: bool) -> None:
    gateway.scenario(model(route))
    told = gateway.ask({"model": MODELS[route], "input": long_conversation(30)}, stream=stream)
    assert (told.status, told.error["code"]) == (400, "context_length_exceeded")
    assert len(asked(gateway)) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("route", ROUTES)
def test_the_oldest_turns_go(gateway: Gateway, route: str, stream: bool) -> None:
    gateway.scenario(model(route))
    body = {"model": MODELS[route], "input": long_conversation(30), "truncation": "auto"}
    told = gateway.ask(body, stream=stream)
    assert told.text == "fine" and told.response["truncation"] == "auto"
    sent = asked(gateway)[-1]
    for kept in ("Always be polite.", "Answer in French.", "the last question", "question 029", "answer 029"):
        assert kept in sent
    assert "question 000" not in sent and "answer 000" not in sent
    left = [number for number in range(30) if f"question {number:03}" in sent]
    assert left == list(range(left[0], 30)), "the newest are those that stay"
    assert [number for number in range(30) if f"answer {number:03}" in sent] == left


@pytest.mark.parametrize("route", ROUTES)
def test_of_a_stored_conversation_too_and_the_store_keeps_it_all(gateway: Gateway, route: str) -> None:
    previous = None
    for number in range(12):
        gateway.scenario(says(route, f"answer {number:03}"))
        text = f"question {number:03} " + "x" * 300
        told = gateway.ask({"model": MODELS[route], "input": text, "previous_response_id": previous})
        previous = told.response["id"]
    gateway.scenario(model(route))
    body = {"model": MODELS[route], "input": "the last question", "previous_response_id": previous}
    assert gateway.ask(body).error["code"] == "context_length_exceeded"
    told = gateway.ask({**body, "truncation": "auto"})
    assert "question 000" not in asked(gateway)[-1] and "question 011" in asked(gateway)[-1]
    gateway.scenario(model(route, limit=100_000))
    gateway.ask({"model": MODELS[route], "input": "again", "previous_response_id": told.response["id"]})
    assert "question 000" in asked(gateway)[-1] and "the last question" in asked(gateway)[-1]


@pytest.mark.parametrize("route", ROUTES)
def test_of_one_long_turn_its_earliest_calls_go_with_their_results(gateway: Gateway, route: str) -> None:
    gateway.scenario(model(route))
    items = [message("user", "find it")]
    for number in range(30):
        call = {"type": "function_call", "call_id": f"call{number:03}", "name": "look", "arguments": "{}"}
        result = {
            "type": "function_call_output",
            "call_id": f"call{number:03}",
            "output": f"out{number:03}" + "x" * 200,
        }
        items += [call, result]  # fmt: skip
    told = gateway.ask({"model": MODELS[route], "input": items, "tools": [TOOL], "truncation": "auto"})
    assert told.text == "fine"
    sent = asked(gateway)[-1]
    assert "find it" in sent and "out029" in sent and "out000" not in sent
    left = [number for number in range(30) if f"out{number:03}" in sent]
    assert left == list(range(left[0], 30))
    assert sent.count("look") - 1 >= len(left), "each result has its call"


@pytest.mark.parametrize("route", ROUTES)
def test_what_may_not_go_is_too_long(gateway: Gateway, route: str) -> None:
    gateway.scenario(model(route))
    body = {"model": MODELS[route], "input": [message("system", "y" * LIMIT), message("user", "hi")]}
    told = gateway.ask({**body, "truncation": "auto"})
    assert (told.status, told.error["code"]) == (400, "context_length_exceeded")


def test_a_context_of_nothing(gateway: Gateway) -> None:
    """Tools alone: the adapter refuses the request before there is anything to shorten."""
    gateway.scenario()
    items = [{"type": "additional_tools", "tools": []}]
    told = gateway.ask({"model": "claude-sonnet-4-5", "input": items, "truncation": "auto"})
    assert told.status == 400, told.error


def test_other_errors_are_not_tried_again(gateway: Gateway) -> None:
    gateway.scenario(Answer(b'{"error":{"message":"no such tool","code":"invalid_value"}}', status=400))
    told = gateway.ask({"model": MODELS["openai"], "input": long_conversation(3), "truncation": "auto"})
    assert told.status == 400 and len(asked(gateway)) == 1


# --------------------------------------------------------------------------- where the window is known


@pytest.fixture(scope="module")
def knowing(
    provider: Provider, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that knows the windows of the test's models."""
    config = tmp_path_factory.mktemp("config") / "models.toml"
    config.write_text(f'[[model]]\nmatch = "*-test*"\ncontext_window = {WINDOW}\n')
    server = Server(environment(provider.url), config_path=str(config)).start()
    yield Gateway(server.url, provider, http)
    server.stop()


@pytest.mark.parametrize("route", ["openai", "anthropic", "gemini"])
def test_what_the_provider_counts_is_never_sent_too_long(knowing: Gateway, route: str) -> None:
    knowing.scenario(model(route))
    told = knowing.ask({"model": MODELS[route], "input": long_conversation(30), "truncation": "auto"})
    assert told.text == "fine"
    requests = knowing.provider.scenario.requests
    assert [is_count(request) for request in requests] == [True] * (len(requests) - 1) + [False]
    sent = asked(knowing)[0]
    assert "question 029" in sent and len(sent) > LIMIT / 2, "no more goes than must"


@pytest.mark.parametrize("route", ["openai", "anthropic", "gemini"])
def test_what_is_short_is_not_counted(knowing: Gateway, route: str) -> None:
    knowing.scenario(model(route))
    knowing.ask({"model": MODELS[route], "input": "hi", "truncation": "auto"})
    assert len(knowing.provider.scenario.requests) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_a_count_that_fails_leaves_it_to_the_answer(knowing: Gateway, status: int) -> None:
    whole = model("openai")

    def answer(request: Received) -> Answer:
        return Answer(b"{}", status=status) if is_count(request) else whole(request)

    knowing.scenario(answer)
    told = knowing.ask({"model": MODELS["openai"], "input": long_conversation(30), "truncation": "auto"})
    assert told.text == "fine" and len(asked(knowing)) > 1


def test_room_is_left_for_the_answer(knowing: Gateway) -> None:
    knowing.scenario(model("anthropic"))
    body = {"model": MODELS["anthropic"], "input": long_conversation(8), "truncation": "auto"}
    knowing.ask({**body, "max_output_tokens": 10})
    roomy = len(asked(knowing)[-1])
    knowing.ask({**body, "max_output_tokens": WINDOW // 2})
    assert len(asked(knowing)[-1]) < roomy * 0.8


# --------------------------------------------------------------------------- any context

CALL_IDS = st.sampled_from(["a", "b", "c"])
ITEMS = st.one_of(
    st.builds(message, st.sampled_from(["user", "assistant", "system", "developer"]), st.text(max_size=30)),
    st.builds(lambda i: {"type": "function_call", "call_id": i, "name": "f", "arguments": "{}"}, CALL_IDS),
    st.builds(lambda i: {"type": "function_call_output", "call_id": i, "output": "x" * 40}, CALL_IDS),
    st.builds(lambda i: {"type": "mcp_approval_request", "id": i, "name": "f"}, CALL_IDS),
    st.builds(lambda i: {"type": "mcp_approval_response", "approval_request_id": i}, CALL_IDS),
    st.just({"type": "reasoning", "summary": []}),
)


def legal(items: list[Json]) -> list[Json]:
    """The items without results that answer no call before them."""
    kept: list[Json] = []
    for item in items:
        if not answers(item) or any(asks(before) == answers(item) for before in kept):
            kept.append(item)
    return kept


@given(st.lists(ITEMS, max_size=25).map(legal), st.lists(st.floats(0, 1), max_size=6))
def test_whatever_goes_what_is_left_is_whole(items: list[Json], shares: list[float]) -> None:
    items = [dict(item) for item in items]  # told apart by identity
    shortened = Shortened(items)
    for share in shares:
        before = shortened.items
        assert shortened.drop(share) == (len(shortened.items) < len(before))
        left = shortened.items
        assert [item for item in items if any(item is kept for kept in left)] == left
        assert [i for i in left if i.get("role") in ("system", "developer")] == [
            i for i in items if i.get("role") in ("system", "developer")
        ]
        assert legal(left) == left, "a result without its call"
        prompts = [item for item in items if item.get("role") == "user"]
        assert not prompts or any(item is prompts[-1] for item in left)


@given(st.lists(ITEMS, max_size=25).map(legal))
def test_no_call_loses_its_result(items: list[Json]) -> None:
    """Every call that is left has the results that it had."""

    def results(given: list[Json]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        last: dict[str, int] = {}
        for item in given:
            if asked := asks(item):
                last[asked] = id(item)
                found[id(item)] = []
            elif answered := answers(item):
                found[last[answered]].append(id(item))
        return found

    items = [dict(item) for item in items]
    whole, shortened = results(items), Shortened(items)
    while shortened.drop(0.01):
        assert all(whole[call] == found for call, found in results(shortened.items).items())
