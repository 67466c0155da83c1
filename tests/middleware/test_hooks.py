"""What a middleware may do to a turn, and what becomes of a turn when one fails."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openresponses.engine import middleware
from openresponses.http.app import create_app
from openresponses.http.replies import TurnReply
from openresponses.secrets import EnvironmentSecrets
from openresponses.settings import Settings, SettingsError
from openresponses.store.sqlite import SQLiteStore

from ..support.client import Client
from ..support.gateway import Server, environment
from ..support.provider import Provider
from ..support.sockets import Socket
from ..support.speech import MODELS, USAGE, says
from .conftest import HOOKS, NewTenant
from .own import ENDS, NOTES

CODES = {
    "raises": (500, "server_error"),
    "typed": (403, "permission_denied"),
    "cancels": (500, "server_error"),
}


@pytest.fixture(autouse=True)
def short_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For those that hang; elsewhere a loaded machine has its time."""
    monkeypatch.setattr(middleware, "HOOK_SECONDS", 0.3)


def ends_of(response_id: str) -> list[str]:
    return [status for _, id, status, _ in ENDS if id == response_id]


@pytest.mark.parametrize("stream", [False, True])
def test_every_hook_of_an_operators_own(tenant: NewTenant, provider: Provider, stream: bool) -> None:
    """It changes model and metadata, adds to the input and the output, and to what is said in between."""
    told = tenant("own").ask(model="no-such-model", input="say drop it", stream=stream)
    assert told.headers["x-greeting"] == "hi there"
    assert told.headers["x-openresponses-route"] == "echo/echo"
    assert told.response["model"] == "echo" and told.response["metadata"] == {"greeting": "hi there"}
    assert "HI THERE" in told.text and told.text.endswith("BY SHOUTER") and "drop" not in told.text.lower()
    assert ends_of(told.response["id"]) == ["completed"]
    stored = httpx.get(
        f"{tenant('own').server.url}/v1/responses/{told.response['id']}", headers=tenant("own").headers
    )
    assert stored.json() == told.response
    told_ids = [item["id"] for item in told.output]
    assert len(set(told_ids)) == len(told_ids)


def test_the_order_of_the_hooks(tenant: NewTenant, provider: Provider) -> None:
    """That of the file, sample by sample, and the opposite one at the end."""
    NOTES.clear()
    provider.play(says("anthropic", calls=[("add", {"first": 1})]), says("anthropic", "2"))
    add = {"type": "function", "name": "add"}
    told = tenant("order").ask(model=MODELS["anthropic"], tools=[add])
    each = sum(USAGE)
    hooks = [
        *("before_turn", "before_sample 1", f"after_sample {each}"),
        *("before_sample 3", "on_event", f"after_sample {2 * each}"),
    ]
    expected = [f"{name} {hook}" for hook in hooks for name in "ab"]
    assert told.text == "2ab"
    assert [*expected, "b after_turn completed", "a after_turn completed"] == NOTES


def test_whoever_has_not_seen_the_beginning_does_not_see_the_end(tenant: NewTenant) -> None:
    NOTES.clear()
    assert tenant("order-refused").ask().status == 403
    assert NOTES == ["a before_turn", "a after_turn refused"]


FAULTS = [
    *((hook, way, way == "raises") for hook in HOOKS for way in CODES),
    *((hook, "typed", True) for hook in ("before_turn", "on_event")),
    *((hook, "hangs", False) for hook in ("before_turn", "after_turn")),
]


