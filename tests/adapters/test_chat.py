"""What the wire cases of Chat Completions leave out: every option of the model table, and what servers do oddly."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openresponses.adapters.base import Started
from openresponses.adapters.chat import ChatAdapter
from openresponses.adapters.tools import InputUnwrapper, wire_name
from openresponses.protocol.errors import ApiError

from .turns import call, function, make_turn, message, output, reasoning, told, user

ADAPTER = ChatAdapter()
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
FORMAT = {"format": {"type": "json_schema", "name": "thing", "schema": SCHEMA}}
PDF = {"type": "input_file", "filename": "a.pdf", "file_data": "JVBE"}
IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png"}


def body(*args: Any, **more: Any) -> dict[str, Any]:
    return ADAPTER.build(make_turn(*args, **more)).body


def read(*chunks: dict[str, Any], **more: Any) -> list[Any]:
    reader = ADAPTER.reader(make_turn(**more))
    return told([*(delta for chunk in chunks for delta in reader.frame("", chunk)), *reader.end()])


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def calls(*pieces: dict[str, Any]) -> dict[str, Any]:
    return chunk({"tool_calls": list(pieces)})


# --------------------------------------------------------------------------- knobs


def test_limit_under_the_servers_name() -> None:
    assert body(max_output_tokens=5)["max_tokens"] == 5
    assert (
        body(max_output_tokens=5, options={"max_tokens": "max_completion_tokens"})["max_completion_tokens"]
        == 5
    )


KNOBS: dict[str, Any] = {
    "temperature": 1, "presence_penalty": 1, "text": {"verbosity": "low"}, "service_tier": "flex",
    "prompt_cache_key": "k", "safety_identifier": "s", "reasoning": {"effort": "low", "summary": "auto"},
    "top_logprobs": 3,
}  # fmt: skip
SENT = {"temperature", "presence_penalty", "reasoning_effort", "logprobs", "top_logprobs"}
EXTRA = {"text.verbosity", "service_tier", "prompt_cache_key", "safety_identifier"}
FIELD = {"text.verbosity": "verbosity"}


@pytest.mark.parametrize(
    ("options", "sent", "ignored"),
    [
        ({}, SENT, EXTRA | {"reasoning.summary"}),
        ({"accepts": sorted(EXTRA)}, SENT | {FIELD.get(path, path) for path in EXTRA}, {"reasoning.summary"}),
        (
            {"refuses": ["temperature", "presence_penalty", "top_logprobs"], "effort": {}},
            set(),
            EXTRA
            | {"reasoning.summary", "reasoning.effort", "temperature", "presence_penalty", "top_logprobs"},
        ),
    ],
)
def test_every_knob_is_sent_or_named(options: dict[str, Any], sent: set[str], ignored: set[str]) -> None:
    request = ADAPTER.build(make_turn(options=options, **KNOBS))
    assert set(request.body) - {"model", "messages", "stream", "stream_options"} == sent
    assert set(request.ignored) == ignored


def test_effort_and_body_are_fragments() -> None:
    options = {
        "effort": {"high": {"reasoning": {"effort": "max"}}},
        "body": {"reasoning": {"exclude": False}},
    }
    assert body(options=options, reasoning={"effort": "high"})["reasoning"] == {
        "effort": "max",
        "exclude": False,
    }
    assert "stream_options" not in body(options={"stream_usage": False})


# --------------------------------------------------------------------------- messages


def test_one_system_message_at_the_head() -> None:
    history = [message("system", "b"), user("?"), message("developer", "later"), user("!")]
    messages = body(history, instructions="a", options={"system": "first"})["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "user", "user"]
    assert messages[0]["content"] == "a\n\nb"
    assert messages[2]["content"][1] == {"type": "text", "text": "later"}


def test_the_role_developer_is_kept_where_it_is_known() -> None:
    assert (
        body([message("developer", "a")], options={"developer": True})["messages"][0]["role"] == "developer"
    )


STEPS = ["c0", "c0", "c1", "c1", "c2", "c2", "user", "assistant", "assistant", "reasoning", "reasoning"]


@settings(deadline=None)  # other work on the machine is no failure
@given(st.permutations(STEPS))
def test_results_stand_directly_behind_their_calls_in_any_order(steps: list[str]) -> None:
    """Whatever the order of calls, results and messages: each call once, followed by its result, nothing lost."""
    history = [user("?")]
    ids: list[str] = []
    for n, step in enumerate(steps):
        if step in ("user", "assistant"):
            history.append(message(step, str(n)))
        elif step == "reasoning":
            history.append(reasoning({"reasoning_details": [n]}))
        elif step in ids:
            history.append(output(step))
        else:
            ids.append(step)
            history.append(call(step))
    messages = body(history)["messages"]
    told_calls, told_results = [], []
    for n, each in enumerate(messages):
        asked = [each_call["id"] for each_call in each.get("tool_calls", ())]
        following = [later["tool_call_id"] for later in messages[n + 1 : n + 1 + len(asked)]]
        assert following == asked
        told_calls += asked
        told_results += [each["tool_call_id"]] if each["role"] == "tool" else []
    assert told_calls == told_results == ids
    texts = [
        each["content"] for each in messages if each["role"] in ("user", "assistant") and each["content"]
    ]
    assert texts == [item["content"][0]["text"] for item in history if item["type"] == "message"]


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{ "a":1}', '{ "a":1}'),
        ("", "{}"),
        ('{"cut', '{"arguments":"{\\"cut"}'),
        ("[1]", '{"arguments":"[1]"}'),
    ],
)
def test_arguments_are_sent_as_json(arguments: str, sent: str) -> None:
    """Those of a model that made none: servers that parse the history would refuse it for ever."""
    items = [user("?"), call("c1", arguments=arguments), output("c1")]
    assert body(items)["messages"][1]["tool_calls"][0]["function"]["arguments"] == sent


def test_call_ids_in_the_servers_form() -> None:
    history = [
        user("?"),
        call("call_long_one"),
        call("abcDEF123"),
        output("call_long_one"),
        output("abcDEF123"),
    ]
    _, asked, first, second = body(history, options={"call_ids": "[a-zA-Z0-9]{9}"})["messages"]
    ids = [each["id"] for each in asked["tool_calls"]]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert re.fullmatch("[a-z0-9]{9}", ids[0]) and ids[1] == "abcDEF123"


def test_reasoning_between_calls_does_not_part_a_call_from_its_result() -> None:
    history = [
        user("?"),
        call("a"),
        reasoning({"reasoning_details": [1]}),
        call("b"),
        output("b"),
        output("a"),
    ]
    messages = body(history)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert [m.get("tool_call_id") for m in messages] == [None, None, "a", None, "b"]
    assert messages[3]["reasoning_details"] == [1]


@pytest.mark.parametrize(
    ("options", "replayed"),
    [
        ({"replay": ["reasoning_content"]}, ["used", "old", "new", None]),
        ({"replay": ["reasoning_content"], "replay_scope": "calls"}, ["used", None, "new", ""]),
        ({}, [None, None, None, None]),
    ],
)
def test_reasoning_goes_back_as_the_server_wants_it(
    options: dict[str, Any], replayed: list[str | None]
) -> None:
    history = [
        user("0"), reasoning({"reasoning_content": "used"}), call("z"), output("z"),
        user("1"), reasoning({"reasoning_content": "old"}), message("assistant", "x"),
        user("2"), reasoning({"reasoning_content": "new"}), call("a"), output("a"),
        reasoning({"reasoning_content": "foreign"}, provider="q"), call("lost"), output("lost"),
    ]  # fmt: skip
    messages = body(history, options=options)["messages"]
    assert [m.get("reasoning_content") for m in messages if m["role"] == "assistant"] == replayed


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "look"}])
def test_a_forced_tool_where_thinking_excludes_it(choice: Any) -> None:
    options = {"forced": {"thinking": {"type": "disabled"}}, "effort": {"high": {"reasoning_effort": "high"}}}
    turn = make_turn(options=options, tools=[function()], choice=choice, reasoning={"effort": "high"})
    request = ADAPTER.build(turn)
    assert request.body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in request.body
    assert request.ignored == ["reasoning.effort"]
    assert "thinking" not in body(options=options, tools=[function()])


def test_encrypted_details_of_several_calls_stay_apart() -> None:
    """OpenRouter's of Gemini: one for each call, told apart by its id alone."""
    details = [{"type": "reasoning.encrypted", "data": d, "index": 0, "id": d} for d in ("a", "b")]
    found = read(*(chunk({"reasoning_details": [d]}) for d in details), chunk({"content": "x"}, "stop"))
    assert found[0] == ("state", {"reasoning_details": details})


