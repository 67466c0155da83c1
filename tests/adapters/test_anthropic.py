"""The Anthropic adapter by itself: what the wire cases do not cover. Tables of turns, frames and error bodies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from openresponses.adapters import base
from openresponses.adapters.anthropic import AnthropicAdapter, schema, unwrap
from openresponses.adapters.base import ModelProfile, Turn
from openresponses.protocol.errors import ApiError
from openresponses.protocol.state import seal

Json = dict[str, Any]

ADAPTER = AnthropicAdapter()
ADAPTIVE: Json = {
    "thinking": "adaptive",
    "thinking_off": "disabled",
    "display": True,
    "efforts": ["low", "medium", "high", "max"],
    "sampling": "none",
    "structured_outputs": True,
    "system_messages": True,
}
HELLO: list[Json] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
]
NOW: Json = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}


def turn(options: Json | None = None, **given: Any) -> Turn:
    """A turn; what is no field of Turn is a field of the request."""
    fields = {"instructions": None, "input": HELLO, "tools": [], "tool_choice": "auto", "allowed": None}
    chosen = {key: given.pop(key, value) for key, value in fields.items()}
    return Turn("anthropic", "claude-test", ModelProfile(options=options or {}), given, **chosen)


def body(options: Json | None = None, **given: Any) -> Json:
    return ADAPTER.build(turn(options, **given)).body


def said(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


# --------------------------------------------------------------------------- limits, sampling, thinking


@pytest.mark.parametrize(
    ("options", "given", "sent", "ignored"),
    [
        ({}, {}, {"max_tokens": 8192}, []),
        ({}, {"temperature": 1.5}, {"temperature": 1}, ["temperature"]),
        ({}, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, []),
        (
            {"sampling": "one"},
            {"temperature": 0.5, "top_p": 0.5},
            {"temperature": 0.5, "top_p": None},
            ["top_p"],
        ),
        ({"sampling": "one"}, {"temperature": 1, "top_p": 0.5}, {"temperature": None, "top_p": 0.5}, []),
        ({"sampling": "none"}, {"temperature": 0.5}, {"temperature": None}, ["temperature"]),
        ({"sampling": "none"}, {"temperature": 1.0}, {"temperature": None}, []),
        ({}, {"reasoning": {"effort": "low"}, "temperature": 0.5}, {"temperature": None}, ["temperature"]),
        ({}, {"reasoning": {"effort": "low"}, "top_p": 0.96}, {"top_p": 0.96}, []),
        ({}, {"reasoning": {"effort": "low"}, "top_p": 0.5}, {"top_p": None}, ["top_p"]),
        ({}, {"frequency_penalty": 0.0, "presence_penalty": 1.0}, {}, ["presence_penalty"]),
        ({}, {"top_logprobs": 2, "text": {"verbosity": "low"}}, {}, ["top_logprobs", "text.verbosity"]),
        ({}, {"service_tier": "flex"}, {"service_tier": None}, ["service_tier"]),
        ({}, {"service_tier": "priority"}, {"service_tier": "auto"}, []),
        ({}, {"safety_identifier": "u" * 300}, {}, []),
        # thinking
        ({}, {"reasoning": {"effort": "high"}}, {"thinking": {"type": "enabled", "budget_tokens": 6144}}, []),
        ({}, {"reasoning": {"effort": "none"}}, {"thinking": None}, []),
        (
            {},
            {"reasoning": {"effort": "high"}, "max_output_tokens": 1025},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1025},
            [],
        ),
        (
            {},
            {"reasoning": {"effort": "high"}, "max_output_tokens": 1024},
            {"thinking": None},
            ["reasoning.effort"],
        ),
        ({"thinking": "none"}, {"reasoning": {"effort": "low"}}, {"thinking": None}, ["reasoning.effort"]),
        (
            {"thinking_off": "never"},
            {"reasoning": {"effort": "none"}},
            {"thinking": None},
            ["reasoning.effort"],
        ),
        (ADAPTIVE, {}, {"thinking": None, "output_config": None}, []),
        (ADAPTIVE, {"reasoning": {"effort": "none"}}, {"thinking": {"type": "disabled"}}, []),
        (
            ADAPTIVE,
            {"reasoning": {"effort": "minimal", "summary": "auto"}},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
            [],
        ),
        (
            ADAPTIVE,
            {"reasoning": {"effort": "xhigh"}},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            [],
        ),
        (
            ADAPTIVE,
            {"reasoning": {"effort": "max"}, "tools": [NOW], "tool_choice": "required"},
            {
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": "max"},
                "tool_choice": {"type": "any"},
            },
            [],
        ),
        (
            {},
            {"reasoning": {"effort": "max"}, "tools": [NOW], "tool_choice": "required"},
            {"thinking": None, "tool_choice": {"type": "any"}},
            ["reasoning.effort"],
        ),
    ],
)
def test_knobs(options: Json, given: Json, sent: Json, ignored: list[str]) -> None:
    request = ADAPTER.build(turn(options, **given))
    assert {key: request.body.get(key) for key in sent} == sent
    assert request.ignored == ignored


@pytest.mark.parametrize("limit", [1, 1024, 1025, 2000, 8192, 100_000])
@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh", "max"])
def test_a_budget_is_less_than_the_limit(limit: int, effort: str) -> None:
    sent = body(max_output_tokens=limit, reasoning={"effort": effort})
    assert sent["max_tokens"] == limit
    if "thinking" in sent:
        assert 1024 <= sent["thinking"]["budget_tokens"] < limit
    else:
        assert limit <= 1024


def test_equal_turns_give_equal_bytes() -> None:
    given: Json = {"tools": [NOW], "prompt_cache_key": "k", "reasoning": {"effort": "low"}}
    assert json.dumps(body(**given)) == json.dumps(body(**given))
    assert json.dumps(body(**given)).count("cache_control") <= 4


# --------------------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, "tools[0].type"),
        ({"type": "computer_use_preview"}, "tools[0].type"),
        ({"type": "local_shell"}, "tools[0].type"),
        ({"type": "apply_patch"}, "tools[0].type"),
        ({"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["f"]}}, "tools[0].container.file_ids"),
        ({"type": "mcp", "server_label": "s", "connector_id": "c"}, "tools[0].connector_id"),
        (
            {
                "type": "mcp", "server_label": "s", "server_url": "https://e.com", "require_approval": "never",
                "headers": {"X-Key": "1"},
            },
            "tools[0].headers",
        ),
        ({"type": "function", "name": "f", "parameters": {"properties": {"$a": {}}}}, "tools[0].parameters"),
    ],
)  # fmt: skip
def test_a_tool_without_a_place_is_refused(tool: Json, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        body(tools=[tool])
    assert (raised.value.status, raised.value.param) == (400, param)


def test_optional_tools_are_ignored_by_name() -> None:
    request = ADAPTER.build(turn(tools=[{"type": "image_generation"}, {"type": "tool_search"}, NOW]))
    assert request.ignored == ["tools[0]", "tools[1]"]
    assert [tool["name"] for tool in request.body["tools"]] == ["now"]
    with pytest.raises(ApiError):
        body(tools=[{"type": "image_generation"}], tool_choice={"type": "image_generation"})


def test_a_strict_tool_that_cannot_be_enforced_says_so() -> None:
    loose = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1}},
        "additionalProperties": False,
    }
    request = ADAPTER.build(turn(ADAPTIVE, tools=[{**NOW, "strict": True, "parameters": loose}]))
    assert "strict" not in request.body["tools"][0]
    assert request.body["tools"][0]["input_schema"] == loose
    assert request.ignored == ["tools[0].strict"]


def test_a_combinator_at_the_top_travels_wrapped() -> None:
    either = {
        "type": "object",
        "anyOf": [{"required": ["a"]}, {"$ref": "#/$defs/b"}],
        "$defs": {"b": {"required": ["b"]}},
    }
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    asked = turn(
        tools=[{"type": "function", "name": "f", "parameters": either}], input=[*HELLO, call, output]
    )
    sent = ADAPTER.build(asked).body
    assert sent["tools"][0]["input_schema"]["properties"]["value"]["anyOf"] == either["anyOf"]
    assert sent["tools"][0]["input_schema"]["$defs"] == either["$defs"]
    assert sent["messages"][1]["content"][0]["input"] == {"value": {"a": 1}}
    answer = {"type": "tool_use", "id": "t", "name": "f", "input": {"value": {"a": 2}}}
    deltas = list(ADAPTER.reader(asked).whole(message(answer)))
    assert [delta.text for delta in deltas if isinstance(delta, base.ToolCallDelta)] == ['{"a":2}']


def test_a_model_that_cannot_be_forced_says_so() -> None:
    for given in ({"tools": [NOW], "tool_choice": "required"}, {"text": {"format": {"type": "json_object"}}}):
        with pytest.raises(ApiError) as raised:
            body({"forced_tools": False}, **given)
        assert raised.value.status == 400


# --------------------------------------------------------------------------- the context


def test_a_system_message_where_the_native_form_may_not_stand_keeps_its_place() -> None:
    sent = body(ADAPTIVE, input=[*HELLO, said("system", "S"), said("user", "More"), said("assistant", "A")])
    assert [block["text"] for block in sent["messages"][0]["content"]] == [
        "Hello",
        "<system>\nS\n</system>",
        "More",
    ]


SEARCH: Json = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
FOUND: Json = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}


def kept(*blocks: Json) -> Json:
    return {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal("anthropic", {"blocks": list(blocks)}),
    }


def test_a_system_message_after_what_a_search_found_is_native() -> None:
    sent = body(ADAPTIVE, input=[*HELLO, kept(SEARCH, FOUND), said("system", "S")])
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "system"]


def test_a_search_that_still_runs_beside_the_clients_call_stays() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "now", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "noon"}
    asked = [*HELLO, kept(SEARCH), call, result]
    assert body(input=asked, tools=[NOW])["messages"][1]["content"][0] == SEARCH
    later = body(input=[*asked, said("user", "And?")], tools=[NOW])
    assert [block["type"] for block in later["messages"][1]["content"]] == ["tool_use"]


def test_a_conversation_may_begin_with_the_assistant() -> None:
    sent = body(input=[said("assistant", "May I help?"), *HELLO])
    assert [message["role"] for message in sent["messages"]] == ["assistant", "user"]


def test_only_a_system_message_is_asked_as_a_user_message() -> None:
    sent = body(instructions="I", input=[said("system", "S")])
    assert sent["system"] == [{"type": "text", "text": "I"}]
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "S"}]}]


def test_nothing_to_answer_is_refused() -> None:
    with pytest.raises(ApiError) as raised:
        body(input=[said("user", "  ")])
    assert raised.value.param == "input"


def test_ids_are_made_valid_and_unique() -> None:
    items = [
        item
        for _ in range(2)
        for item in (
            {"type": "function_call", "call_id": "a|b", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a|b", "output": "ok"},
        )
    ]
    sent = json.dumps(body(input=[*HELLO, *items], tools=[NOW])["messages"])
    assert sent.count('"a_b"') == sent.count('"a_b_2"') == 2


def test_what_may_not_come_back_is_left_out() -> None:
    state = {"blocks": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "thinking", "thinking": "t", "signature": "x"}]}  # fmt: skip
    mine = {"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", state)}
    other = {"type": "reasoning", "summary": [], "encrypted_content": seal("gemini", state)}
    assert [
        each["role"] for each in body(input=[*HELLO, mine, other, said("user", "Go on")])["messages"]
    ] == ["user"]


def test_a_paused_call_is_continued() -> None:
    """pause_turn: the hosted call without its result goes back, and its result comes with the next sample."""
    call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    deltas = list(ADAPTER.reader(turn()).whole({**message(call), "stop_reason": "pause_turn"}))
    assert deltas[-1] == base.Finished("pause")
    [state] = [delta.payload for delta in deltas if isinstance(delta, base.ProviderState)]
    mine = {"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", state)}
    again = turn(input=[*HELLO, mine])
    assert ADAPTER.build(again).body["messages"][1] == {"role": "assistant", "content": [call]}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    ended = [d for d in ADAPTER.reader(again).whole(message(result)) if isinstance(d, base.HostedItemEnded)]
    assert [delta.item["action"]["query"] for delta in ended] == ["q"]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,@@"}, "image_url"),
        ({"type": "input_image", "image_url": "http://example.com/a.png"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/tiff;base64,AAAA"}, "image_url"),
        ({"type": "input_image", "file_id": "f"}, "file_id"),
        ({"type": "input_file", "file_data": base64.b64encode(b"PK\x03\x04").decode()}, "file_data"),
        ({"type": "input_file", "file_data": "data:text/plain;base64,/w=="}, "file_data"),
        ({"type": "input_file", "file_url": "https://example.com/notes.txt"}, "file_url"),
    ],
)
def test_wrong_content_names_its_path(part: Json, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        body(input=[{"type": "message", "role": "user", "content": [part]}])
    assert (raised.value.status, raised.value.param) == (400, f"input[0].content[0].{param}")


# --------------------------------------------------------------------------- the answer


def message(*blocks: Json) -> Json:
    return {"type": "message", "role": "assistant", "model": "m", "content": list(blocks), "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


def test_failures_within_the_stream() -> None:
    reader = ADAPTER.reader(turn())
    assert not list(reader.frame("ping", {"type": "ping"}))
    assert not list(reader.frame("news", {"type": "news", "of": "tomorrow"}))
    [failed] = reader.frame(
        "error", {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    )
    assert isinstance(failed, base.Failed) and failed.error.code == "server_is_overloaded"
    assert not list(reader.end()), "only message_stop ends a message"


def test_usage_is_the_last_word_key_by_key() -> None:
    reader = ADAPTER.reader(turn())
    start = {"model": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}}
    deltas = [
        *reader.frame("", {"type": "message_start", "message": start}),
        *reader.frame(
            "", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
        ),
    ]
    assert [delta for delta in deltas if isinstance(delta, base.Usage)][-1] == base.Usage(8, 9, 3, 0)


def test_a_second_message_within_the_first_is_a_failure() -> None:
    """A proxy began again: its call would be joined to the pieces of the first one. A doubled event is none."""

    def began(message_id: str) -> Json:
        return {"type": "message_start", "message": {"id": message_id, "model": "m", "usage": {}}}

    block = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    piece = {"type": "input_json_delta", "partial_json": '{"a": "x'}
    frames: list[Json] = [
        began("msg_1"),
        {"type": "content_block_start", "index": 0, "content_block": block},
        began("msg_1"),
        {"type": "content_block_delta", "index": 0, "delta": piece},
        began("msg_2"),
    ]
    reader = ADAPTER.reader(turn())
    told = [list(reader.frame("", frame)) for frame in frames]
    assert not told[2] and told[3], "a doubled event changes nothing"
    [failed] = told[4]
    assert isinstance(failed, base.Failed) and failed.error.code == "provider_invalid_response"


def test_a_refusal_is_told_once() -> None:
    reader = ADAPTER.reader(turn())
    stop = {"stop_reason": "refusal", "stop_details": {"explanation": "Not that."}}
    frames: list[Json] = [
        {"type": "message_start", "message": {"model": "m", "usage": {}}},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 1}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    deltas = [delta for frame in frames for delta in reader.frame("", frame)]
    assert [delta for delta in deltas if isinstance(delta, base.RefusalDelta)] == [
        base.RefusalDelta("Not that.")
    ]


@pytest.mark.parametrize(
    "text", ["", "plain", 'quotes "\\" and \n\t lines', "é 😀 \u2028", "\\u0041", "{}" * 20]
)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_custom_input_is_unwrapped_wherever_it_is_cut(text: str, ascii_only: bool, size: int) -> None:
    whole = json.dumps({"input": text}, ensure_ascii=ascii_only)
    field = unwrap.StringField()
    pieces = [field.feed(whole[place : place + size]) for place in range(0, len(whole), size)]
    assert "".join(pieces) + field.rest() == text
    assert "".join(pieces) == text, "nothing waits for the end"


# --------------------------------------------------------------------------- schemas and errors


def closed(**properties: Any) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


@pytest.mark.parametrize(
    ("found", "enforced"),
    [
        (closed(a={"type": ["string", "null"]}), True),
        ({**closed(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"enum": ["a", 1]}}}, True),
        ({"type": "object", "properties": {}}, False),
        (closed(a={"type": "string", "maxLength": 3}), False),
        (closed(a={"enum": [[1]]}), False),
        (closed(a={"$ref": "#"}), False),
        ({**closed(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"type": "array", "items": {"$ref": "#/$defs/x"}}}}, False),
        ({"type": "array", "items": {"type": "string"}}, False),
        (closed(**{f"p{n}": {"type": "null"} for n in range(30)}), False),
    ],
)  # fmt: skip
def test_what_can_be_enforced(found: Json, enforced: bool) -> None:
    assert (schema.enforceable(found) is not None) is enforced


def test_older_drafts_are_rewritten_into_equal_schemas() -> None:
    found, wrapped = schema.input_schema(
        {"$ref": "#/definitions/A", "definitions": {"A": {"type": "object", "properties": {
            "pair": {"type": "array", "items": [{"type": "string"}], "additionalItems": False},
            "n": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        }}}}
    )  # fmt: skip
    assert not wrapped and found["type"] == "object"
    assert found["properties"]["pair"] == {
        "type": "array",
        "prefixItems": [{"type": "string"}],
        "items": False,
    }
    assert found["properties"]["n"] == {"type": "number", "exclusiveMinimum": 0}


@pytest.mark.parametrize(
    ("status", "kind", "text", "code"),
    [
        (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", "context_length_exceeded"),
        (400, "invalid_request_error", "Your credit balance is too low", "insufficient_quota"),
        (400, "invalid_request_error", "tools.0: bad", "invalid_value"),
        (400, "invalid_request_error", "Output blocked by content filtering policy", "invalid_prompt"),
        (401, "authentication_error", "invalid x-api-key", "provider_authentication_failed"),
        (403, "permission_error", "no", "provider_authentication_failed"),
        (404, "not_found_error", "model: claude-x", "model_not_found"),
        (413, "request_too_large", "too large", "request_too_large"),
        (429, "rate_limit_error", "slow down", "rate_limit_exceeded"),
        (500, "api_error", "oops", "provider_error"),
        (529, "overloaded_error", "Overloaded", "server_is_overloaded"),
        (503, "some_new_error", "?", "server_is_overloaded"),
    ],
)
def test_error_bodies(status: int, kind: str, text: str, code: str) -> None:
    error = ADAPTER.explain(
        status, json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    )
    assert (error.code, error.message) == (code, text)


@pytest.mark.parametrize("raw", [b"", b"<html>502</html>", b"[]", b'{"error": "text"}', b'{"error": null}'])
def test_error_bodies_that_are_not_anthropics(raw: bytes) -> None:
    assert ADAPTER.explain(502, raw).code == "provider_unavailable"


def test_keys_and_accounts_are_not_told() -> None:
    text = "key sk-ant-api03-secretsecret of organization (01234567-89ab-cdef-0123-456789abcdef) is bad"
    error = ADAPTER.explain(
        401, json.dumps({"error": {"type": "authentication_error", "message": text}}).encode()
    )
    assert "secret" not in error.message and "0123" not in error.message


def test_unknown_content_is_a_failure() -> None:
    deltas = ADAPTER.reader(turn()).whole(message({"type": "hologram", "data": "AAAA"}))
    [failed] = [delta for delta in deltas if isinstance(delta, base.Failed)]
    assert failed.error.code == "provider_invalid_response" and "hologram" in failed.error.message