@pytest.mark.parametrize(("hook", "way", "stream"), FAULTS)
def test_a_failing_hook_is_one_typed_error(
    tenant: NewTenant, provider: Provider, hook: str, way: str, stream: bool
) -> None:
    """But after_turn, which cannot change what was answered."""
    status, code = CODES.get(way, (500, "server_error"))
    provider.play(says("openai", "Hello."))
    begun = time.monotonic()
    told = tenant(f"{hook.replace('_', '-')}-{way}").ask(model=MODELS["openai"], stream=stream)
    assert time.monotonic() - begun < 2
    if hook == "after_turn":
        assert told.response["status"] == "completed" and told.text == "Hello."
    elif told.status == 200:
        assert stream and hook in ("on_event", "after_sample")
        assert told.response["status"] == "failed" and told.response["error"]["code"] == code
        assert ends_of(told.response["id"]) == ["failed"]
    else:
        assert (told.status, told.error["code"]) == (status, code)
        assert "canary" not in json.dumps(told.error)


def test_on_event_may_end_the_answer(tenant: NewTenant, provider: Provider) -> None:
    provider.play(says("anthropic", "Hello."))
    told = tenant("on-event-stops").ask(model=MODELS["anthropic"], stream=True)
    assert told.response["status"] == "incomplete"
    assert told.response["incomplete_details"] == {"reason": "content_filter"}
    assert told.output == []


@pytest.mark.parametrize(("without", "outputs"), [("", ["2", "9"]), ("0", ["9"]), ("1", ["2"]), ("01", [])])
def test_what_runs_is_what_was_told(
    tenant: NewTenant, provider: Provider, without: str, outputs: list[str]
) -> None:
    """A call that on_event drops is not run, one that it changes is run as changed."""
    calls: list[tuple[str, Any]] = [("add", {"first": 1}), ("add", {"first": 7})]
    scenario = provider.play(says("chat", calls=calls), says("chat", "Done."))
    add = {"type": "function", "name": "add"}
    told = tenant("censor").ask(model=MODELS["chat"], tools=[add], metadata={"without": without}, stream=True)
    assert [item["output"] for item in told.of("function_call_output")] == outputs
    made = [item["call_id"] for item in told.of("function_call")]
    assert made == [item["call_id"] for item in told.of("function_call_output")]
    assert told.response["status"] == "completed" and len(scenario.requests) == 1 + bool(outputs)


def test_the_end_is_told_of_every_turn(tenant: NewTenant, provider: Provider) -> None:
    """Refused, failed, incomplete; before the client has its last byte."""
    someone = tenant("anyone")
    assert someone.ask(model="nothing/like-it").status == 404
    assert someone.ask(previous_response_id="resp_" + "0" * 32).status == 404
    provider.play()
    assert someone.ask(model=MODELS["openai"]).status == 502
    told = someone.ask(max_output_tokens=16, input="/incomplete one two three")
    assert [status for name, _, status, _ in ENDS if name == "anyone"] == [
        "refused",
        "refused",
        "failed",
        told.response["status"],
    ]


def test_over_a_websocket(tenant: NewTenant) -> None:
    someone = tenant("own")
    with Socket(someone.server.url, headers=someone.headers) as socket:
        turn = socket.ask(model="gone", input="Hello")
        assert "HI THERE" in turn.text
        assert ends_of(turn.response["id"]) == ["completed"]
    refused = tenant("before-turn-typed")
    with Socket(refused.server.url, headers=refused.headers) as socket:
        assert socket.ask(model="echo", input="Hello").refusal == (403, "permission_denied", None)