def test_state_makes_the_round_trip() -> None:
    details = [
        {"type": "reasoning.text", "text": "a", "index": 0, "format": "f"},
        {"type": "reasoning.text", "text": "b", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "zzz", "index": 1},
    ]
    joined = [
        {"type": "reasoning.text", "text": "ab", "signature": "s", "index": 0, "format": "f"},
        details[2],
    ]
    found = read(*(chunk({"reasoning_details": [d]}) for d in details), chunk({"content": "x"}, "stop"))
    assert found[:3] == [("reasoning", "ab"), ("state", {"reasoning_details": joined}), ("text", "x")]
    history = [user("?"), reasoning(found[1][1]), message("assistant", "x"), user("!")]
    assert body(history)["messages"][1] == {"role": "assistant", "content": "x", "reasoning_details": joined}


def test_thinking_parts_make_the_round_trip() -> None:
    options = {"replay": ["content"]}
    part = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}], "closed": True}
    found = read(chunk({"content": [part, {"type": "text", "text": "x"}]}, "stop"), options=options)
    assert found[1] == ("state", {"content": [part]})
    messages = body([reasoning(found[1][1]), message("assistant", "x"), user("!")], options=options)[
        "messages"
    ]
    assert messages[0]["content"] == [part, {"type": "text", "text": "x"}]


