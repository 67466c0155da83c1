"""Hosted tools and the limits of calling: what runs here, what the client sees, what the model is told."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from openresponses.engine.caller import Caller
from openresponses.engine.hosted_tools import load_tools
from openresponses.engine.services import Services
from openresponses.engine.turn import ResponseTurn
from openresponses.routing import Router
from openresponses.secrets import EnvironmentSecrets
from openresponses.settings import Settings, SettingsError
from openresponses.store.sqlite import SQLiteStore
from openresponses.upstream.client import Upstream
from pydantic import BaseModel

from ..support.gateway import Gateway, Server, environment, with_bedrock
from ..support.provider import Provider
from ..support.speech import WITH_BEDROCK as MODELS
from ..support.speech import says

Json = dict[str, Any]
ROUTES = sorted(MODELS)


def add(first: int, second: int = 1) -> int:
    """Adds two numbers."""
    return first + second


async def slow() -> str:
    """Takes longer than it may."""
    await asyncio.sleep(5)
    return "late"


def fails() -> None:
    raise ValueError("it broke")


def exits() -> None:
    """As a command line's parser does."""
    sys.exit("no such option")


async def cancels() -> None:
    raise asyncio.CancelledError


def odd_words() -> None:
    raise ValueError(b"no-\xff.txt".decode(errors="surrogateescape"))


def no_words() -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Speechless


def own_timeout() -> None:
    raise TimeoutError("the database is silent")


async def stubborn() -> None:
    """Does not heed being cancelled."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


def circle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def values() -> Any:
    return {"none": float("nan"), "large": 2**70, "set": {1}, "model": Point(x=1, y=2)}


class Point(BaseModel):
    x: int
    y: int


class Remote:
    async def __call__(self, city: str) -> str:
        """Called like a function."""
        return f"the object says {city}"


remote = Remote()
HANGING = threading.Event()


def hangs() -> None:
    HANGING.wait()


def large() -> str:
    return "x" * 5_000_000


def binary() -> bytes:
    return bytes(range(256)) * 10


class Endpoint(BaseHTTPRequestHandler):
    """An HTTP tool; and Lambda's Invoke, by its path."""

    def do_POST(self) -> None:
        arguments = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(arguments.get("status", 200))
        if self.path.startswith("/2015-03-31/") and "fail" in arguments:
            self.send_header("x-amz-function-error", "Unhandled")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(f"weather of {arguments.get('city')}".encode() * arguments.get("times", 1))

    def log_message(self, format: str, *args: Any) -> None: ...


FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:forecast"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/weather"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(provider: Provider, endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = Path(tmp_path_factory.mktemp("config")) / "config.toml"
    names = ("add", "slow", "fails", "large", "binary", "exits", "cancels", "odd_words", "no_words",
             "own_timeout", "stubborn", "circle", "values", "remote", "hangs")  # fmt: skip
    rows = [f'[[tool]]\nname = "{name}"\npython = "{__name__}:{name}"\ntimeout = 0.3\n' for name in names]
    rows.append(f'[[tool]]\nname = "weather"\nurl = "{endpoint}"\ndescription = "The weather"\n')
    rows.append('parameters = { type = "object", properties = { city = { type = "string" } } }\n')
    rows.append(f'[[tool]]\nname = "waits"\npython = "{__name__}:hangs"\n')
    rows.append(f'[[tool]]\nname = "forecast"\nlambda = "{FUNCTION}"\n')
    config.write_text("".join(rows))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL_LAMBDA", endpoint.removesuffix("/weather"))
        environ = with_bedrock(environment(provider.url), patched)
        started = Server(environ, config_path=str(config), max_tool_rounds=3).start()
        yield started
    HANGING.set()
    started.stop()


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario()
    return gateway


def hosted(*names: str) -> list[Json]:
    return [{"type": "function", "name": name} for name in names]


CLIENTS_OWN = {"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_a_hosted_tool_runs_inside_the_turn(gateway: Gateway, route: str, stream: bool) -> None:
    scenario = gateway.scenario(
        says(route, "Let me add.", calls=[("add", {"first": 2, "second": 3})], reasoning="hm"),
        says(route, "It is 5."),
    )
    told = gateway.ask({"model": MODELS[route], "input": "2+3?", "tools": hosted("add")}, stream=stream)
    kinds = [item["type"] for item in told.output if item["type"] != "reasoning"]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    assert told.of("function_call_output")[0]["output"] == "5"
    assert told.text == "Let me add.It is 5."
    assert told.response["usage"]["input_tokens"] == 22, "usage is the sum of both samples"
    first, second = (request.body.decode() for request in scenario.requests)
    assert "Adds two numbers." in first and "second" in first, "the tool is described from its signature"
    assert "Let me add." in second and "2+3?" in second


def test_several_at_once_and_in_the_order_of_the_calls(gateway: Gateway) -> None:
    calls: list[tuple[str, Json]] = [
        ("add", {"first": 1}),
        ("weather", {"city": "Bern"}),
        ("add", {"first": 10, "second": 10}),
    ]
    gateway.scenario(says("anthropic", calls=calls), says("anthropic", "Done."))
    told = gateway.ask(
        {"model": MODELS["anthropic"], "input": "go", "tools": hosted("add", "weather")}, stream=True
    )
    assert [item["output"] for item in told.of("function_call_output")] == ["2", "weather of Bern", "20"]
    outputs = [item["call_id"] for item in told.of("function_call_output")]
    assert outputs == [item["call_id"] for item in told.of("function_call")]


def test_client_and_hosted_tools_mix(gateway: Gateway) -> None:
    """Hosted ones run; then the turn ends with the client's calls open, and goes on from there."""
    gateway.scenario(says("openai", calls=[("add", {"first": 1}), ("mine", {})]))
    body = {"model": MODELS["openai"], "tools": [*hosted("add"), CLIENTS_OWN]}
    told = gateway.ask({**body, "input": "go"})
    assert [item["type"] for item in told.output] == [
        "function_call",
        "function_call",
        "function_call_output",
    ]
    assert told.response["status"] == "completed"
    open_call = told.of("function_call")[1]
    scenario = gateway.scenario(says("openai", "All done."))
    result = {"type": "function_call_output", "call_id": open_call["call_id"], "output": "mine too"}
    again = gateway.ask({**body, "input": [result], "previous_response_id": told.response["id"]})
    assert again.text == "All done."
    assert "mine too" in scenario.requests[0].body.decode()


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("slow", {}, "did not answer within 0.3 s"),
        ("fails", {}, "ValueError: it broke"),
        ("large", {}, "[Cut here: the result has 5000000 bytes"),
        ("binary", {}, "2560 bytes that are not text"),
        ("add", {"first": "many"}, "ValidationError"),
        ("add", {"third": 1}, "ValidationError"),
        ("exits", {}, "SystemExit: no such option"),
        ("cancels", {}, "CancelledError"),
        ("odd_words", {}, "ValueError: no-?.txt"),
        ("no_words", {}, "Speechless"),
        ("own_timeout", {}, "TimeoutError: the database is silent"),
        ("stubborn", {}, "did not answer within 0.3 s"),
        ("circle", {}, "Circular"),
        ("values", {}, f'"large": {2**70}, "set": [1], "model": {{"x": 1, "y": 2}}'),
        ("remote", {"city": "Bern"}, "the object says Bern"),
        ("weather", {"status": 500}, "the endpoint answered 500"),
        ("weather", {"status": 302}, "the endpoint answered 302"),
        ("weather", {"times": 1_000_000}, "more than 10485760 bytes"),
        ("forecast", {"city": "Bern"}, "weather of Bern"),
        ("forecast", {"city": "Bern", "fail": True}, "the function failed: weather of Bern"),
    ],
)
def test_whatever_a_tool_does_the_turn_goes_on(
    gateway: Gateway, tool: str, arguments: Json, said: str
) -> None:
    scenario = gateway.scenario(says("ollama", calls=[(tool, arguments)]), says("ollama", "Sorry."))
    told = gateway.ask({"model": MODELS["ollama"], "input": "go", "tools": hosted(tool)})
    assert (told.response["status"], told.text) == ("completed", "Sorry.")
    assert said in told.of("function_call_output")[0]["output"]
    assert len(scenario.requests[1].body) < 600_000


def test_tools_that_hang_take_nobody_elses_threads(gateway: Gateway) -> None:
    body = {"model": MODELS["chat"], "input": "go", "tools": hosted("hangs", "add")}
    for _ in range(2):
        gateway.scenario(says("chat", calls=[("hangs", {})] * 4), says("chat", "Sorry."))
        told = gateway.ask(body)
        assert ["did not answer" in item["output"] for item in told.of("function_call_output")] == [True] * 4
    gateway.scenario(says("chat", calls=[("add", {"first": 1})]), says("chat", "Two."))
    assert gateway.ask(body).of("function_call_output")[0]["output"] == "2"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no.such:tool", "cannot be imported"),
        ("sys:maxsize", "is not callable"),
        ("builtins:print", "no schema"),
    ],
)
def test_a_callable_that_cannot_be_a_tool_ends_the_start(path: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"{path!r} .*{said}"):
        load_tools([{"name": "a", "python": path}], EnvironmentSecrets({}))


