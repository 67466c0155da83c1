"""Tools beyond plain functions, on every provider: what the model is offered, and what the client is told it called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..support import valid
from ..support.client import Told
from ..support.gateway import Gateway
from ..support.provider import SSE, Answer
from ..support.speech import Call, named, says

Json = dict[str, Any]

MODELS = {
    "openai": "gpt-5.4",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-flash-preview",
    "ollama": "ollama/qwen3",
    "chat": "vllm/Qwen/Qwen3-8B",
}
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
LARK = 'start: "*** Begin" /.+/s'
CUSTOM: Json = {"type": "custom", "name": "run", "description": "Runs a command."}
GRAMMAR: Json = {**CUSTOM, "format": {"type": "grammar", "syntax": "lark", "definition": LARK}}
SPOKEN = 'ls "a b"\n\tcat – é \\ '  # quotes, escapes and letters that must come through

each_dialect = pytest.mark.parametrize("dialect", MODELS)
each_stream = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def function(name: str, **more: Any) -> Json:
    return {"type": "function", "name": name, "description": f"Does {name}.", "parameters": SCHEMA, **more}


def openai_says(*items: Json) -> Answer:
    events: list[Json] = [{"type": "response.created", "response": {"model": "gpt", "output": []}}]
    for index, item in enumerate(items):
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    done = {"model": "gpt", "status": "completed", "output": list(items), "usage": None}
    return Answer(named(*events, {"type": "response.completed", "response": done}), content_type=SSE)


def calls_custom(dialect: str, wire: str, text: str, namespace: str | None = None) -> Answer:
    """The model calls a custom tool: natively, or as a function with one string."""
    if dialect != "openai":
        return says(dialect, calls=[(wire, {"input": text})])
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "run", "input": text}
    return openai_says(item | ({"namespace": namespace} if namespace else {}))


def ask(gateway: Gateway, dialect: str, *, stream: bool = False, **body: Any) -> Told:
    told = gateway.ask({"model": MODELS[dialect], "input": "Go.", **body}, stream=stream)
    assert told.status == 200, told.error
    return told


def holds(value: Any, text: str) -> bool:
    """Whether the text stands somewhere in the value, JSON within its strings included."""
    if isinstance(value, str):
        return value == text or (value.startswith("{") and holds(json.loads(value), text))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(holds(each, text) for each in inner)


# --------------------------------------------------------------------------- several calls


@each_dialect
def test_calls_that_are_said_one_after_the_other_are_never_open_at_once(
    gateway: Gateway, dialect: str
) -> None:
    """Some clients know one call at a time: the end of an item belongs to the one that began last."""
    calls: list[Call] = [("look", {"city": "Oslo"}), ("run", "ls }"), ("look", {"city": "Rome"})]
    gateway.scenario(says(dialect, calls=calls))
    told = ask(gateway, dialect, stream=True, tools=[function("look"), CUSTOM])
    kinds = ("response.output_item.added", "response.output_item.done")
    steps = [(event["type"], event["output_index"]) for event in told.events if event["type"] in kinds]
    assert steps == [(kind, index) for index in range(3) for kind in kinds]
    given = [item["input"] if "input" in item else json.loads(item["arguments"]) for item in told.output]
    assert given == [arguments for _, arguments in calls]


@pytest.mark.parametrize(("late", "outcome"), [(" \n", "completed"), ('{"b":2}', "failed")])
def test_what_follows_a_whole_call_is_space_or_told(gateway: Gateway, late: str, outcome: str) -> None:
    pieces = [
        {"index": 0, "id": "call_a", "function": {"name": "look", "arguments": '{"a":1}'}},
        {"index": 1, "id": "call_b", "function": {"name": "look", "arguments": '{"a"'}},
        {"index": 0, "function": {"arguments": late}},
        {"index": 1, "function": {"arguments": ":2}"}},
    ]
    deltas: list[tuple[Json, str | None]] = [({"tool_calls": [piece]}, None) for piece in pieces]
    frames = [
        json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        for delta, reason in [*deltas, ({}, "tool_calls")]
    ]
    body = "".join(f"data: {frame}\n\n" for frame in (*frames, "[DONE]"))
    gateway.scenario(Answer(body.encode(), content_type=SSE))
    told = ask(gateway, "chat", stream=True, tools=[function("look")])
    assert told.response["status"] == outcome
    assert told.output[0]["arguments"] == '{"a":1}'


# --------------------------------------------------------------------------- custom tools and namespaces


@each_dialect
@each_stream
@pytest.mark.parametrize("tool", [CUSTOM, GRAMMAR], ids=["text", "grammar"])
def test_a_custom_tool_is_called_with_text(gateway: Gateway, dialect: str, stream: bool, tool: Json) -> None:
    scenario = gateway.scenario(calls_custom(dialect, "run", SPOKEN), says(dialect, "Done."))
    told = ask(gateway, dialect, stream=stream, tools=[tool])
    [call] = told.of("custom_tool_call")
    assert (call["name"], call["input"]) == ("run", SPOKEN)
    assert not told.of("function_call")
    if stream:
        kinds = [event["type"] for event in told.events]
        assert "response.custom_tool_call_input.done" in kinds
        deltas = [
            event["delta"]
            for event in told.events
            if event["type"] == "response.custom_tool_call_input.delta"
        ]
        assert "".join(deltas) == SPOKEN
    sent = json.dumps(scenario.requests[0].json)
    assert "Runs a command." in sent
    assert (json.dumps(LARK)[1:-1] in sent) == (tool is GRAMMAR)
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "two files"}
    ask(gateway, dialect, tools=[tool], input=[output], previous_response_id=told.response["id"])
    again = scenario.requests[1].json
    valid.check(dialect, again)
    assert holds(again, SPOKEN) and holds(again, "two files")


@each_dialect
@each_stream
def test_a_namespace_is_told_apart(gateway: Gateway, dialect: str, stream: bool) -> None:
    """Two tools of one name, in a namespace and outside of one."""
    group = {
        "type": "namespace",
        "name": "maps",
        "description": "Maps of the world.",
        "tools": [function("find")],
    }
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": "{}"}
    item |= {"namespace": "maps"}
    answer = openai_says(item) if dialect == "openai" else says(dialect, calls=[("maps__find", {})])
    scenario = gateway.scenario(answer, says(dialect, "Done."))
    told = ask(gateway, dialect, stream=stream, tools=[function("find"), group])
    [call] = told.of("function_call")
    assert (call["namespace"], call["name"]) == ("maps", "find")
    assert "Maps of the world." in json.dumps(scenario.requests[0].json)
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "there"}
    ask(
        gateway,
        dialect,
        tools=[function("find"), group],
        input=[result],
        previous_response_id=told.response["id"],
    )
    again = scenario.requests[1].json
    valid.check(dialect, again)
    assert json.dumps(again).count("maps__find" if dialect != "openai" else '"namespace": "maps"') >= 1


@each_dialect
def test_tools_that_come_in_the_input_are_offered(gateway: Gateway, dialect: str) -> None:
    scenario = gateway.scenario(calls_custom(dialect, "run", "ls"))
    extra = {"type": "additional_tools", "tools": [GRAMMAR, function("find")]}
    told = ask(gateway, dialect, input=[extra, {"role": "user", "content": "Go."}])
    assert [call["input"] for call in told.of("custom_tool_call")] == ["ls"]
    body = scenario.requests[0].json
    sent = json.dumps(body["input"][0] if dialect == "openai" else body["tools"])
    assert '"run"' in sent and '"find"' in sent


@pytest.mark.parametrize(("model", "placed"), [("openai/gpt-5.6", True), ("openai/gpt-4.1", False)])
def test_tools_in_mid_conversation_leave_those_before_them_as_they_were(
    gateway: Gateway, model: str, placed: bool
) -> None:
    """The prompt cache depends on it."""
    scenario = gateway.scenario(says("openai", "Done."))
    extra = {"type": "additional_tools", "role": "developer", "tools": [function("find")]}
    given = [{"role": "user", "content": "Hi."}, extra, {"role": "user", "content": "Go."}]
    gateway.ask({"model": model, "tools": [GRAMMAR], "input": given})
    body = scenario.requests[0].json
    assert [tool["name"] for tool in body["tools"]] == (["run"] if placed else ["run", "find"])
    assert [item for item in body["input"] if item["type"] == "additional_tools"] == (
        [extra] if placed else []
    )


# --------------------------------------------------------------------------- parallel calls


@each_dialect
def test_ids_that_come_again_in_every_round_are_paired_by_round(gateway: Gateway, dialect: str) -> None:
    """As some models count their calls: the client sends them back as they were given."""
    scenario = gateway.scenario(says(dialect, "Done."))
    rounds = [
        item
        for city in "AB"
        for item in (
            {
                "type": "function_call",
                "call_id": "c0",
                "name": "find",
                "arguments": json.dumps({"city": city}),
            },
            {"type": "function_call_output", "call_id": "c0", "output": f"weather of {city}"},
            {"role": "user", "content": "More."},
        )
    ]
    ask(gateway, dialect, tools=[function("find")], input=[{"role": "user", "content": "Go."}, *rounds])
    sent = json.dumps(scenario.requests[0].json)
    assert sent.index("weather of A") < sent.index("weather of B")


@each_dialect
def test_parallel_calls_of_one_name_get_their_own_results(gateway: Gateway, dialect: str) -> None:
    """Results in the other order, a message between them, the same function twice."""
    calls = [("find", {"city": "A"}), ("find", {"city": "B"}), ("find", {"city": "C"})]
    scenario = gateway.scenario(says(dialect, calls=calls), says(dialect, "Done."))
    told = ask(gateway, dialect, tools=[function("find")])
    made = told.of("function_call")
    assert len({call["call_id"] for call in made}) == 3
    results = [
        {
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": f"weather of {call['arguments'][-3]}",
        }
        for call in made
    ]
    given = [results[2], results[0], {"role": "user", "content": "and"}, results[1]]
    ask(gateway, dialect, tools=[function("find")], input=given, previous_response_id=told.response["id"])
    body = scenario.requests[1].json
    valid.check(dialect, body)
    assert pairs(dialect, body) == {city: f"weather of {city}" for city in "ABC"}


def pairs(dialect: str, body: Json) -> dict[str, str]:
    """City of each call → its result, paired as the provider pairs them."""
    made: dict[str, str] = {}
    told: dict[str, str] = {}
    if dialect == "anthropic":
        blocks = [block for message in body["messages"] for block in message["content"]]
        made = {block["id"]: block["input"]["city"] for block in blocks if block["type"] == "tool_use"}
        told = {b["tool_use_id"]: b["content"][0]["text"] for b in blocks if b["type"] == "tool_result"}
    elif dialect == "gemini":
        parts = [part for content in body["contents"] for part in content["parts"]]
        made = {
            p["functionCall"]["id"]: p["functionCall"]["args"]["city"] for p in parts if "functionCall" in p
        }
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        told = {answer["id"]: answer["response"]["output"] for answer in answers}
    elif dialect == "openai":
        items = body["input"]
        made = {
            i["call_id"]: json.loads(i["arguments"])["city"] for i in items if i["type"] == "function_call"
        }
        told = {i["call_id"]: i["output"] for i in items if i["type"] == "function_call_output"}
    else:
        calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
        given = [call["function"]["arguments"] for call in calls]
        arguments = [json.loads(each) if isinstance(each, str) else each for each in given]
        made = {call["id"]: each["city"] for call, each in zip(calls, arguments, strict=True)}
        told = {m["tool_call_id"]: m["content"] for m in body["messages"] if m["role"] == "tool"}
    return {made[key]: told[key] for key in made}


# --------------------------------------------------------------------------- the choice


FORCED: dict[str, Any] = {
    "openai": lambda body: body["tool_choice"] == {"type": "function", "name": "find"},
    "anthropic": lambda body: body["tool_choice"] == {"type": "tool", "name": "find"},
    "gemini": lambda body: (
        body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["find"]}
    ),
    "chat": lambda body: body["tool_choice"] == {"type": "function", "function": {"name": "find"}},
}


@pytest.mark.parametrize("dialect", FORCED)
def test_a_forced_tool_is_forced_by_name_and_the_others_stay_visible(gateway: Gateway, dialect: str) -> None:
    scenario = gateway.scenario(says(dialect, calls=[("find", {"city": "A"})]))
    tools = [function("look"), function("find"), CUSTOM]
    ask(gateway, dialect, tools=tools, tool_choice={"type": "function", "name": "find"})
    body = scenario.requests[0].json
    assert FORCED[dialect](body)
    assert all(f'"{name}"' in json.dumps(body["tools"]) for name in ("look", "find", "run"))


def test_what_cannot_force_says_so(gateway: Gateway) -> None:
    scenario = gateway.scenario()
    asked = {"model": MODELS["ollama"], "input": "Go.", "tools": [function("find")]}
    for choice in ("required", {"type": "function", "name": "find"}):
        told = gateway.ask({**asked, "tool_choice": choice})
        assert (told.status, told.error["param"]) == (400, "tool_choice")
    assert not scenario.requests


@each_dialect
def test_allowed_tools_limit_the_calls_not_the_view(gateway: Gateway, dialect: str) -> None:
    """All stay visible, so that caches hold; a call of another one is not passed on."""
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "find"}]}
    scenario = gateway.scenario(says(dialect, calls=[("find", {"city": "A"})]))
    told = ask(gateway, dialect, tools=[function("look"), function("find")], tool_choice=allowed)
    assert [call["name"] for call in told.of("function_call")] == ["find"]
    sent = scenario.requests[0].json
    assert all(f'"{name}"' in json.dumps(sent["tools"]) for name in ("look", "find"))
    gateway.scenario(says(dialect, calls=[("look", {"city": "A"})]))
    tools = [function("look"), function("find")]
    refused = gateway.ask({"model": MODELS[dialect], "input": "Go.", "tools": tools, "tool_choice": allowed})
    assert (refused.status, refused.error.get("code")) == (500, "model_error")


STRICT: dict[str, Any] = {
    "openai": lambda body: body["tools"][0]["strict"],
    "anthropic": lambda body: body["tools"][0].get("strict", False),
    "gemini": lambda body: (
        (body.get("toolConfig") or {}).get("functionCallingConfig") == {"mode": "VALIDATED"}
    ),
    "chat": lambda body: body["tools"][0]["function"]["strict"],
}


@each_dialect
@pytest.mark.parametrize("strict", [True, False])
def test_strict_is_kept_or_named(gateway: Gateway, dialect: str, strict: bool) -> None:
    scenario = gateway.scenario(says(dialect, "Fine."))
    told = ask(gateway, dialect, tools=[function("find", strict=strict)])
    ignored = told.headers.get("x-openresponses-ignored", "")
    if dialect in STRICT:
        assert STRICT[dialect](scenario.requests[0].json) is strict and not ignored
    else:
        assert (ignored == "tools[0].strict") is strict
    assert told.response["tools"][0]["strict"] is strict


# --------------------------------------------------------------------------- structured output


@each_dialect
@each_stream
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("native", [True, False])
def test_structured_output(gateway: Gateway, dialect: str, stream: bool, strict: bool, native: bool) -> None:
    """Natively, or as the arguments of a forced tool: the answer is text all the same."""
    old = {"anthropic": "claude-3-5-haiku-latest", "chat": "deepseek-chat"}
    if not native and dialect not in old:
        pytest.skip("every model of this provider has it")
    model = MODELS[dialect] if native else old[dialect]
    value = {"city": "Århus"}
    answer = (
        says(dialect, json.dumps(value, ensure_ascii=False))
        if native
        else says(dialect, calls=[("place", value)])
    )
    scenario = gateway.scenario(answer)
    form = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": strict}
    told = gateway.ask({"model": model, "input": "Where?", "text": {"format": form}}, stream=stream)
    assert told.status == 200, told.error
    assert json.loads(told.text) == value and not told.of("function_call")
    sent = json.dumps(scenario.requests[0].json)
    assert '"city"' in sent and ('"place"' in sent or dialect in ("anthropic", "gemini", "ollama"))