def test_images_of_results_stay_where_the_server_takes_them() -> None:
    history = [user("?"), call("a"), output("a", [{"type": "input_text", "text": "see"}, IMAGE])]
    written = {"type": "image_url", "image_url": {"url": IMAGE["image_url"]}}
    assert body(history, options={"inputs": ["image", "tool_image"]})["messages"][2]["content"] == [
        {"type": "text", "text": "see"},
        written,
    ]
    _, _, tool, following = body(history)["messages"]
    assert (tool["content"], following["role"], following["content"][1]) == ("see", "user", written)


@pytest.mark.parametrize(
    ("part", "options", "written"),
    [
        (
            PDF,
            {},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        ),
        (
            {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            {"inputs": ["file_url"], "file_form": "document_url"},
            {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "file"},
        ),
        (
            {"type": "input_video", "video_url": "https://example.com/v"},
            {"inputs": ["video"]},
            {"type": "video_url", "video_url": {"url": "https://example.com/v"}},
        ),
        (PDF, {"inputs": []}, None),
        (IMAGE, {"inputs": []}, None),
        ({"type": "input_video", "video_url": "https://example.com/v"}, {}, None),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, {}, None),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, {"inputs": ["image"]}, None),
    ],
)
def test_parts(part: dict[str, Any], options: dict[str, Any], written: dict[str, Any] | None) -> None:
    if written is not None:
        assert body([user(part)], options=options)["messages"][0]["content"] == [written]
        return
    with pytest.raises(ApiError) as caught:
        body([user(part)], options=options)
    assert caught.value.status == 400 and str(caught.value.param).startswith("input[0].content[0]")


def test_what_other_providers_ran_is_told_as_calls() -> None:
    history = [
        user("?"),
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "x"},
        },
        {"type": "mcp_call", "id": "mcp_1", "name": "lookup", "arguments": "{}", "output": "42"},
        {"type": "image_generation_call", "id": "ig_1", "result": "iVBO", "revised_prompt": "a cat"},
        {"type": "local_shell_call", "id": "ls_1", "call_id": "sh", "action": {"command": ["ls"]}},
        {"type": "local_shell_call_output", "call_id": "sh", "output": "a b"},
        message("assistant", "Done."),
    ]
    messages = body(history)["messages"]
    names = [each["function"]["name"] for each in messages[1]["tool_calls"]]
    assert names == ["web_search", "lookup", "image_generation", "local_shell"]
    assert [m["content"] for m in messages[2:6] if m["role"] == "tool"][1:] == [
        "42",
        '{"status":"completed"}',
        "a b",
    ]
    assert {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}} in messages[6]["content"]
    assert messages[7] == {"role": "assistant", "content": "Done."}


