"""Allow-lists of models, filters of content, the cache of responses."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from openresponses.adapters.base import (
    Annotation,
    Delta,
    Finished,
    HostedItemEnded,
    HostedItemEvent,
    HostedItemStarted,
    ToolCallStarted,
)
from openresponses.engine.hosted_tools import HostedTools
from openresponses.middleware.content_filter import ContentFilter
from openresponses.middleware.response_cache import ResponseCache

from ..support.provider import Provider
from ..support.speech import MODELS, says
from .conftest import NewTenant, Tenant


def models(tenant: Tenant) -> list[str]:
    listed = httpx.get(f"{tenant.server.url}/v1/models", headers=tenant.headers).json()
    return [model["id"] for model in listed["data"]]


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("echo", True),
        ("claude-test", True),
        ("anthropic/claude-test-2", True),
        ("openrouter/claude-test", False),
        ("gpt-test", False),
        ("openai/gpt-test", False),
        ("nobody/echo", False),
    ],
)
def test_models_of_a_tenant(tenant: NewTenant, provider: Provider, name: str, allowed: bool) -> None:
    provider.play(says("anthropic", "Hello."))
    for one in (tenant("models"), tenant("any", "key", models=["echo", "claude-test*"])):
        told = one.ask(model=name)
        shown = httpx.get(f"{one.server.url}/v1/models/{name}", headers=one.headers)
        assert (told.status, shown.status_code) == ((200, 200) if allowed else (404, 404))
        if not allowed:
            assert (told.error["code"], told.error["param"]) == ("model_not_found", "model")
            assert shown.json()["error"]["code"] == "model_not_found"
            for path in ("input_tokens", "compact"):
                asked = {"model": name, "input": "hi"}
                there = httpx.post(f"{one.server.url}/v1/responses/{path}", json=asked, headers=one.headers)
                assert (there.status_code, there.json()["error"]["code"]) == (404, "model_not_found")


def test_only_its_models_are_listed(tenant: NewTenant) -> None:
    assert models(tenant("models")) == ["echo"]
    assert models(tenant("any", "key", models=["openai/gpt-5*"])) == [
        name for name in models(tenant("any")) if name.startswith("gpt-5")
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_a_forbidden_input_is_refused(tenant: NewTenant, provider: Provider, stream: bool) -> None:
    scenario = provider.play(says("openai", "Hello."))
    told = tenant("filter").ask(model=MODELS["openai"], input="This is FORBIDDEN.", stream=stream)
    assert (told.status, told.error["code"], told.error["param"]) == (400, "invalid_prompt", "input")
    parts = [{"type": "input_text", "text": "x" * 3995 + "forbidden"}]
    far = [{"role": "user", "content": parts}]
    assert tenant("filter").ask(input=far, stream=stream).status == 400, "across windows"
    assert tenant("filter").ask(instructions="forbidden").error["param"] == "instructions"
    tool = {"type": "function", "name": "mine", "description": "forbidden", "parameters": {"type": "object"}}
    assert tenant("filter").ask(tools=[tool]).error["param"] == "tools"
    form = {"type": "json_schema", "name": "mine", "schema": {"type": "object", "title": "forbidden"}}
    assert tenant("filter").ask(text={"format": form}).error["param"] == "text"
    assert not scenario.requests


@pytest.mark.parametrize("stream", [False, True])
def test_a_forbidden_output_ends_the_answer(tenant: NewTenant, provider: Provider, stream: bool) -> None:
    """Across pieces; what is stored is what was told, and the provider is hung up on."""
    whole = says("anthropic", "It is a secret-123456, and so on.")
    scenario = provider.play(
        replace(whole, pieces=[whole.body[: whole.body.index(b"message_delta")]], ending="hang")
    )
    someone = tenant("filter")
    told = someone.ask(model=MODELS["anthropic"], input="What is it?", stream=stream)
    assert told.response["status"] == "incomplete"
    assert told.response["incomplete_details"] == {"reason": "content_filter"}
    assert told.text.startswith("It is a") and "1" not in told.text
    stored = httpx.get(f"{someone.server.url}/v1/responses/{told.response['id']}", headers=someone.headers)
    assert stored.json() == told.response
    assert len(scenario.requests) == 1


def test_what_is_told_whole_is_looked_at_too() -> None:
    """An item that a call or a provider's own tool ends with, its events, a citation; tools as a server lists them are
    nobody's answer."""
    secret = {"text": "secret-1"}
    approval = {"type": "mcp_approval_request", "name": "add", "arguments": '{"a": "secret-1"}'}
    said: list[tuple[Delta, bool]] = [
        (HostedItemEnded("a", approval), True),
        (HostedItemEnded("a", {"type": "mcp_call", "output": "secret-1"}), True),
        (HostedItemEnded("a", {"type": "mcp_call", "output": "secret"}), False),
        (HostedItemEnded("a", {"type": "mcp_list_tools", "tools": [secret]}), False),
        (HostedItemEnded("a", {"type": "image_generation_call", "result": "secret-1"}), False),
        (HostedItemStarted("a", {"type": "web_search_call", "action": secret}), True),
        (HostedItemEvent("a", "response.mcp_call_arguments.done", {"arguments": "secret-1"}), True),
        (HostedItemEvent("b", "response.code_interpreter_call_code.delta", {"delta": "secret-"}), False),
        (HostedItemEvent("b", "response.code_interpreter_call_code.delta", {"delta": "1"}), True),
        (Annotation({"type": "url_citation", "title": "secret-1"}), True),
        (ToolCallStarted("a", "secret-1"), True),
    ]
    context: Any = SimpleNamespace(state={})
    looks = ContentFilter(output=[r"secret-\d+"])
    for delta, stops in said:
        seen = looks.on_event(context, delta)
        assert isinstance(seen, Finished) == stops, delta


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_is_answered_from_the_cache(
    tenant: NewTenant, provider: Provider, stream: bool
) -> None:
    scenario = provider.play(says("anthropic", "Hello.", reasoning="hm"), says("anthropic", "Other."))
    someone = tenant(f"cache-{int(stream)}")
    asked: dict[str, Any] = {"model": MODELS["anthropic"], "input": "hi", "temperature": 0}
    first = someone.ask(**asked)
    again = someone.ask(**asked, stream=stream, metadata={"a": "b"})
    assert len(scenario.requests) == 1
    assert "x-openresponses-cache" not in first.headers
    assert again.headers["x-openresponses-cache"] == "hit"
    assert again.text == first.text == "Hello."
    assert again.response["usage"]["total_tokens"] == 0 and again.response["metadata"] == {"a": "b"}
    ids = [{one.response["id"], *(item["id"] for item in one.output)} for one in (first, again)]
    assert not ids[0] & ids[1]
    stored = httpx.get(f"{someone.server.url}/v1/responses/{again.response['id']}", headers=someone.headers)
    assert stored.json() == again.response
    onward = someone.ask(**asked, previous_response_id=again.response["id"])
    assert onward.text == "Other." and "Hello." in scenario.requests[1].body.decode()