def test_a_model_that_always_calls_ends_at_the_limit_of_rounds(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("gemini", calls=[("add", {"first": 1})]))
    told = gateway.ask({"model": MODELS["gemini"], "input": "go", "tools": hosted("add")}, stream=True)
    assert told.response["status"] == "incomplete"
    assert told.response["incomplete_details"] == {"reason": "max_tool_calls"}
    assert len(scenario.requests) == 4


def test_calls_beyond_max_tool_calls_are_refused_to_the_model(gateway: Gateway) -> None:
    scenario = gateway.scenario(
        says("anthropic", calls=[("add", {"first": 1}), ("add", {"first": 2})]),
        says("anthropic", "One is enough."),
    )
    body = {"model": MODELS["anthropic"], "input": "go", "tools": hosted("add"), "max_tool_calls": 1}
    told = gateway.ask(body, stream=True)
    assert [item["output"] for item in told.of("function_call_output")] == ["2"]
    assert len(told.of("function_call")) == 1
    assert "limit of tool calls" in scenario.requests[1].body.decode()
    assert told.text == "One is enough."


def test_a_forced_call_is_not_forced_again(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("anthropic", calls=[("add", {"first": 1})]), says("anthropic", "Two."))
    body = {"model": MODELS["anthropic"], "input": "go", "tools": hosted("add")}
    assert gateway.ask({**body, "tool_choice": "required"}).text == "Two."
    first, second = (request.json.get("tool_choice") for request in scenario.requests)
    assert (first["type"], second["type"] if second else "auto") == ("any", "auto")


def test_what_is_demanded_is_demanded_until_it_is_called(gateway: Gateway) -> None:
    """A call of another tool, which is refused, is none."""
    calls: list[list[Any]] = [[("mine", {})], [("add", {"first": 1})]]
    scenario = gateway.scenario(*(says("chat", calls=each) for each in calls), says("chat", "Two."))
    choice = {"type": "function", "name": "add"}
    body = {"model": MODELS["chat"], "input": "go", "tools": [*hosted("add"), CLIENTS_OWN]}
    assert gateway.ask({**body, "tool_choice": choice}).text == "Two."
    demanded = {"type": "function", "function": {"name": "add"}}
    assert [request.json.get("tool_choice") for request in scenario.requests] == [demanded, demanded, None]


@pytest.mark.parametrize("route", ROUTES)
def test_a_refused_call_is_hidden_and_the_model_is_told(gateway: Gateway, route: str) -> None:
    scenario = gateway.scenario(says(route, calls=[("mine", {})]), says(route, "Then not."))
    other = {**CLIENTS_OWN, "name": "other"}
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "other"}]}
    body = {"model": MODELS[route], "input": "go", "tools": [CLIENTS_OWN, other], "tool_choice": allowed}
    told = gateway.ask(body, stream=True)
    assert told.text == "Then not."
    assert not told.of("function_call")
    assert "may not be called" in scenario.requests[1].body.decode()


@pytest.mark.parametrize("route", ROUTES)
def test_only_one_call_where_parallel_calls_are_off(gateway: Gateway, route: str) -> None:
    gateway.scenario(says(route, calls=[("mine", {"n": 1}), ("mine", {"n": 2})]))
    body = {"model": MODELS[route], "input": "go", "tools": [CLIENTS_OWN], "parallel_tool_calls": False}
    told = gateway.ask(body, stream=True)
    assert [json.loads(item["arguments"]) for item in told.of("function_call")] == [{"n": 1}]
    assert told.response["status"] == "completed"


def test_one_call_a_round_goes_on_where_parallel_calls_are_off(gateway: Gateway) -> None:
    calls: list[tuple[str, Json]] = [("add", {"first": 1}), ("add", {"first": 2})]
    gateway.scenario(*[says("gemini", calls=calls)] * 3, says("gemini", "Done."))
    body = {"model": MODELS["gemini"], "input": "go", "tools": hosted("add"), "parallel_tool_calls": False}
    told = gateway.ask(body, stream=True)
    assert (told.text, len(told.of("function_call_output"))) == ("Done.", 3)