def test_content_never_reaches_the_log(tenant: NewTenant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        told = tenant("logged", "key1").ask(input="canary-input", model="echo")
        tenant("before-turn-raises").ask()
    lines = [record.getMessage() for record in caplog.records if "middleware" in record.name]
    begins, ends = (line for line in lines if told.response["id"] in line)
    assert "logged (key key1)" in begins and "bytes #" in begins
    assert "completed" in ends and "echo/echo" in ends
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('use = "budgets"', "use: must be one of request_log, budget"),
        ("", "give this or python"),
        ('use = "budget"\npython = "a:B"', "give this or python"),
        ('use = "budget"', "tokens_per_day: give this"),
        ('use = "budget"\ntokens_per_day = 0', "tokens_per_day: must be a whole number above 0"),
        ('use = "budget"\ntokens_per_day = true', "tokens_per_day: must be a whole number above 0"),
        ('use = "budget"\ncost_per_day = -1', "cost_per_day: must be an amount"),
        ('use = "budget"\ntokens_per_day = 1\nper = "day"', "per: must be tenant or key"),
        ('use = "budget"\ntokens_per_day = 1\nunpriced = "yes"', "unpriced: must be refuse or free"),
        ('use = "budget"\ntoken = 1', "token: unknown; the options are tokens_per_day"),
        ('use = "rate_limit"', "requests_per_minute: is missing"),
        ('use = "models"\nallow = "echo"', "allow: must be a list"),
        ('use = "models"\nallow = []', "allow: must be a list"),
        ('use = "content_filter"\ninput = ["("]', "input: '(' is no regular expression"),
        ('use = "content_filter"', "give patterns"),
        ('use = "response_cache"\nseconds = 0', "seconds: must be"),
        ('use = "response_cache"\nseconds = 9_223_372_036_854_775_807', "seconds: must be"),
        ('use = "budget"\ntokens_per_day = 9_223_372_036_854_775_807', "tokens_per_day: must be"),
        ('use = "budget"\ncost_per_day = 1e300', "cost_per_day: must be"),
        ('use = "request_log"\nlevel = "LOUD"', "level: must be one of"),
        ('use = "request_log"\ntenants = ["A"]', "tenants: must be a list"),
        ('python = "no.such:Thing"', "cannot be imported"),
        ('python = "tests.middleware.own:Nothing"', "cannot be imported"),
        ('python = "tests.middleware.own:not_a_class"', "is not a class"),
        ('python = "tests.middleware.own:Shouter"', "greeting: is missing"),
        ('python = "tests.middleware.own:Shouter"\ngreeting = "x"\nfoo = 1', "foo: unknown"),
    ],
)
def test_a_wrong_row_ends_the_start(tmp_path: Path, row: str, said: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[[middleware]]\n{row}\n")
    settings = Settings.load({}, config_path=str(config))
    with pytest.raises(SettingsError) as caught:
        create_app(settings, SQLiteStore(":memory:", 60), EnvironmentSecrets({}))
    assert "[[middleware]] number 1" in str(caught.value) and said in str(caught.value)
    assert "\n" not in str(caught.value)


def blocks_of(page: str, language: str) -> list[str]:
    text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_what_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: Provider, http: httpx.Client
) -> None:
    """docs/middleware.md: the rows are taken, and the class does what it says."""
    every, own = blocks_of("middleware.md", "toml")
    (program,) = blocks_of("middleware.md", "python")
    (tmp_path / "office.py").write_text(program)
    config = tmp_path / "openresponses.toml"
    config.write_text(f"{every}\n{own}".replace("opens = 7", "opens = 0\ncloses = 24"))
    monkeypatch.syspath_prepend(str(tmp_path))
    scenario = provider.play(says("openai", "Hello."))
    server = Server(environment(provider.url), config_path=str(config)).start()
    try:
        told = Client(server.url, http).ask(
            {"model": MODELS["openai"], "instructions": "Call +41441234567.", "input": "hi"}
        )
    finally:
        server.stop()
    assert told.headers["x-office"] == "default"
    assert told.headers["x-ratelimit-remaining-requests"] == "59"
    assert "Call [a number]." in scenario.requests[0].body.decode()


async def test_a_client_that_leaves_while_a_hook_waits_is_told_nothing() -> None:
    """Neither is it tried: a turn that is not routed yet has no route to be told."""
    sent: list[Any] = []

    class Waiting:
        async def events(self) -> AsyncGenerator[list[Any]]:
            await asyncio.sleep(9)
            yield []

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    waiting: Any = Waiting()
    await TurnReply(waiting)({}, gone, send)
    assert not sent