def test_items_without_a_place_are_refused() -> None:
    with pytest.raises(ApiError) as caught:
        body([user("?"), {"type": "compaction", "encrypted_content": "x"}])
    assert caught.value.param == "input[1]"


# --------------------------------------------------------------------------- tools

A, B = function("a"), function("b")


def named(name: str, kind: str = "function") -> dict[str, Any]:
    return {"type": kind, kind: {"name": name}}


@pytest.mark.parametrize(
    ("choice", "allowed", "options", "sent", "offered"),
    [
        ("auto", None, {}, None, "ab"),
        ("none", [], {}, "none", "ab"),
        ("none", [], {"tool_choices": []}, None, ""),
        ("required", None, {}, "required", "ab"),
        ("auto", ["a"], {}, None, "ab"),
        ("required", ["a"], {}, named("a"), "ab"),
        ("required", ["a", "b"], {}, "required", "ab"),
        ({"type": "function", "name": "b"}, ["b"], {}, named("b"), "ab"),
        ({"type": "function", "name": "b"}, ["b"], {"tool_choices": ["required"]}, "required", "b"),
        (
            "auto",
            ["b"],
            {"allowed_tools": True},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("b")]}},
            "ab",
        ),
    ],
)
def test_choice(choice: Any, allowed: Any, options: dict[str, Any], sent: Any, offered: str) -> None:
    built = body(tools=[A, B], choice=choice, allowed=allowed, options=options)
    assert built.get("tool_choice") == sent
    assert "".join(tool["function"]["name"] for tool in built.get("tools", [])) == offered


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "a"}, {"type": "web_search"}])
def test_a_choice_that_cannot_be_forced_is_refused(choice: Any) -> None:
    tools = [A, {"type": "web_search"}]
    with pytest.raises(ApiError) as caught:
        body(tools=tools, choice=choice, options={"tool_choices": ["none"], "hosted": {"web_search": {}}})
    assert caught.value.param == "tool_choice"


def test_hosted_tools_by_the_table() -> None:
    options = {"hosted": {"web_search": {"plugins": [{"id": "web"}]}}}
    assert body(tools=[{"type": "web_search"}], options=options)["plugins"] == [{"id": "web"}]
    assert ADAPTER.build(make_turn(tools=[A, {"type": "web_search_preview"}])).ignored == ["tools[1]"]


def test_a_hosted_tool_alone_cannot_be_forced() -> None:
    with pytest.raises(ApiError) as caught:
        body(
            tools=[{"type": "web_search"}],
            choice={"type": "web_search"},
            options={"hosted": {"web_search": {}}},
        )
    assert caught.value.param == "tool_choice"


def test_strict_where_it_is_not_known() -> None:
    request = ADAPTER.build(make_turn(tools=[function(strict=True)], options={"strict": False}))
    assert "strict" not in request.body["tools"][0]["function"]
    assert request.ignored == ["tools[0].strict"]


def test_custom_tools_where_they_are_native() -> None:
    options = {"custom_tools": True}
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /a+/"}
    tool = {"type": "custom", "name": "run", "description": "Runs.", "format": form}
    history = [
        user("?"),
        {"type": "custom_tool_call", "call_id": "c", "name": "run", "input": 'x "y"'},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ]
    built = body(
        history, tools=[tool], choice={"type": "custom", "name": "run"}, allowed=["run"], options=options
    )
    grammar = {"syntax": "lark", "definition": "start: /a+/"}
    custom = {"name": "run", "description": "Runs.", "format": {"type": "grammar", "grammar": grammar}}
    assert built["tools"] == [{"type": "custom", "custom": custom}]
    assert built["tool_choice"] == named("run", "custom")
    sent = {"id": "c", "type": "custom", "custom": {"name": "run", "input": 'x "y"'}}
    assert built["messages"][1]["tool_calls"] == [sent]
    found = read(
        calls({"index": 0, "id": "d", "type": "custom", "custom": {"name": "run", "input": ""}}),
        calls({"index": 0, "custom": {"input": '{"input": "as it is"}'}}),
        chunk({}, "tool_calls"),
        tools=[tool],
        options=options,
    )
    assert found[0] == ("call", "run", "d", "custom", '{"input": "as it is"}', True)