@pytest.mark.parametrize("route", ROUTES)
def test_a_refused_call_stands_beside_the_others(gateway: Gateway, route: str) -> None:
    """As the model made them: one reasoning led to all, and providers want it there."""
    calls: list[tuple[str, Json]] = [("add", {"first": 1}), ("add", {"first": 2})]
    scenario = gateway.scenario(says(route, calls=calls, reasoning="hm"), says(route, "Two."))
    gateway.ask({"model": MODELS[route], "input": "go", "tools": hosted("add"), "max_tool_calls": 1})
    sent = scenario.requests[1].body.decode()
    order = [sent.index(text) for text in ("call_a1", "call_b2")] if route in ("anthropic", "chat") else []
    results = sent.index("The limit of tool calls")
    first_result = sent.rindex("call_a1") if order else sent.rindex('"2"')
    assert order == sorted(order) and (not order or order[1] < first_result) and first_result < results
    messages = scenario.requests[1].json
    roles = [each["role"] for each in messages.get("messages") or messages.get("contents") or ()]
    assert roles in (
        [],
        ["user", "assistant", "user"],
        ["user", "model", "user"],
        ["user", "assistant", *["tool"] * 2],
    )


def test_a_tool_that_there_is_not(gateway: Gateway) -> None:
    body = {"model": MODELS["gemini"], "input": "go", "tools": [*hosted("add"), CLIENTS_OWN]}
    scenario = gateway.scenario(says("gemini", calls=[("nope", {})]), says("gemini", "Then not."))
    told = gateway.ask(body, stream=True)
    assert (told.text, told.of("function_call")) == ("Then not.", [])
    assert "There is no tool of this name" in scenario.requests[1].body.decode()
    scenario = gateway.scenario(says("gemini", calls=[("nope", {})]))
    failed = gateway.ask(body, stream=True).response
    assert len(scenario.requests) == 3, "two are told, the third one fails"
    assert (failed["error"]["code"], "nope" in failed["error"]["message"]) == ("model_error", True)


def test_what_the_deadline_cut_has_an_answer(gateway: Gateway, provider: Provider, server: Server) -> None:
    """So that the conversation goes on: no provider takes a call without its output."""
    limited = Server(server.environ, config_path=server.settings["config_path"], max_turn_seconds=0.6).start()
    gateway.base_url = limited.url
    gateway.scenario(says("gemini", calls=[("add", {"first": 2}), ("waits", {})]))
    body = {"model": MODELS["gemini"], "tools": hosted("add", "waits")}
    told = gateway.ask({**body, "input": "go"}, stream=True)
    assert told.response["incomplete_details"] == {"reason": "time_limit"}
    outputs = [item["output"] for item in told.of("function_call_output")]
    assert outputs == ["3", "Error: the call was not completed."]
    gateway.scenario(says("gemini", "Fine."))
    again = gateway.ask({**body, "input": "and?", "previous_response_id": told.response["id"]})
    assert again.text == "Fine."
    limited.stop()


async def test_the_deadline_does_not_end_who_reads() -> None:
    """A reader that takes its time while a tool's result is told gets the end all the same."""
    settings = Settings.load({}, max_turn_seconds=0.3)
    secrets, store = EnvironmentSecrets({}), SQLiteStore(":memory:", 60)
    tools = load_tools([{"name": "add", "python": f"{__name__}:add"}], secrets)
    upstream, sealer = Upstream(1.0), cast(Any, None)
    services = Services(settings, Router(settings), secrets, store, upstream, tools, sealer=sealer)
    body = {"model": "echo", "input": '/tool add {"first": 1}', "tools": hosted("add"), "store": False}
    turn = ResponseTurn(services, body, caller=Caller("default"), streaming=True)
    events: list[Json] = []
    async with aclosing(turn.events()) as batches:
        async for batch in batches:
            events += batch
            if any(event.get("item", {}).get("type") == "function_call_output" for event in batch):
                await asyncio.sleep(0.4)
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    await store.close()


def test_the_clients_own_definition_wins(gateway: Gateway) -> None:
    gateway.scenario(says("openai", calls=[("add", {"first": 1})]))
    own = {**CLIENTS_OWN, "name": "add"}
    told = gateway.ask({"model": MODELS["openai"], "input": "go", "tools": [own]})
    assert [item["type"] for item in told.output] == ["function_call"]
