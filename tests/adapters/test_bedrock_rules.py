"""Bedrock's adapter by itself: what a model's row changes in the request, and what an answer may hold beside text."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from openresponses.adapters.base import Annotation, ProviderState, TextDelta
from openresponses.adapters.bedrock import BedrockAdapter
from openresponses.protocol.errors import ApiError
from openresponses.settings import Settings
from openresponses.upstream.eventstream import EventStreamDecoder

from ..support.speech import message as event
from .turns import call, function, make_turn, message, output, reasoning, told, user

Json = dict[str, Any]
ADAPTER = BedrockAdapter()
CLAUDE = "eu.anthropic.claude-opus-4-6-v1"
SIGNED = {"reasoningText": {"text": "hm", "signature": "sig=="}}
UNSIGNED = {"reasoningText": {"text": "hm"}}
REDACTED = {"redactedContent": "AAEC"}


def body(*args: Any, **more: Any) -> Json:
    return ADAPTER.build(make_turn(*args, **{"model": CLAUDE, **more})).body


def pdf(name: str) -> Json:
    return {"type": "input_file", "filename": name, "file_data": "data:application/pdf;base64,JVBE"}


# --------------------------------------------------------------------------- reasoning


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", {"thinking": "budget", "sampling": "one"}),
        ("global.anthropic.claude-opus-4-5-20251101-v1:0", {"thinking": "budget", "sampling": "one"}),
        ("us.anthropic.claude-opus-4-6-v1", {"thinking": "adaptive", "sampling": "one"}),
        ("anthropic.claude-sonnet-4-6", {"thinking": "adaptive", "sampling": "one"}),
        ("anthropic.claude-opus-4-7", {"thinking": "adaptive", "sampling": "none"}),
        ("eu.anthropic.claude-sonnet-5", {"thinking": "adaptive", "sampling": "none"}),
        ("anthropic.claude-fable-5-1", {"thinking": "adaptive", "sampling": "none"}),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", {"thinking": "budget"}),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", {"thinking": "none"}),
    ],
)
def test_the_table_knows_how_claude_thinks(model: str, options: Json) -> None:
    from openresponses.routing import Router

    found = Router(Settings.load({})).resolve(f"bedrock/{model}").profile.options
    assert {key: found[key] for key in ("thinking", "sampling") if key in found} == options


@pytest.mark.parametrize(
    ("options", "effort", "fields"),
    [
        ({"thinking": "adaptive", "efforts": ["low", "high"]}, "minimal", {"effort": "low"}),
        ({"thinking": "adaptive", "efforts": ["low", "high"]}, "medium", {"effort": "high"}),
        ({"thinking": "adaptive", "efforts": ["low", "high"]}, "max", {"effort": "high"}),
    ],
)
def test_adaptive_thinking(options: Json, effort: str, fields: Json) -> None:
    asked = body(options=options, reasoning={"effort": effort}, max_output_tokens=50, temperature=0.5)
    assert asked["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive"},
        "output_config": fields,
    }
    assert asked["inferenceConfig"] == {"maxTokens": 50}


@pytest.mark.parametrize("blocks", [5, [5], [{"reasoningText": 5}], [{"redactedContent": {}}]])
def test_a_state_that_a_client_made_up_is_refused(blocks: Any) -> None:
    turn = make_turn([user("a"), reasoning({"model": CLAUDE, "blocks": blocks}), user("b")], model=CLAUDE)
    turn.state_shape = ADAPTER.state_shape
    with pytest.raises(ApiError) as refused:
        ADAPTER.build(turn)
    assert refused.value.param == "input[1].encrypted_content"


def test_what_else_is_asked_of_an_adaptive_model() -> None:
    options = {"thinking": "adaptive", "efforts": ["low"], "display": True, "thinking_off": "disabled"}
    shown = body(options=options, reasoning={"summary": "auto"}, tools=[function()], choice="required")
    assert shown["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "display": "summarized"}
    }
    off = body(options=options, reasoning={"effort": "none"})
    assert off["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}}
    assert "additionalModelRequestFields" not in body(options=options)


@pytest.mark.parametrize(
    ("given", "param"),
    [({"choice": "required"}, "tool_choice"), ({"text": {"format": {"type": "json_object"}}}, "text.format")],
)
def test_a_model_that_no_tool_can_be_forced_on(given: Json, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        body(options={"forced_tools": False}, tools=[function()], **given)
    assert refused.value.param == param


def test_reasoning_of_other_families_is_data() -> None:
    options = {"effort": {"low": {"reasoning_effort": "low"}}}
    asked = body(options=options, reasoning={"effort": "low"}, temperature=0.5)
    assert asked["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    assert asked["inferenceConfig"] == {"temperature": 0.5}
    turn = make_turn(options=options, reasoning={"effort": "high"})
    assert ADAPTER.build(turn).ignored == ["reasoning.effort"]


@pytest.mark.parametrize(
    ("made_by", "block", "goes_back"),
    [
        ("us.anthropic.claude-opus-4-6-v1", SIGNED, True),
        ("anthropic.claude-sonnet-5", REDACTED, True),
        ("us.amazon.nova-2-lite-v1:0", SIGNED, False),
        ("amazon.nova-2-lite-v1:0", REDACTED, False),
        (CLAUDE, UNSIGNED, False),
    ],
)
def test_reasoning_goes_back_to_its_vendor_if_it_is_signed(
    made_by: str, block: Json, goes_back: bool
) -> None:
    items = [user("Hi"), reasoning({"model": made_by, "blocks": [block]}), call("c"), output("c")]
    [_, said, _] = body(items, tools=[function()])["messages"]
    thoughts = [part for part in said["content"] if "reasoningContent" in part]
    assert thoughts == ([{"reasoningContent": block}] if goes_back else [])


def test_a_signature_without_text_has_an_empty_text() -> None:
    """Converse demands the text, which models that do not show their thoughts leave out."""
    reader = ADAPTER.reader(make_turn(model=CLAUDE))
    place = {"contentBlockIndex": 0}
    deltas = [
        *reader.frame("contentBlockDelta", {**place, "delta": {"reasoningContent": {"signature": "s"}}}),
        *reader.frame("contentBlockStop", place),
    ]
    assert [delta.payload for delta in deltas if isinstance(delta, ProviderState)] == [
        {"model": CLAUDE, "blocks": [{"reasoningText": {"text": "", "signature": "s"}}]}
    ]


# --------------------------------------------------------------------------- sampling, documents, texts


@pytest.mark.parametrize(
    ("mode", "given", "sent", "ignored"),
    [
        ("both", {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "topP": 0.5}, []),
        ("one", {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, ["top_p"]),
        ("one", {"top_p": 0.5}, {"topP": 0.5}, []),
        ("none", {"temperature": 0.2, "top_p": 0.5}, None, ["temperature", "top_p"]),
        ("both", {"temperature": 1.5}, {"temperature": 1}, ["temperature"]),
    ],
)
def test_sampling(mode: str, given: Json, sent: Json | None, ignored: list[str]) -> None:
    request = ADAPTER.build(make_turn(options={"sampling": mode}, **given))
    assert (request.body.get("inferenceConfig"), sorted(request.ignored)) == (sent, ignored)


def test_documents_have_names_of_their_own_and_a_text_beside_them() -> None:
    items = [user(pdf("a.pdf"), pdf("a.pdf")), call("c"), output("c", [pdf("a.pdf")])]
    first, _, last = body(items, tools=[function()])["messages"]
    names = [block["document"]["name"] for block in first["content"] if "document" in block]
    assert names == ["a", "a (2)"]
    assert last["content"][0]["toolResult"]["content"][0]["document"]["name"] == "a (3)"
    assert sum("text" in block for block in first["content"]) == 1


def test_white_space_that_a_model_said_before_its_calls_is_not_sent_back() -> None:
    items = [user("Hi"), message("assistant", "\n\n"), call("c"), output("c")]
    [_, said, _] = body(items, tools=[function()])["messages"]
    assert [list(block) for block in said["content"]] == [["toolUse"]]


# --------------------------------------------------------------------------- JSON answers, strict tools

SCHEMA = {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False,
}  # fmt: skip
LIST = {"type": "array", "items": {"type": "integer"}}


def form(schema: Json) -> Json:
    return {"format": {"type": "json_schema", "name": "out", "description": "d", "schema": schema}}


def test_a_schema_is_the_models_own_where_it_keeps_to_one() -> None:
    asked = body(options={"structured_outputs": True}, text=form(SCHEMA), tools=[function(strict=False)])
    told_it = asked["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(told_it.pop("schema")) == SCHEMA
    assert told_it == {"name": "out", "description": "d"}
    assert [tool["toolSpec"]["name"] for tool in asked["toolConfig"]["tools"]] == ["look"]
    assert "toolChoice" not in asked["toolConfig"]


@pytest.mark.parametrize(
    ("options", "schema"),
    [({}, SCHEMA), ({"structured_outputs": True}, {"type": "object", "additionalProperties": True})],
)
def test_else_it_is_a_tool(options: Json, schema: Json) -> None:
    asked = body(options=options, text=form(schema))
    assert "outputConfig" not in asked
    assert asked["toolConfig"]["tools"][0]["toolSpec"] == {
        "name": "final_answer", "description": "d", "inputSchema": {"json": schema},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"), [('{"value": [1, 2]}', "[1,2]"), ("[1, 2]", "[1, 2]"), ('{"va', '{"va')]
)
def test_an_answer_that_is_no_object_travels_wrapped(arguments: str, text: str) -> None:
    asked = body(text=form(LIST))
    schema = asked["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    assert (schema["type"], schema["properties"]["value"]) == ("object", LIST)
    reader, place = ADAPTER.reader(make_turn(text=form(LIST))), {"contentBlockIndex": 0}
    start = {"toolUse": {"toolUseId": "t", "name": "final_answer"}}
    deltas = list(reader.frame("contentBlockStart", {**place, "start": start}))
    for piece in (arguments[:3], arguments[3:]):
        deltas += reader.frame("contentBlockDelta", {**place, "delta": {"toolUse": {"input": piece}}})
    deltas += reader.frame("contentBlockStop", place)
    assert told(deltas) == [("text", text)]


def test_parameters_are_an_objects_schema() -> None:
    [spec] = body(tools=[{**function(), "parameters": {"properties": {"a": {}}}}])["toolConfig"]["tools"]
    assert spec["toolSpec"]["inputSchema"]["json"]["type"] == "object"
    with pytest.raises(ApiError) as refused:
        body(tools=[{**function(), "parameters": {"anyOf": [SCHEMA, SCHEMA]}}])
    assert refused.value.param == "tools[0].parameters"


@pytest.mark.parametrize(("options", "strict"), [({}, None), ({"structured_outputs": True}, True)])
def test_strict_where_the_model_keeps_to_it(options: Json, strict: bool | None) -> None:
    turn = make_turn(tools=[{**function(strict=True), "parameters": SCHEMA}], options=options)
    request = ADAPTER.build(turn)
    assert request.body["toolConfig"]["tools"][0]["toolSpec"].get("strict") is strict
    assert request.ignored == ([] if strict else ["tools[0].strict"])


# --------------------------------------------------------------------------- answers

WEB = {"title": "T", "location": {"web": {"url": "https://example.com/a", "domain": "example.com"}}}
PAGE = {"title": "doc", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}


def cited(deltas: list[Any]) -> list[Any]:
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    notes = [delta.annotation for delta in deltas if isinstance(delta, Annotation)]
    return [text, *((note["url"], text[note["start_index"] : note["end_index"]]) for note in notes)]


def test_citations_of_web_pages_are_annotations() -> None:
    reader = ADAPTER.reader(make_turn())
    parts = [(0, {"text": "See: "}), (1, {"text": "it "}), (1, {"text": "is so."}),
             (1, {"citation": WEB}), (1, {"citation": PAGE})]  # fmt: skip
    deltas: list[Any] = []
    for n, (index, delta) in enumerate(parts):
        deltas += reader.frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
        if n in (0, len(parts) - 1):
            deltas += reader.frame("contentBlockStop", {"contentBlockIndex": index})
    assert cited(deltas) == ["See: it is so.", ("https://example.com/a", "it is so.")]


def test_cited_content_of_a_whole_answer() -> None:
    block = {"citationsContent": {"content": [{"text": "it is so."}], "citations": [WEB, PAGE]}}
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "See: "}, block]}},
        "stopReason": "end_turn",
    }
    deltas = list(ADAPTER.reader(make_turn()).whole(answer))
    assert cited(deltas) == ["See: it is so.", ("https://example.com/a", "it is so.")]


@pytest.mark.parametrize(
    ("code", "ours"),
    [("ThrottlingException", "rate_limit_exceeded"), ("InternalServerError", "provider_error")],
)
def test_an_error_without_a_form_of_its_own_is_told(code: str, ours: str) -> None:
    headers = {":message-type": "error", ":error-code": code, ":error-message": "no"}
    [(name, data)] = EventStreamDecoder().feed(event("", {}, names=headers))
    import orjson

    assert told(ADAPTER.reader(make_turn()).frame(name, orjson.loads(data))) == [("failed", ours)]


# --------------------------------------------------------------------------- the cache

POINT = {"cachePoint": {"type": "default"}}
EVERYWHERE = {"cache": ["tools", "system", "messages"]}


def points(asked: Json) -> Json:
    """Where there are points: the field, of messages their places, to what stands before each."""
    lists = {"tools": asked.get("toolConfig", {}).get("tools", []), "system": asked.get("system", [])}
    lists |= {f"messages[{n}]": message["content"] for n, message in enumerate(asked["messages"])}
    return {
        name: [next(iter(before)) for before, block in pairwise(blocks) if block == POINT]
        for name, blocks in lists.items()
        if POINT in blocks
    }


def test_a_cache_ends_where_the_next_turn_begins_alike() -> None:
    items = [message("system", "Be brief."), user("a"), message("assistant", "b"), user("c"), call("c1", "f"),
             output("c1", "x"), user("d"), message("assistant", "e"), user("f")]  # fmt: skip
    given = {"items": items, "tools": [function("f")], "prompt_cache_key": "k"}
    assert points(body(options=EVERYWHERE, **given)) == {
        "tools": ["toolSpec"],
        "system": ["text"],
        "messages[4]": ["text"],
        "messages[6]": ["text"],
    }
    assert list(points(body(options={"cache": ["system"]}, **given))) == ["system"]


def test_what_asks_for_no_cache_has_none() -> None:
    assert not points(body(options=EVERYWHERE))
    turn = make_turn(prompt_cache_key="k", prompt_cache_retention="in_memory", model=CLAUDE)
    asked = ADAPTER.build(turn)
    assert not points(asked.body)
    assert asked.ignored == ["prompt_cache_key", "prompt_cache_retention"]


@pytest.mark.parametrize(
    ("longest", "ttl", "ignored"), [("1h", "1h", []), (None, None, ["prompt_cache_retention"])]
)
def test_a_cache_is_kept_as_long_as_the_model_can(longest: Any, ttl: Any, ignored: list[str]) -> None:
    options = EVERYWHERE | ({"cache_ttl": longest} if longest else {})
    asked = ADAPTER.build(make_turn(options=options, model=CLAUDE, prompt_cache_retention="24h"))
    assert asked.ignored == ignored
    point = asked.body["messages"][-1]["content"][-1]["cachePoint"]
    assert point == ({"type": "default", "ttl": ttl} if ttl else {"type": "default"})


def test_no_point_follows_what_bedrock_makes_a_text_of() -> None:
    html = {"type": "input_file", "filename": "a.html", "file_data": "data:text/html;base64,PGI+"}
    for file, found in ((pdf("a.pdf"), {"messages[0]": ["document"]}), (html, {})):
        asked = body(
            items=[user({"type": "input_text", "text": "Read."}, file)],
            options=EVERYWHERE,
            prompt_cache_key="k",
        )
        assert points(asked) == found


@pytest.mark.parametrize(
    ("model", "cache", "ttl"),
    [
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", ["tools", "system", "messages"], "1h"),
        ("anthropic.claude-sonnet-5", ["tools", "system", "messages"], "1h"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", ["tools", "system", "messages"], None),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", ["tools", "system", "messages"], None),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", ["tools", "system", "messages"], None),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", [], None),
        ("eu.amazon.nova-lite-v1:0", ["system", "messages"], None),
        ("us.amazon.nova-2-lite-v1:0", ["system", "messages"], None),
        ("us.meta.llama3-3-70b-instruct-v1:0", [], None),
    ],
)
def test_the_table_knows_which_models_cache(model: str, cache: list[str], ttl: str | None) -> None:
    from openresponses.routing import Router

    options = Router(Settings.load({})).resolve(f"bedrock/{model}").profile.options
    assert (options.get("cache", []), options.get("cache_ttl")) == (cache, ttl)