@pytest.mark.parametrize("cuts", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"plain"}', "plain"),
        (' { "input" : "a\\"b\\\\\\n\\u00e9\\ud83d\\ude00\\/" } ', 'a"b\\\né😀/'),
        ('{"input":"lone \\ud83d end"}', "lone \ufffd end"),
        ('{"input":""}', ""),
        ('{"why":"x","input":"late"}', "late"),
        ('"just text"', "just text"),
        ("not json at all", "not json at all"),
        ('{"other":1}', '{"other":1}'),
        ('{"input":"cut off \\u00', "cut off "),
    ],
)
def test_custom_input_is_unwrapped_wherever_it_is_cut(arguments: str, text: str, cuts: int) -> None:
    unwrapper = InputUnwrapper()
    pieces = [unwrapper.feed(arguments[n : n + cuts]) for n in range(0, len(arguments), cuts)]
    assert "".join(pieces) + unwrapper.end() == text


def test_custom_input_is_not_held_back() -> None:
    unwrapper = InputUnwrapper()
    assert [unwrapper.feed(piece) for piece in ('{"input":"ab', "c\\", 'nd"}')] == ["ab", "c", "\nd"]


def test_wire_names_are_legal_and_apart() -> None:
    names = [
        wire_name(name, space) for name, space in [("a", None), ("a", "s"), ("a.b", None), ("a_b", None)]
    ]
    long = [wire_name("x" * 70, None), wire_name("x" * 71, None)]
    assert names[:2] == ["a", "s__a"]
    assert len({*names, *long}) == 6
    assert all(re.fullmatch(r"[\w-]{1,64}", name, re.ASCII) for name in [*names, *long])


# --------------------------------------------------------------------------- structured output


def test_a_schema_as_a_tool_where_the_server_has_no_other() -> None:
    options = {"json_schema": "tool"}
    built = body(text=FORMAT, options=options)
    assert built["tools"][0]["function"]["parameters"] == SCHEMA
    assert built["tool_choice"] == named("thing") and "response_format" not in built
    pieces = ['{"a":', '"b"}']
    found = read(
        calls({"index": 0, "id": "c", "function": {"name": "thing", "arguments": ""}}),
        *(calls({"index": 0, "function": {"arguments": piece}}) for piece in pieces),
        chunk({}, "tool_calls"),
        text=FORMAT,
        options=options,
    )
    assert found == [("text", '{"a":"b"}'), ("finished", None)]


def test_a_schema_as_a_tool_beside_others() -> None:
    options = {"json_schema": "tool"}
    built = body(text=FORMAT, options=options, tools=[A, function("thing")])
    assert [tool["function"]["name"] for tool in built["tools"]] == ["a", "thing", "answer_thing"]
    assert built["tool_choice"] == "required"
    none = body(text=FORMAT, options=options, tools=[A], choice="none", allowed=[])
    assert none["tool_choice"] == named("thing") and len(none["tools"]) == 1


def test_json_without_a_schema() -> None:
    assert body(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}


