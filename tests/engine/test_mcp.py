"""MCP servers that the gateway speaks to, real ones on loopback, behind every provider's wire format."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.gateway import Gateway, Server, environment, with_bedrock
from ..support.mcp_server import PNG, TOKEN, McpServers
from ..support.provider import Provider, Received, Scenario
from ..support.sockets import Socket
from ..support.speech import WITH_BEDROCK as MODELS
from ..support.speech import says
from ..support.waiting import wait_for

Json = dict[str, Any]
ROUTES = sorted(MODELS)


def sampled(*cases: Any) -> list[Any]:
    """The cases that `make test` has, `...`, and the others, which the slow run has too."""
    quick, slow = cases[: cases.index(...)], cases[cases.index(...) + 1 :]
    others = [pytest.param(*case, marks=pytest.mark.slow) for case in slow if case not in quick]
    return [*quick, *others]


STREAMED = sampled(
    *[(route, True) for route in ROUTES], ("chat", False), ..., *[(route, False) for route in ROUTES]
)
APPROVALS = sampled(
    *[("anthropic", True, True), ("gemini", True, True), ("openai", True, True), ("chat", False, True)],
    *[("ollama", True, False), ("openai", False, False)],
    ...,
    *[(route, approve, by_id) for route in ROUTES for approve in (True, False) for by_id in (True, False)],
)
CHOICES = sampled(("openai",), ("anthropic",), ..., *[(route,) for route in ROUTES])


@pytest.fixture(scope="module")
def servers() -> Iterator[McpServers]:
    started = McpServers().start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def server(
    provider: Provider, servers: McpServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    config = Path(tmp_path_factory.mktemp("config")) / "config.toml"
    config.write_text(
        f'[[mcp]]\nlabel = "ours"\nurl = "{servers.url}/locked/mcp"\nkey_variable = "LOCKED_KEY"\n'
        f'allowed_tools = ["add"]\n'
        f'[[mcp]]\nlabel = "careful"\nurl = "{servers.url}/mcp"\napproval = "writes"\n'
        f'[[mcp]]\nlabel = "hasty"\nurl = "{servers.url}/mcp"\ntimeout = 0.3\n'
    )
    with pytest.MonkeyPatch.context() as patched:
        environ = {**with_bedrock(environment(provider.url), patched), "LOCKED_KEY": TOKEN}
        started = Server(environ, config_path=str(config), max_tool_rounds=3, mcp_connect_timeout=3.0).start()
        yield started
        started.stop()


@pytest.fixture(scope="module")
def limited(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), max_turn_seconds=0.8, max_turn_tokens=18).start()
    yield started
    started.stop()


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client, servers: McpServers) -> Gateway:
    servers.called.clear()
    servers.requests.clear()
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario()
    return gateway


def mcp(servers: McpServers, path: str = "/mcp", label: str = "math", **options: Any) -> Json:
    return {
        "type": "mcp",
        "server_label": label,
        "server_url": servers.url + path,
        "require_approval": "never",
        **options,
    }


def sent(request: Received) -> str:
    return request.body.decode()


def body(route: str, *tools: Json, **fields: Any) -> Json:
    return {"model": MODELS[route], "input": "go", "tools": list(tools), **fields}


def kinds(output: list[Json]) -> list[str]:
    return [item["type"] for item in output if item["type"] != "reasoning"]


# --------------------------------------------------------------------------- listing and calling


@pytest.mark.parametrize(("route", "stream"), STREAMED)
def test_a_call_runs_inside_the_turn(gateway: Gateway, servers: McpServers, route: str, stream: bool) -> None:
    scenario = gateway.scenario(
        says(route, "Let me add.", calls=[("math__add", {"first": 2, "second": 3})], reasoning="hm"),
        says(route, "It is 5."),
    )
    tool = mcp(servers, authorization="secret-token", headers={"X-Team": "blue"})
    told = gateway.ask(body(route, tool), stream=stream)
    assert kinds(told.output) == ["mcp_list_tools", "message", "mcp_call", "message"]
    listed, call = told.of("mcp_list_tools")[0], told.of("mcp_call")[0]
    assert {each["name"] for each in listed["tools"]} >= {"add", "slow", "secret"}
    assert (call["name"], call["server_label"], call["output"], call["error"]) == ("add", "math", "5", None)
    assert (json.loads(call["arguments"]), call["status"]) == ({"first": 2, "second": 3}, "completed")
    assert told.text == "Let me add.It is 5."
    assert told.response["usage"]["input_tokens"] == 22, "usage is the sum of both samples"
    first, second = map(sent, scenario.requests)
    assert "Adds two numbers." in first and "Let me add." in second and "secret-token" not in first + second
    assert "mcp_call" not in second, "the model sees a function's call and output"
    assert servers.called == [("add", (2, 3))]
    headers = servers.requests[-1][2]
    assert (headers["authorization"], headers["x-team"]) == ("Bearer secret-token", "blue")
    assert not {"authorization", "headers"} & set(told.response["tools"][0])
    if stream:
        events = [event["type"] for event in told.events]
        asked = [kind for kind in events if kind.startswith("response.mcp_call")]
        assert asked[0] == "response.mcp_call.in_progress"
        assert asked[-2:] == ["response.mcp_call_arguments.done", "response.mcp_call.completed"]
        assert asked.count("response.mcp_call_arguments.delta") >= 1
        assert [kind for kind in events if kind.startswith("response.mcp_list_tools")] == [
            "response.mcp_list_tools.in_progress",
            "response.mcp_list_tools.completed",
        ]


@pytest.mark.parametrize(("route",), CHOICES)
def test_the_conversation_goes_on_from_it(gateway: Gateway, servers: McpServers, route: str) -> None:
    """By previous_response_id and by the items themselves; the tools are not listed again."""
    gateway.scenario(says(route, calls=[("math__add", {"first": 2})]), says(route, "It is 3."))
    asked = body(route, mcp(servers))
    told = gateway.ask(asked)
    servers.requests.clear()
    user = {"role": "user", "content": "and now?"}
    for more in (
        {"input": [user], "previous_response_id": told.response["id"]},
        {"input": [{"role": "user", "content": "go"}, *told.output, user], "store": False},
    ):
        scenario = gateway.scenario(says(route, "Done."))
        again = gateway.ask({**asked, **more}, stream=True)
        assert kinds(again.output) == ["message"]
        assert "math__add" in sent(scenario.requests[0]) and "mcp_" + "call" not in sent(scenario.requests[0])
        assert "It is 3." in sent(scenario.requests[0])
    assert servers.requests == []


def test_another_provider_continues_without_the_tool(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("gemini", calls=[("math__add", {"first": 2})]), says("gemini", "It is 3."))
    told = gateway.ask(body("gemini", mcp(servers)))
    for route in ROUTES:
        scenario = gateway.scenario(says(route, "Yes."))
        gateway.ask(body(route, previous_response_id=told.response["id"]))
        assert "first" in sent(scenario.requests[0])


def test_parallel_calls_and_two_servers_with_the_same_tool(gateway: Gateway, servers: McpServers) -> None:
    calls: list[tuple[str, Json]] = [
        ("math__add", {"first": 1}),
        ("text__add", {"text": "a"}),
        ("math__slow", {"seconds": 0.2}),
        ("text__many_100", {}),
    ]
    gateway.scenario(says("anthropic", calls=calls), says("anthropic", "Done."))
    begun = time.monotonic()
    told = gateway.ask(body("anthropic", mcp(servers), mcp(servers, "/other/mcp", "text")), stream=True)
    assert time.monotonic() - begun < 2
    assert [item["output"] for item in told.of("mcp_call")] == ["2", "added a", "late", "one of many"]
    assert [len(item["tools"]) for item in told.of("mcp_list_tools")] == [9, 101]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("math__fails", {}), "Error executing tool fails"),
        (("math__add", {"first": "many"}), "first"),
        (("hasty__slow", {}), "did not answer within 0.3 s"),
    ],
)
def test_an_error_is_the_calls_not_the_responses(
    gateway: Gateway, servers: McpServers, call: tuple[str, Json], said: str
) -> None:
    scenario = gateway.scenario(says("ollama", calls=[call]), says("ollama", "Sorry."))
    tools = (mcp(servers), {"type": "mcp", "server_label": "hasty"})
    told = gateway.ask(body("ollama", *tools), stream=True)
    item = told.of("mcp_call")[0]
    assert (told.response["status"], told.text) == ("completed", "Sorry.")
    assert (item["status"], item["output"]) == ("failed", None)
    assert said in json.dumps(item["error"]) and said in sent(scenario.requests[1])
    assert "response.mcp_call.failed" in [event["type"] for event in told.events]


def test_a_large_result_is_cut(gateway: Gateway, servers: McpServers) -> None:
    scenario = gateway.scenario(says("chat", calls=[("math__large", {})]), says("chat", "Long."))
    told = gateway.ask(body("chat", mcp(servers)))
    assert "[Cut here: the result has 5000000 bytes" in told.of("mcp_call")[0]["output"]
    assert len(scenario.requests[1].body) < 600_000


@pytest.mark.parametrize(("route",), CHOICES)
def test_an_image_reaches_the_model(gateway: Gateway, servers: McpServers, route: str) -> None:
    scenario = gateway.scenario(says(route, calls=[("math__image", {})]), says(route, "Nice."))
    told = gateway.ask(body(route, mcp(servers)))
    assert told.of("mcp_call")[0]["output"] == "a picture\n[image: image/png, 48 bytes]"
    assert PNG in sent(scenario.requests[1])


@pytest.mark.parametrize(
    "given", [{"mime_type": "image/svg+xml", "data": PNG}, {"mime_type": "image/png", "data": "no base64"}]
)
def test_an_image_that_models_do_not_take_is_told_of(
    gateway: Gateway, servers: McpServers, given: Json
) -> None:
    scenario = gateway.scenario(says("anthropic", calls=[("math__drawing", given)]), says("anthropic", "Hm."))
    told = gateway.ask(body("anthropic", mcp(servers)))
    assert (told.status, told.text) == (200, "Hm."), told.error
    result = scenario.requests[1].json["messages"][-1]["content"][0]
    assert f"[image: {given['mime_type']}, " in json.dumps(result) and '"source"' not in json.dumps(result)


def test_numbers_of_any_size(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("chat", calls=[("math__factor", {"number": 3})]), says("chat", "Large."))
    told = gateway.ask(body("chat", mcp(servers)), stream=True)
    assert told.response["status"] == "completed", told.response["error"]
    assert told.of("mcp_call")[0]["output"] == '{"number": 3' + "0" * 30 + "}"


def test_a_name_of_any_length_and_letters(gateway: Gateway, servers: McpServers) -> None:
    scenario = gateway.scenario(
        lambda request: says("gemini", calls=[(weird(request), {})]), says("gemini", "Ok.")
    )
    told = gateway.ask(body("gemini", mcp(servers)))
    assert told.of("mcp_call")[0]["name"] == "files.read/" + "x" * 80
    assert told.of("mcp_call")[0]["output"] == "read"
    assert len(weird(scenario.requests[0])) <= 64


def weird(request: Received) -> str:
    declared = request.json["tools"][0]["functionDeclarations"]
    return str(next(tool["name"] for tool in declared if "files" in tool["name"]))


def test_the_older_transport(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("openai", calls=[("old__shout", {"text": "hey"})]), says("openai", "Done."))
    told = gateway.ask(body("openai", mcp(servers, "/old/sse", "old")), stream=True)
    assert told.of("mcp_call")[0]["output"] == "HEY"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/broken/mcp", "500"), ("/locked/mcp", "401"), ("/nothing", "404"), (":1/mcp", "reached")],
)
@pytest.mark.parametrize("choice", ["auto", pytest.param("required", marks=pytest.mark.slow)])
def test_a_server_that_cannot_be_asked(
    gateway: Gateway, servers: McpServers, path: str, said: str, choice: str
) -> None:
    gateway.scenario(says("anthropic", "Without it, then."))
    tool = {**mcp(servers), "server_url": servers.url + path if path[0] == "/" else "http://127.0.0.1" + path}
    told = gateway.ask(body("anthropic", tool, tool_choice=choice), stream=True)
    listed = told.of("mcp_list_tools")[0]
    assert (told.response["status"], told.text) == ("completed", "Without it, then.")
    assert (listed["tools"], listed["status"]) == ([], "failed") and said in listed["error"]


@pytest.mark.parametrize(
    ("name", "output"), [("elicits", None), ("samples", None), ("roots", None), ("changes", "changed")]
)
def test_a_server_that_asks_the_client_is_refused(
    gateway: Gateway, servers: McpServers, name: str, output: str | None
) -> None:
    """Soon, and to its own call: nobody is there to be asked, and no model is lent to a server."""
    scenario = gateway.scenario(says("anthropic", calls=[(f"math__{name}", {})]), says("anthropic", "Well."))
    begun = time.monotonic()
    told = gateway.ask(body("anthropic", mcp(servers, "/curious/mcp")), stream=True)
    assert time.monotonic() - begun < 5
    [call] = told.of("mcp_call")
    assert (told.text, call["output"]) == ("Well.", output)
    assert (call["error"] is None) == (output is not None)
    assert len(scenario.requests) == 2


# --------------------------------------------------------------------------- limits


def test_only_allowed_tools_run_whatever_the_model_does(gateway: Gateway, servers: McpServers) -> None:
    scenario = gateway.scenario(says("chat", calls=[("math__secret", {})]), says("chat", "No?"))
    told = gateway.ask(body("chat", mcp(servers, allowed_tools=["add"])), stream=True)
    assert [tool["name"] for tool in told.of("mcp_list_tools")[0]["tools"]] == ["add"]
    assert "Not to be called" not in sent(scenario.requests[0])
    assert servers.called == [] and not told.of("mcp_call")
    assert (told.text, told.of("function_call")) == ("No?", []), "it is nobody's to answer"


def test_read_only_tools(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("gemini", "Hi."))
    told = gateway.ask(body("gemini", mcp(servers, allowed_tools={"read_only": True})))
    assert [tool["name"] for tool in told.of("mcp_list_tools")[0]["tools"]] == ["add"]


def test_a_model_that_always_calls_ends_at_the_limit(gateway: Gateway, servers: McpServers) -> None:
    scenario = gateway.scenario(says("gemini", calls=[("math__add", {"first": 1})]))
    told = gateway.ask(body("gemini", mcp(servers)), stream=True)
    assert told.response["incomplete_details"] == {"reason": "max_tool_calls"}
    assert len(scenario.requests) == 4 == len(servers.called)


def test_max_tool_calls_counts_them(gateway: Gateway, servers: McpServers) -> None:
    calls: list[tuple[str, Json]] = [("math__add", {"first": 1}), ("math__add", {"first": 2})]
    gateway.scenario(says("anthropic", calls=calls), says("anthropic", "One is enough."))
    told = gateway.ask(body("anthropic", mcp(servers), max_tool_calls=1))
    assert (len(told.of("mcp_call")), len(servers.called), told.text) == (1, 1, "One is enough.")


@pytest.mark.parametrize(("route",), CHOICES)
def test_a_choice_of_the_server_or_of_its_tool(gateway: Gateway, servers: McpServers, route: str) -> None:
    one = {"type": "mcp", "server_label": "math", "name": "add"}
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [one]}
    forced = (
        (one, {"type": "mcp", "server_label": "math"}) if route != "ollama" else ()
    )  # it cannot be forced
    for choice in (*forced, allowed):
        scenario = gateway.scenario(says(route, calls=[("math__add", {"first": 1})]), says(route, "Two."))
        assert gateway.ask(body(route, mcp(servers), tool_choice=choice)).text == "Two."
        assert "math__add" in sent(scenario.requests[0]) and '"server_label"' not in sent(
            scenario.requests[0]
        )
    gateway.scenario(says(route, calls=[("math__secret", {})]), says(route, "Then not."))
    told = gateway.ask(body(route, mcp(servers), tool_choice=allowed))
    assert (told.text, told.of("mcp_call")) == ("Then not.", [])


def test_the_deadline_stops_the_loop(gateway: Gateway, servers: McpServers, limited: Server) -> None:
    servers.cancelled.clear()
    gateway.base_url = limited.url
    gateway.scenario(
        says("anthropic", calls=[("math__slow", {"seconds": 9}), ("math__slow", {"seconds": 8})])
    )
    told = gateway.ask(body("anthropic", mcp(servers)), stream=True)
    assert told.response["incomplete_details"] == {"reason": "time_limit"}
    assert [item["status"] for item in told.of("mcp_call")] == ["failed", "failed"]
    assert servers.cancelled.wait(3), "the session is closed, and the server knows"
    scenario = gateway.scenario(says("anthropic", "I see."))
    asked = body("anthropic", mcp(servers), input="And?", previous_response_id=told.response["id"])
    assert gateway.ask(asked).text == "I see."
    assert sent(scenario.requests[0]).count("Error: The call was not completed.") == 2


def test_the_tokens_of_a_turn_are_bounded(gateway: Gateway, servers: McpServers, limited: Server) -> None:
    gateway.base_url = limited.url
    scenario = gateway.scenario(says("anthropic", calls=[("math__add", {"first": 1})]))
    told = gateway.ask(body("anthropic", mcp(servers)), stream=True)
    assert told.response["incomplete_details"] == {"reason": "token_limit"}
    assert (told.of("mcp_call")[0]["output"], len(scenario.requests)) == ("2", 1)


def test_a_client_that_leaves_ends_the_calls(gateway: Gateway, servers: McpServers) -> None:
    servers.cancelled.clear()
    gateway.scenario(says("anthropic", calls=[("math__slow", {"seconds": 9})]))
    asked = {**body("anthropic", mcp(servers)), "stream": True}
    with gateway.http.stream("POST", f"{gateway.base_url}/v1/responses", json=asked) as reply:
        lines = reply.iter_lines()  # whose end hangs up
        for line in lines:
            if "mcp_call_arguments.done" in line:
                break
        wait_for(lambda: servers.called)
    assert servers.cancelled.wait(10)
    del lines


def test_in_the_background(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("gemini", calls=[("math__add", {"first": 1})]), says("gemini", "Two."))
    queued = gateway.http.post(
        f"{gateway.base_url}/v1/responses",
        json=body("gemini", mcp(servers, authorization="canary"), background=True),
    ).json()
    until = time.monotonic() + 5
    while (done := gateway.get(f"/responses/{queued['id']}").json())["status"] in ("queued", "in_progress"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert kinds(done["output"]) == ["mcp_list_tools", "mcp_call", "message"]
    assert "canary" not in json.dumps(done)


def test_a_background_response_that_is_cancelled_ends_the_calls(
    gateway: Gateway, servers: McpServers
) -> None:
    servers.cancelled.clear()
    gateway.scenario(says("gemini", calls=[("math__slow", {"seconds": 9})]))
    url = f"{gateway.base_url}/v1/responses"
    queued = gateway.http.post(url, json=body("gemini", mcp(servers), background=True)).json()
    wait_for(lambda: servers.called)
    assert gateway.http.post(f"{url}/{queued['id']}/cancel").json()["status"] == "cancelled"
    assert servers.cancelled.wait(5)


def test_over_a_websocket(gateway: Gateway, servers: McpServers, server: Server) -> None:
    """By what the connection remembers alone: a call is approved, once; a client that leaves ends the calls."""
    asked = body("gemini", mcp(servers, require_approval={"never": {"tool_names": ["slow"]}}), store=False)
    with Socket(server.url) as socket:
        gateway.scenario(says("gemini", "May I?", calls=[("math__add", {"first": 2})]))
        first = socket.ask(**asked).response
        answer = {
            "type": "mcp_approval_response",
            "approval_request_id": first["output"][-1]["id"],
            "approve": True,
        }
        gateway.scenario(says("gemini", "It is 3."))
        again = socket.ask(**{**asked, "input": [answer], "previous_response_id": first["id"]})
        assert (kinds(again.response["output"]), again.text) == (["mcp_call", "message"], "It is 3.")
        refused = socket.ask(**{**asked, "input": [answer], "previous_response_id": again.response["id"]})
        assert refused.refusal == (400, "invalid_value", "input[0].approval_request_id")
        assert servers.called == [("add", (2, 1))]
        servers.cancelled.clear()
        gateway.scenario(says("gemini", calls=[("math__slow", {"seconds": 9})]))
        socket.create(**asked)
        wait_for(lambda: len(servers.called) == 2)
    assert servers.cancelled.wait(5)


# --------------------------------------------------------------------------- approval


@pytest.mark.parametrize(("route", "approve", "by_id"), APPROVALS)
def test_a_call_waits_for_approval(
    gateway: Gateway, servers: McpServers, route: str, approve: bool, by_id: bool
) -> None:
    gateway.scenario(says(route, "May I?", calls=[("math__add", {"first": 2})]))
    asked = body(route, mcp(servers, require_approval={"never": {"tool_names": ["slow"]}}))
    told = gateway.ask(asked, stream=True)
    assert (told.response["status"], servers.called) == ("completed", [])
    assert kinds(told.output) == ["mcp_list_tools", "message", "mcp_approval_request"]
    request = told.of("mcp_approval_request")[0]
    assert (request["name"], json.loads(request["arguments"])) == ("add", {"first": 2})
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": request["id"],
        "approve": approve,
        "reason": None if approve else "too risky",
    }
    earlier = [] if by_id else [{"role": "user", "content": "go"}, *told.output]
    more = {"previous_response_id": told.response["id"]} if by_id else {"store": False}
    scenario = gateway.scenario(says(route, calls=[("math__slow", {"seconds": 0})]), says(route, "Done."))
    again = gateway.ask({**asked, **more, "input": [*earlier, answer]}, stream=True)
    seen = sent(scenario.requests[0])
    assert (again.text, again.response["status"]) == ("Done.", "completed")
    assert servers.called.pop() == ("slow", 0), "the model may go on to call what needs no approval"
    if approve:
        assert kinds(again.output) == ["mcp_call", "mcp_call", "message"]
        call = again.of("mcp_call")[0]
        assert (call["approval_request_id"], call["output"]) == (request["id"], "3")
        assert servers.called == [("add", (2, 1))] and "math__add" in seen
    else:
        assert kinds(again.output) == ["mcp_call", "message"]
        assert servers.called == [] and "did not allow" in seen and "too risky" in seen
    if by_id:
        refused = gateway.ask({**asked, "previous_response_id": again.response["id"], "input": [answer]})
        assert (refused.status, refused.error["param"]) == (400, "input[0].approval_request_id")
    else:  # the whole history again: what was approved then is not run again
        gateway.scenario(says(route, "Yes."))
        later = [*earlier, answer, *again.output, {"role": "user", "content": "sure?"}]
        assert gateway.ask({**asked, **more, "input": later}).text == "Yes."
        assert len(servers.called) == approve


def test_each_branch_makes_the_call_that_it_approves(gateway: Gateway, servers: McpServers) -> None:
    """As with any other input; a request that is sent again by its Idempotency-Key is one branch."""
    gateway.scenario(says("gemini", calls=[("math__add", {"first": 2})]), says("gemini", "It is 3."))
    asked = body("gemini", mcp(servers, require_approval="always"))
    first = gateway.ask(asked).response
    [request] = [item for item in first["output"] if item["type"] == "mcp_approval_request"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    again = {**asked, "input": [answer], "previous_response_id": first["id"]}
    for key, calls in (("one", 1), ("one", 1), ("two", 2)):
        told = gateway.ask(again, headers={"idempotency-key": f"branch-{key}"})
        assert told.of("mcp_call")[0]["output"] == "3"
        assert servers.called == [("add", (2, 1))] * calls


def test_an_approval_beside_calls_that_were_cut(gateway: Gateway, servers: McpServers) -> None:
    """The context has an item more than the input, and one less: the approval is found in its place."""
    gateway.scenario(says("gemini", "It is 3."))
    call = {
        "type": "function_call",
        "call_id": "c1",
        "name": "mine",
        "arguments": "{}",
        "status": "completed",
    }
    cut = {**call, "call_id": "c2", "arguments": '{"a', "status": "incomplete"}
    asked = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "math", "name": "add"}
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    user = {"role": "user", "content": "go"}
    more = [{**call, "call_id": "c3"}, {**cut, "call_id": "c4"}]
    given = [user, call, *more, cut, user, {**asked, "arguments": '{"first": 2}'}, answer]
    told = gateway.ask(body("gemini", mcp(servers, require_approval="always"), input=given))
    assert (told.status, servers.called) == (200, [("add", (2, 1))]), told.error
    again = gateway.ask(body("gemini", mcp(servers), input=[*given, answer]))
    assert (again.status, again.error["param"]) == (400, f"input[{len(given)}].approval_request_id")


# --------------------------------------------------------------------------- the operator's servers


@pytest.mark.parametrize("tools", [[], [{"type": "mcp", "server_label": "hasty"}]])
def test_an_approval_of_a_server_that_is_not_there_is_refused(
    gateway: Gateway, servers: McpServers, tools: list[Json]
) -> None:
    scenario = gateway.scenario(says("gemini", calls=[("math__add", {"first": 2})]), says("gemini", "Done."))
    first = gateway.ask(body("gemini", mcp(servers, require_approval="always")))
    [asked] = first.of("mcp_approval_request")
    answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": True}
    more = {"model": MODELS["gemini"], "previous_response_id": first.response["id"], "tools": tools}
    told = gateway.ask({**more, "input": [answer]}, stream=True)
    assert (told.status, told.error["param"]) == (400, "input[0].approval_request_id"), told.response
    assert "'math'" in told.error["message"] and not servers.called and len(scenario.requests) == 1
    assert gateway.ask({**more, "input": [{**answer, "approve": False}]}).status == 200
    history = [*first.output, answer, {"role": "assistant", "content": "It is 3."}]
    assert gateway.ask({**more, "previous_response_id": None, "input": history}).status == 200


def test_the_operators_server_by_its_label(gateway: Gateway, servers: McpServers) -> None:
    gateway.scenario(says("openai", calls=[("ours__add", {"text": "b"})]), says("openai", "Done."))
    told = gateway.ask(body("openai", {"type": "mcp", "server_label": "ours"}))
    assert told.of("mcp_call")[0]["output"] == "added b"
    assert [tool["name"] for tool in told.of("mcp_list_tools")[0]["tools"]] == ["add"]
    assert TOKEN not in json.dumps(told.response)


def test_the_operators_limits_hold(gateway: Gateway, servers: McpServers) -> None:
    calls: list[tuple[str, Json]] = [("careful__add", {"first": 1}), ("careful__secret", {})]
    gateway.scenario(says("chat", calls=calls))
    tool = {"type": "mcp", "server_label": "careful", "require_approval": "never"}
    told = gateway.ask(body("chat", tool))
    assert kinds(told.output) == ["mcp_list_tools", "mcp_call", "mcp_approval_request"]
    assert servers.called == [("add", (1, 1))]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"server_label": "unknown"}, "tools[0].server_url"),
        ({"server_label": "ours", "authorization": "mine"}, "tools[0].authorization"),
        ({"server_label": "a", "server_url": "http://169.254.169.254/"}, "tools[0].server_url"),
        (
            {"server_label": "a", "server_url": "http://127.0.0.1/", "headers": {"Host": "b"}},
            "tools[0].headers",
        ),
        (
            {"server_label": "a", "server_url": "http://127.0.0.1/", "headers": {"A": "b\r\nc: d"}},
            "tools[0].headers",
        ),
        (
            {"server_label": "a", "server_url": "http://127.0.0.1/", "authorization": "a\nb"},
            "tools[0].authorization",
        ),
        (
            {"server_label": "a", "server_url": "http://127.0.0.1/", "allowed_tools": "add"},
            "tools[0].allowed_tools",
        ),
        (
            {"server_label": "a", "server_url": "http://127.0.0.1/", "require_approval": "maybe"},
            "tools[0].require_approval",
        ),
    ],
)
@pytest.mark.parametrize("route", ["openai", "gemini"])
def test_what_cannot_be_honoured_names_its_place(
    gateway: Gateway, route: str, tool: Json, param: str
) -> None:
    refused = gateway.ask(body(route, {"type": "mcp", **tool}), stream=True)
    assert (refused.status, refused.error["param"]) == (400, param)


@pytest.mark.parametrize("route", ROUTES)
def test_what_only_openai_has(gateway: Gateway, servers: McpServers, route: str) -> None:
    gateway.scenario(says(route, "Hi."))
    told = gateway.ask(body(route, mcp(servers, defer_loading=True)), stream=True)
    assert (told.text, told.headers["x-openresponses-ignored"]) == ("Hi.", "tools[0].defer_loading")
    connector = {
        "type": "mcp",
        "server_label": "a",
        "connector_id": "connector_dropbox",
        "authorization": "b",
    }
    told = gateway.ask(body(route, connector))
    if route == "openai":
        assert gateway.provider.scenario.requests[-1].json["tools"] == [connector]
    else:
        assert (told.status, told.error["param"]) == (400, "tools[0].connector_id")


def test_two_of_one_label(gateway: Gateway, servers: McpServers) -> None:
    refused = gateway.ask(body("gemini", mcp(servers), mcp(servers)))
    assert (refused.status, refused.error["param"]) == (400, "tools[1].server_label")


# --------------------------------------------------------------------------- who calls, and for whom it is remembered


def test_a_public_server_is_the_providers_to_call(gateway: Gateway) -> None:
    tool = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp"}
    scenario: Scenario = gateway.scenario(says("openai", "Hi."))
    gateway.ask(body("openai", tool))
    assert scenario.requests[0].json["tools"] == [tool]
    scenario = gateway.scenario(says("anthropic", "Hi."))
    gateway.ask(body("anthropic", {**tool, "require_approval": "never"}))
    assert scenario.requests[0].json["mcp_servers"][0]["url"] == "https://example.com/mcp"


def test_secrets_are_not_stored(gateway: Gateway, servers: McpServers, server: Server) -> None:
    gateway.scenario(says("chat", calls=[("math__add", {"first": 1})]), says("chat", "Two."))
    tool = mcp(servers, "/mcp?key=canary-3", authorization="canary-1", headers={"X-Key": "canary-2"})
    given = [{"role": "user", "content": "go"}, {"type": "additional_tools", "tools": [tool]}]
    gateway.ask(body("chat", tool))
    assert "canary" not in repr(server.last_record)
    gateway.scenario(says("openai", "Hi."))
    gateway.ask({"model": MODELS["openai"], "input": given})
    assert "canary-1" not in repr(server.last_record) and "canary-2" not in repr(server.last_record)