def test_what_is_not_cached(tenant: NewTenant, provider: Provider) -> None:
    scenario = provider.play(says("openai", "Hello."))
    someone = tenant("cache-not")
    base: dict[str, Any] = {"model": MODELS["openai"], "input": "hi", "temperature": 0}
    tool = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}
    for body in (
        {**base, "temperature": 1},
        {**base, "store": False},
        {**base, "tools": [tool]},
        {**base, "input": "x", "max_output_tokens": 99},
    ):
        before = len(scenario.requests)
        told = [someone.ask(**body) for _ in range(2)]
        assert all("x-openresponses-cache" not in one.headers for one in told[:1])
        expected = 1 if body.get("max_output_tokens") else 2
        assert len(scenario.requests) - before == expected, body
    kept = someone.ask(**base, instructions="deleted")
    more = someone.ask(**base, instructions="deleted", include=["message.output_text.logprobs"])
    assert "x-openresponses-cache" not in more.headers, "the provider is asked for more"
    httpx.delete(f"{someone.server.url}/v1/responses/{kept.response['id']}", headers=someone.headers)
    before = len(scenario.requests)
    assert "x-openresponses-cache" not in someone.ask(**base, instructions="deleted").headers
    assert "x-openresponses-cache" not in tenant("cache-other").ask(**base, instructions="deleted").headers
    assert len(scenario.requests) == before + 2


@pytest.mark.parametrize(("mcp", "cached"), [([], True), ([{"label": "a", "always": True}], False)])
async def test_what_a_server_in_every_turn_may_say_is_not_cached(mcp: list[Any], cached: bool) -> None:
    async def nothing(*_: Any) -> None: ...

    store = SimpleNamespace(idempotency=SimpleNamespace(find=nothing))
    router = SimpleNamespace(resolve=str)
    services = SimpleNamespace(tools=HostedTools(), mcp=mcp, store=store, router=router)
    request = {"model": "a", "input": "hi", "temperature": 0}
    turn = SimpleNamespace(request=request, services=services, caller=SimpleNamespace(tenant="a"), state={})
    await ResponseCache().before_turn(cast(Any, turn))
    assert bool(turn.state) is cached