# --------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        pytest.param(
            [{"index": 0, "id": "1", "function": {"name": "a", "arguments": "{"}},
             {"index": 0, "id": "1", "function": {"name": "a", "arguments": "}"}}],
            [("a", "1", "{}")], id="name and id repeated",
        ),
        pytest.param(
            [{"index": 0, "id": "1", "function": {"name": "a", "arguments": "{}"}},
             {"index": 0, "id": "2", "function": {"name": "b", "arguments": "{}"}}],
            [("a", "1", "{}"), ("b", "2", "{}")], id="one index for all",
        ),
        pytest.param(
            [{"index": 0, "id": "1", "function": {"name": "a", "arguments": "["}},
             {"index": 0, "id": "", "function": {"arguments": "]"}}],
            [("a", "1", "[]")], id="empty id",
        ),
        pytest.param(
            [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "a", "arguments": None}}],
            [("a", None, '{"x":1}'), ("a", None, "{}")], id="no index, no id, arguments an object",
        ),
        pytest.param(
            [{"id": "1", "function": {"name": "a"}}, {"function": {"arguments": "{}"}}, {"id": "1", "function": {}}],
            [("a", "1", "{}")], id="no index",
        ),
        pytest.param(
            [{"index": 0, "id": "1", "function": {"arguments": "{"}}, {"index": 0, "function": {"name": "a"}},
             {"index": 0, "function": {"arguments": "}"}}],
            [("a", "1", "{}")], id="name after arguments",
        ),
    ],
)  # fmt: skip
def test_tool_calls_are_told_apart(pieces: list[dict[str, Any]], found: list[Any]) -> None:
    expected = [("call", name, call_id, "function", text, True) for name, call_id, text in found]
    assert read(*map(calls, pieces), chunk({}, "tool_calls")) == [*expected, ("finished", None)]
    assert read(calls(*pieces), chunk({}, "stop")) == [*expected, ("finished", None)]


def test_the_form_before_tools() -> None:
    pieces = [{"name": "a", "arguments": ""}, {"arguments": '{"x":1}'}]
    found = read(*(chunk({"function_call": piece}) for piece in pieces), chunk({}, "function_call"))
    assert found == [("call", "a", None, "function", '{"x":1}', True), ("finished", None)]


def test_a_cut_call_is_left_open() -> None:
    found = read(
        calls({"index": 0, "id": "1", "function": {"name": "a", "arguments": '{"x'}}), chunk({}, "length")
    )
    assert found == [("call", "a", "1", "function", '{"x', False), ("finished", "max_output_tokens")]


@pytest.mark.parametrize(
    ("finish", "last"),
    [
        ("stop", ("finished", None)),
        ("eos", ("finished", None)),
        ("length", ("finished", "max_output_tokens")),
        ("model_length", ("finished", "max_output_tokens")),
        ("content_filter", ("finished", "content_filter")),
        ("SAFETY", ("finished", "content_filter")),
        ("content_filter: PROHIBITED_CONTENT", ("finished", "content_filter")),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", ("failed", "model_error")),
        ("error", ("failed", "provider_error")),
        ("insufficient_system_resource", ("failed", "server_is_overloaded")),
    ],
)
def test_finish_reasons(finish: str, last: Any) -> None:
    assert read(chunk({"content": "x"}), chunk({}, finish)) == [("text", "x"), last]


def test_the_end_is_said_once_behind_its_counts() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    found = read(
        chunk({"content": "x"}, "stop"), chunk({"content": ""}, "stop"), {"choices": [], "usage": usage}
    )
    assert found == [("text", "x"), ("usage", 1, 2, 0, 0), ("finished", None)]


def test_a_finish_reason_in_each_of_several_chunks() -> None:
    """OpenRouter's way with Gemini: each parallel call has a finish_reason of its own, all at one index."""
    one, two = (
        {"index": 0, "id": name, "function": {"name": name, "arguments": '{"a":1}'}} for name in ("f", "g")
    )
    found = read(
        chunk({"tool_calls": [one]}, "tool_calls"),
        chunk({"tool_calls": [two]}, "tool_calls"),
        chunk({"content": ""}, "length"),
    )
    assert [made[1] for made in found] == ["f", "g", "max_output_tokens"]


@pytest.mark.parametrize("native", ["length", "max_output_tokens", "MAX_TOKENS", "max_tokens"])
def test_a_call_that_the_limit_cut_is_incomplete(native: str) -> None:
    """OpenRouter says "tool_calls" of it; only `native_finish_reason` tells the limit. So, too, of a text."""
    cut = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":"x'}}
    for finish in ("tool_calls", "stop"):
        ended = chunk({"tool_calls": [cut]}, finish)
        ended["choices"][0]["native_finish_reason"] = native
        assert read(ended)[-1] == ("finished", "max_output_tokens")
    ended["choices"][0]["native_finish_reason"] = "completed"
    assert read(ended)[-1] == ("finished", None)


@pytest.mark.parametrize(
    ("finish", "code", "told"), [("stop", 400, "invalid_value"), ("length", 502, "provider_unavailable")]
)
def test_an_error_behind_the_finish_reason_is_a_failure(finish: str, code: int, told: str) -> None:
    found = read(chunk({"content": "x"}, finish), chunk({}) | {"error": {"code": code, "message": "Failed"}})
    assert found[:2] == [("text", "x"), ("failed", told)]


def test_an_error_that_says_the_limit_again_leaves_the_answer() -> None:
    """OpenRouter's: finish_reason "length", then an error 400 in a chunk that also has the usage."""
    usage = {"prompt_tokens": 43, "completion_tokens": 10, "total_tokens": 53}
    error = {"error": {"code": 400, "message": "Token limit reached"}, "usage": usage}
    found = read(chunk({"content": "x"}, "length"), chunk({"content": ""}) | error)
    assert found == [("text", "x"), ("usage", 43, 10, 0, 0), ("finished", "max_output_tokens")]


def test_other_choices_are_other_answers() -> None:
    other = {"index": 1, "delta": {"content": "y"}, "finish_reason": "length"}
    assert read({"choices": [other]}, chunk({"content": "x"}, "stop")) == [("text", "x"), ("finished", None)]
    later = {"choices": [{"index": 1, "delta": {"content": "y"}}]}
    assert read(chunk({"content": "x"}), later, chunk({"content": "x"})) == [("text", "xx")]
    both = {"choices": [other, {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    assert read(both) == [("text", "x"), ("finished", None)]


def test_the_model_is_named_by_the_first_chunk_that_knows_it() -> None:
    """Azure's first chunk has the prompt's filter results, no choices, and an empty model."""
    reader = ADAPTER.reader(make_turn())
    first = {"choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    assert list(reader.frame("", first)) == []
    [started, _] = reader.frame("", chunk({"content": "x"}, None, model="gpt-5-mini-2025-08-07"))
    assert started == Started("gpt-5-mini-2025-08-07")


def test_what_is_there_but_empty_is_nothing() -> None:
    """Snowflake's way: every field of the API, each with an empty value."""
    delta = {
        "content": "x", "refusal": "", "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0},
        "function_call": {"name": "", "arguments": ""}, "annotations": None,
        "tool_calls": [{"id": "c", "custom": {"name": "", "input": ""},
                        "function": {"name": "f", "arguments": '{"a":1}'}}],
    }  # fmt: skip
    data = chunk(delta, "tool_calls")
    data["choices"][0]["logprobs"] = {"content": None, "refusal": None}
    assert read(data) == [
        ("text", "x"),
        ("call", "f", "c", "function", '{"a":1}', True),
        ("finished", None),
    ]


@pytest.mark.parametrize(
    ("delta", "logprobs", "text"),
    [
        ({"content": {"name": "A", "age": 3}}, None, '{"name":"A","age":3}'),
        ({"content": "x"}, -1.2e-06, "x"),
        ({"content": "x"}, {"tokens": ["x"], "token_logprobs": [-0.1]}, "x"),
    ],
    ids=["JSON as an object", "one number for all tokens", "logprobs of the completions API"],
)
def test_text_in_odd_company(delta: dict[str, Any], logprobs: Any, text: str) -> None:
    data = chunk(delta)
    data["choices"][0]["logprobs"] = logprobs
    assert read(data) == [("text", text)]


def test_a_message_beside_the_delta_repeats_it() -> None:
    """Perplexity's way: each chunk has the whole text so far, too."""
    last = chunk({"content": ""}, "stop")
    last["choices"][0]["message"] = {"role": "assistant", "content": "xy"}
    empty = chunk({}, None)
    empty["choices"][0]["message"] = {"role": "assistant", "content": "xy"}
    assert read(chunk({"content": "xy"}), empty, last) == [("text", "xy"), ("finished", None)]


@pytest.mark.parametrize(
    ("usage", "ours"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 8}, (9, 3, 8, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 2, "total_tokens": 12}, (9, 3, 2, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 20}, (9, 11, 0, 8)),
        ({"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None}, (9, 0, 0, 0)),
    ],
)
def test_usage(usage: dict[str, Any], ours: tuple[int, ...]) -> None:
    assert read({"choices": [], "usage": usage}) == [("usage", *ours)]
    assert read(chunk({}, None, usage=None) | {"choices": [{"delta": {}, "usage": usage}]}) == [
        ("usage", *ours)
    ]


@pytest.mark.parametrize(
    ("delta", "reasoned"),
    [
        ({"reasoning": "r"}, "r"),
        ({"reasoning_content": "r", "reasoning": "r"}, "r"),
        ({"reasoning": "r", "reasoning_details": [{"type": "reasoning.text", "text": "r"}]}, "r"),
        ({"reasoning_content": "r", "reasoning_details": [{"type": "reasoning.text", "text": "r"}]}, "r"),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "s"}]}, "s"),
        ({"content": [{"type": "thinking", "thinking": "t"}]}, "t"),
    ],
)
def test_reasoning_under_its_many_names(delta: dict[str, Any], reasoned: str) -> None:
    assert read(chunk(delta))[0] == ("reasoning", reasoned)


def test_an_image_in_the_answer() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/webp;base64,UklG"}}
    [(_, item), _] = read(chunk({"images": [image]}, "stop"))
    assert (item["type"], item["result"], item["output_format"]) == ("image_generation_call", "UklG", "webp")


@pytest.mark.parametrize(
    "delta",
    [
        {"content": [{"type": "hologram"}]},
        {"audio": {"data": "x"}},
        {"images": [{"image_url": {"url": "x"}}]},
    ],
)
def test_content_that_would_be_missed_is_a_failure(delta: dict[str, Any]) -> None:
    assert ("failed", "provider_invalid_response") in read(chunk(delta))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"error": {"message": "Overloaded", "code": 503}}, "server_is_overloaded"),
        (
            {"error": {"message": "slow down", "type": "rate_limit_error"}, "choices": []},
            "rate_limit_exceeded",
        ),
        ({"error": "boom"}, "provider_error"),
        (
            {"object": "error", "message": "maximum context length is 8 tokens", "code": 400},
            "context_length_exceeded",
        ),
    ],
)
def test_errors_in_mid_answer(data: dict[str, Any], code: str) -> None:
    assert read(chunk({"content": "x"}), data) == [("text", "x"), ("failed", code)]


@pytest.mark.parametrize("data", [None, [], "x", {}, {"choices": []}])
def test_a_whole_answer_that_is_none(data: Any) -> None:
    assert told(ADAPTER.reader(make_turn()).whole(data)) == [("failed", "provider_invalid_response")]


@pytest.mark.parametrize(
    ("status", "data", "code", "retry_after"),
    [
        (
            401,
            {"error": {"message": "Incorrect key sk-abcdefgh12345"}},
            "provider_authentication_failed",
            None,
        ),
        (404, {"error": {"message": "no such model", "code": "model_not_found"}}, "model_not_found", None),
        (400, {"error": {"message": "gone", "code": "model_decommissioned"}}, "model_not_found", None),
        (400, {"message": "Invalid model: x", "object": "error"}, "model_not_found", None),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "invalid_value", None),
        (402, {"error": {"message": "Insufficient Balance"}}, "insufficient_quota", None),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, "insufficient_quota", None),
        (429, {"error": {"message": "try again in 250ms"}}, "rate_limit_exceeded", 0.25),
        (
            400,
            [{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}],
            "invalid_value",
            None,
        ),
        (400, {"error": {"message": "x", "code": "content_filter"}}, "invalid_prompt", None),
        (400, {"error": {"message": "x", "code": "tool_use_failed"}}, "model_error", None),
    ],
)
def test_error_replies(status: int, data: Any, code: str, retry_after: float | None) -> None:
    error = ADAPTER.explain(status, orjson.dumps(data))
    assert (error.code, error.retry_after) == (code, retry_after)
    assert error.message and "sk-" not in error.message
