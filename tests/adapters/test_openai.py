"""The OpenAI adapter, where the wire cases do not reach: requests field by field, odd streams, the records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openresponses.adapters.base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    HostedItemEvent,
    HostedItemStarted,
    ItemEnd,
    MessageStarted,
    ModelProfile,
    PartEnd,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    Usage,
)
from openresponses.adapters.openai import OpenAIAdapter
from openresponses.engine.context import normalize_input
from openresponses.engine.hosted_tools import HostedTools
from openresponses.engine.tools import resolve_tools
from openresponses.protocol.errors import ApiError
from openresponses.protocol.request import parse_request
from openresponses.protocol.state import seal

Json = dict[str, Any]

ADAPTER = OpenAIAdapter()
ALWAYS = {"truncation": "disabled", "store": False, "stream": True}
ENCRYPTED = ["reasoning.encrypted_content"]
HELLO: Json = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
PLAIN = ModelProfile(options={"encrypted_reasoning": False})


def turn(request: Json, profile: ModelProfile | None = None, provider: str = "openai") -> Turn:
    """The turn that the engine would make of a client's request."""
    parsed = parse_request({"model": "gpt-5.4", "input": "Hello", **request})
    items = normalize_input(parsed["input"], "0" * 32)
    tools = resolve_tools(parsed, items, HostedTools())
    return Turn(
        provider=provider,
        model=parsed["model"],
        profile=profile or ModelProfile(),
        request=parsed,
        instructions=parsed.get("instructions"),
        input=items,
        tools=tools.tools,
        tool_choice=tools.choice,
        allowed=tools.allowed,
    )


def body(request: Json, profile: ModelProfile | None = None, provider: str = "openai") -> Json:
    sent = ADAPTER.build(turn(request, profile, provider))
    assert sent.path == "/responses" and sent.framing == "sse"
    return sent.body


# --------------------------------------------------------------------------- requests


def test_the_smallest_request() -> None:
    sent = body({})
    assert sent == {"model": "gpt-5.4", "input": [HELLO], "include": ENCRYPTED, **ALWAYS}
    assert list(sent) == ["model", "input", "include", "truncation", "store", "stream"]


FUNCTION: Json = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {}},
    "strict": True,
}
CUSTOM: Json = {
    "type": "custom",
    "name": "c",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a+/"},
}
NAMESPACE: Json = {
    "type": "namespace",
    "name": "n",
    "description": "d",
    "tools": [{"type": "function", "name": "g"}],
}
TOOLS: list[Json] = [
    FUNCTION,
    CUSTOM,
    NAMESPACE,
    {"type": "web_search", "user_location": {"type": "approximate", "city": "Ulm"}},
    {"type": "mcp", "server_label": "s", "server_url": "https://s.example.com", "require_approval": "never"},
]


@pytest.mark.parametrize(
    "field",
    [
        {"instructions": "Be brief."},
        {"reasoning": {"effort": "high", "summary": "auto"}},
        {
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": {"default": None}, "strict": True}
            }
        },
        {"text": {"verbosity": "low"}},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"max_output_tokens": 10},
        {"max_tool_calls": 3},
        {"parallel_tool_calls": False},
        {"top_logprobs": 2},
        {"service_tier": "flex"},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"safety_identifier": "s"},
        {"tools": TOOLS},
    ],
    ids=lambda field: next(iter(field)),
)
def test_fields_that_pass_unchanged(field: Json) -> None:
    assert body(field) == {"model": "gpt-5.4", "input": [HELLO], "include": ENCRYPTED, **ALWAYS} | field


@pytest.mark.parametrize(
    "field",
    [
        {"metadata": {"a": "b"}},  # belongs to stored responses, and they are ours
        {"store": True},
        {"stream": False},
        {"truncation": "auto"},  # the engine's
        {"previous_response_id": "resp_x"},
        {"tool_choice": "auto"},  # the default
        {"reasoning": None},
        {"tools": []},
    ],
    ids=lambda field: next(iter(field)),
)
def test_fields_that_are_not_sent(field: Json) -> None:
    assert body(field) == {"model": "gpt-5.4", "input": [HELLO], "include": ENCRYPTED, **ALWAYS}


def test_nulls_are_left_out() -> None:
    assert body({"reasoning": {"effort": None, "summary": "auto"}})["reasoning"] == {"summary": "auto"}


def test_knobs_without_a_place_are_named() -> None:
    sent = ADAPTER.build(turn({"presence_penalty": 0.5, "frequency_penalty": 0}))
    assert sent.ignored == ["presence_penalty"]
    assert not {"presence_penalty", "frequency_penalty"} & sent.body.keys()


@pytest.mark.parametrize(
    ("asked", "profile", "sent"),
    [
        ([], None, ENCRYPTED),
        (["message.output_text.logprobs"], None, [*ENCRYPTED, "message.output_text.logprobs"]),
        (
            [*ENCRYPTED, "web_search_call.action.sources"],
            None,
            [*ENCRYPTED, "web_search_call.action.sources"],
        ),
        (["message.output_text.logprobs"], PLAIN, ["message.output_text.logprobs"]),
        (ENCRYPTED, PLAIN, None),
    ],
)
def test_include(asked: list[str], profile: ModelProfile | None, sent: list[str] | None) -> None:
    assert body({"include": asked}, profile).get("include") == sent


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "name": "f"}),
        ({"type": "custom", "name": "c"}, {"type": "custom", "name": "c"}),
        ({"type": "web_search"}, {"type": "web_search"}),
        *(
            (choice, choice)
            for choice in (
                {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
                {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "custom", "name": "c"}, {"type": "web_search"}],
                },
            )
        ),
    ],
)
def test_tool_choice(choice: Any, sent: Any) -> None:
    given = body({"tools": TOOLS, "tool_choice": choice})
    assert given["tool_choice"] == sent
    assert given["tools"] == TOOLS, "all tools stay visible"


OURS = "0" * 32
CALL: Json = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"b":1,"a":2}'}


@pytest.mark.parametrize(
    ("item", "sent"),
    [
        (CALL | {"id": f"fc_{OURS}_0", "status": "completed"}, CALL),
        (CALL | {"namespace": "n"}, CALL | {"namespace": "n"}),
        (
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "x", "input": "a"},
            {"type": "custom_tool_call", "call_id": "c", "name": "x", "input": "a"},
        ),
        (
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
             "content": [{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}]},
            {"type": "message", "role": "assistant", "phase": "commentary",
             "content": [{"type": "output_text", "text": "a"}]},
        ),
        (
            {"role": "assistant",
             "content": [{"type": "input_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
        ),
        (
            {"role": "developer", "content": "a"},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "a"}]},
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://e.com/a.png", "detail": None},
                                         {"type": "input_file", "file_id": "file_1"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "https://e.com/a.png"},
                                                            {"type": "input_file", "file_id": "file_1"}]},
        ),
        (
            {"type": "web_search_call", "id": "ws_1", "status": "completed",
             "action": {"type": "search", "query": "q"}},
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        ),
        (
            {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "s"},
            {"type": "mcp_approval_request", "id": "mcpr_1", "name": "f", "arguments": "{}", "server_label": "s"},
        ),
        (
            {"type": "program", "id": "cm_1", "status": "completed", "call_id": "c", "code": "f()", "fingerprint": "x"},
            {"type": "program", "id": "cm_1", "call_id": "c", "code": "f()", "fingerprint": "x"},
        ),
        (CALL | {"caller": {"type": "program", "caller_id": "c"}},
         CALL | {"caller": {"type": "program", "caller_id": "c"}}),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "a",
                                          "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a",
                                                             "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        ),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}],
             "encrypted_content": "gAAAA", "status": "completed"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "gAAAA"},
        ),
        ({"type": "reasoning", "id": "rs_1", "summary": []}, None),
        ({"type": "reasoning", "summary": [], "encrypted_content": seal("anthropic", {"signature": "s"})}, None),
        ({"type": "reasoning", "summary": [], "encrypted_content": "or1.openai.damaged!"}, None),
        ({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"},
         {"type": "compaction", "encrypted_content": "gAAAA"}),
    ],
)  # fmt: skip
def test_items(item: Json, sent: Json | None) -> None:
    assert body({"input": [item, HELLO]})["input"] == ([] if sent is None else [sent]) + [HELLO]


def test_tool_results_keep_their_parts() -> None:
    result = {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        ],
    }
    assert body({"input": [CALL, result]})["input"] == [CALL, result]


def test_a_model_that_does_not_reason_gets_no_reasoning() -> None:
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    assert body({"input": [reasoning, HELLO]}, PLAIN)["input"] == [HELLO]


def test_state_stays_with_the_provider_that_gave_it() -> None:
    """Another backend of the same API has its own state, and does not get OpenAI's."""
    theirs = {"type": "reasoning", "summary": [], "encrypted_content": seal("house", "s1")}
    openais = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    kept = {"type": "reasoning", "summary": [], "encrypted_content": "s1"}
    assert body({"input": [theirs, openais, HELLO]}, provider="house")["input"] == [kept, HELLO]


def test_a_foreign_compaction_is_refused_because_the_history_is_in_it() -> None:
    foreign = {"type": "compaction", "encrypted_content": seal("anthropic", "s")}
    with pytest.raises(ApiError) as caught:
        body({"input": [foreign, HELLO]})
    assert (caught.value.code, caught.value.param) == ("invalid_value", "input")


# --------------------------------------------------------------------------- the stream


def read(*frames: Json, provider: str = "openai", end: bool = True) -> list[Delta]:
    reader = ADAPTER.reader(turn({}, provider=provider))
    deltas = [delta for frame in frames for delta in reader.frame(frame.get("type", ""), frame)]
    return [*deltas, *reader.end()] if end else deltas


def whole(data: Any) -> list[Delta]:
    return list(ADAPTER.reader(turn({})).whole(data))


def response(kind: str, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "response": {"model": "gpt-5.4", "service_tier": "default", **fields}}


def item(kind: str, index: int, **fields: Any) -> Json:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": {"id": "x_1", **fields}}


def event(kind: str, index: int, **fields: Any) -> Json:
    return {
        "type": f"response.{kind}",
        "output_index": index,
        "item_id": "x_1",
        "sequence_number": 7,
        **fields,
    }


CREATED = response("created")
STARTED = Started("gpt-5.4", "default")
USAGE = {
    "input_tokens": 9,
    "output_tokens": 5,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens_details": {"reasoning_tokens": 2},
}
LOGPROB = {"token": "y", "logprob": -0.1, "bytes": [121], "top_logprobs": []}
CITATION = {"type": "url_citation", "url": "https://e.com", "title": "e", "start_index": 0, "end_index": 1}


def text(value: str, **fields: Any) -> Json:
    return {"type": "output_text", "text": value, "annotations": [], **fields}


READINGS: dict[str, tuple[list[Json], list[Delta]]] = {
    "text, obfuscated and kept alive": (
        [
            CREATED,
            response("in_progress"),
            item("added", 0, type="message", role="assistant", content=[], phase="final_answer"),
            event("content_part.added", 0, content_index=0, part=text("")),
            event("output_text.delta", 0, content_index=0, delta="He", logprobs=[], obfuscation="xk"),
            {"type": "keepalive", "sequence_number": 6},
            event("output_text.delta", 0, content_index=0, delta="y", logprobs=[LOGPROB]),
            event("output_text.annotation.added", 0, content_index=0, annotation_index=0, annotation=CITATION),
            event("output_text.done", 0, content_index=0, text="Hey"),
            event("content_part.done", 0, content_index=0, part=text("Hey", annotations=[CITATION])),
            item("done", 0, type="message", content=[text("Hey", annotations=[CITATION])], phase="final_answer"),
            response("completed", output=[{"type": "message", "content": [text("Hey")]}], usage=USAGE),
        ],
        [
            STARTED, MessageStarted("final_answer"), TextDelta("He"), TextDelta("y", [LOGPROB]),
            Annotation(CITATION), PartEnd(), ItemEnd(), STARTED, Usage(9, 5, 4, 2), Finished(),
        ],
    ),
    "items that only say that they are done": (
        [
            CREATED,
            item("done", 0, type="reasoning", summary=[{"type": "summary_text", "text": "t"}], encrypted_content="s"),
            item("done", 1, type="message", content=[text("a"), {"type": "refusal", "refusal": "no"}]),
            item("done", 2, type="function_call", call_id="c1", name="f", arguments="{}"),
            item("done", 3, type="custom_tool_call", call_id="c2", name="g", input="ab", namespace="n"),
            response("completed", output=[]),
        ],
        [
            STARTED, ReasoningDelta("t"), PartEnd(), ProviderState("s"), ItemEnd(),
            MessageStarted(None), TextDelta("a"), PartEnd(), RefusalDelta("no"), PartEnd(), ItemEnd(),
            ToolCallStarted(2, "f", "c1"), ToolCallDelta(2, "{}"), ItemEnd(2),
            ToolCallStarted(3, "g", "c2", "custom", "n"), ToolCallDelta(3, "ab"), ItemEnd(3),
            STARTED, Finished(),
        ],
    ),
    "items that stand in the last event only": (
        [CREATED, response("completed", output=[{"type": "message", "content": [text("a")]}])],
        [STARTED, MessageStarted(None), TextDelta("a"), PartEnd(), ItemEnd(), Finished()],
    ),
    "what the stream left out comes with the end of the part": (
        [
            CREATED,
            item("added", 0, type="message", content=[]),
            event("output_text.delta", 0, content_index=0, delta="Hel"),
            event("content_part.done", 0, content_index=0, part=text("Hello", annotations=[CITATION])),
            item("added", 1, type="function_call", call_id="c", name="f", arguments=""),
            event("function_call_arguments.delta", 1, delta='{"a"'),
            item("done", 1, type="function_call", call_id="c", name="f", arguments='{"a":1}'),
        ],
        [
            STARTED, MessageStarted(None), TextDelta("Hel"), TextDelta("lo"), Annotation(CITATION), PartEnd(),
            ToolCallStarted(1, "f", "c"), ToolCallDelta(1, '{"a"'), ToolCallDelta(1, ":1}"), ItemEnd(1),
        ],
    ),
    "raw reasoning, and the last of its encrypted contents": (
        [
            CREATED,
            item("added", 0, type="reasoning", summary=[], encrypted_content="first"),
            event("reasoning_text.delta", 0, content_index=0, delta="hm"),
            event("reasoning_text.done", 0, content_index=0, text="hm"),
            item("done", 0, type="reasoning", summary=[], content=[{"type": "reasoning_text", "text": "hm"}],
                 encrypted_content="last"),
        ],
        [STARTED, ReasoningDelta("hm", raw=True), PartEnd(), ProviderState("last"), ItemEnd()],
    ),
    "two summary parts": (
        [
            CREATED,
            item("added", 0, type="reasoning", summary=[]),
            event("reasoning_summary_text.delta", 0, summary_index=0, delta="a"),
            event("reasoning_summary_part.done", 0, summary_index=0, part={"type": "summary_text", "text": "a"}),
            event("reasoning_summary_text.delta", 0, summary_index=1, delta="b"),
            event("reasoning_summary_part.done", 0, summary_index=1, part={"type": "summary_text", "text": "b"}),
        ],
        [STARTED, ReasoningDelta("a"), PartEnd(), ReasoningDelta("b"), PartEnd()],
    ),
    "reasoning without a word of it is still an item": (
        [CREATED, item("done", 0, type="reasoning", summary=[])],
        [STARTED, HostedItemEnded(0, {"type": "reasoning", "summary": []})],
    ),
    "a hosted tool with its events": (
        [
            CREATED,
            item("added", 0, type="web_search_call", status="in_progress"),
            event("web_search_call.searching", 0),
            event("code_interpreter_call_code.delta", 0, delta="x", obfuscation="yy"),
            item("done", 0, type="web_search_call", status="completed", action={"type": "search"}),
        ],
        [
            STARTED,
            HostedItemStarted(0, {"type": "web_search_call", "status": "in_progress"}),
            HostedItemEvent(0, "response.web_search_call.searching"),
            HostedItemEvent(0, "response.code_interpreter_call_code.delta", {"delta": "x"}),
            HostedItemEnded(0, {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}),
        ],
    ),
    "an item and an event of kinds not known yet": (
        [
            CREATED,
            item("added", 0, type="dream_call"),
            event("dream_call.dreaming", 0, depth=3),
            {"type": "response.something.else", "sequence_number": 4},
            item("done", 0, type="dream_call", dream="of sheep"),
        ],
        [
            STARTED,
            HostedItemStarted(0, {"type": "dream_call"}),
            HostedItemEvent(0, "response.dream_call.dreaming", {"depth": 3}),
            HostedItemEnded(0, {"type": "dream_call", "dream": "of sheep"}),
        ],
    ),
    "a backend that counts items and parts from one": (
        [
            CREATED,
            item("added", 1, type="message", content=[]),
            event("output_text.delta", 1, content_index=1, delta="a"),
            item("done", 1, type="message", content=[text("ab")]),
            item("added", 3, type="message", content=[]),
            response("completed", output=[{"type": "message", "content": [text("ab")]},
                                          {"type": "message", "content": [text("c")]},
                                          {"type": "message", "content": [text("d")]}]),
        ],
        [
            STARTED, MessageStarted(None), TextDelta("a"), TextDelta("b"), PartEnd(), ItemEnd(), MessageStarted(None),
            STARTED, TextDelta("c"), PartEnd(), ItemEnd(),
            MessageStarted(None), TextDelta("d"), PartEnd(), ItemEnd(), Finished(None),
        ],
    ),
    "a call that a program made": (
        [
            CREATED,
            item("added", 0, type="program", call_id="p", code="", fingerprint="f"),
            item("done", 0, type="program", call_id="p", code="f()", fingerprint="f"),
            item("added", 1, type="function_call", call_id="c", name="f", caller={"type": "program", "caller_id": "p"}),
            item("done", 1, type="function_call", call_id="c", name="f", arguments="{}"),
        ],
        [
            STARTED,
            HostedItemStarted(0, {"type": "program", "call_id": "p", "code": "", "fingerprint": "f"}),
            HostedItemEnded(0, {"type": "program", "call_id": "p", "code": "f()", "fingerprint": "f"}),
            ToolCallStarted(1, "f", "c", caller={"type": "program", "caller_id": "p"}),
            ToolCallDelta(1, "{}"), ItemEnd(1),
        ],
    ),
    "annotations that come after their part's end, and without a place": (
        [
            CREATED,
            item("added", 0, type="message", content=[]),
            event("output_text.delta", 0, content_index=0, delta="abc"),
            event("content_part.done", 0, content_index=0, part=text("abc")),
            item("done", 0, type="message",
                 content=[text("abc", annotations=[{"type": "url_citation", "url": "https://a.b", "title": None}])]),
        ],
        [
            STARTED, MessageStarted(None), TextDelta("abc"), PartEnd(),
            Annotation({"type": "url_citation", "title": "", "start_index": 0, "end_index": 3,
                        "url": "https://a.b"}),
            ItemEnd(),
        ],
    ),
    "texts that only their own done events tell whole": (
        [
            CREATED,
            item("added", 0, type="message", content=[]),
            event("output_text.delta", 0, content_index=0, delta="a"),
            event("output_text.done", 0, content_index=0, text="ab"),
            item("added", 1, type="function_call", call_id="c", name="f", arguments=""),
            event("function_call_arguments.done", 1, arguments='{"a":1}'),
            response("completed", output=[]),
        ],
        [
            STARTED, MessageStarted(None), TextDelta("a"), TextDelta("b"),
            ToolCallStarted(1, "f", "c"), ToolCallDelta(1, '{"a":1}'), STARTED, Finished(None),
        ],
    ),
    "a limit, in mid-message": (
        [
            CREATED,
            item("added", 0, type="message", content=[]),
            event("output_text.delta", 0, content_index=0, delta="a"),
            response("incomplete", incomplete_details={"reason": "content_filter"}, output=[], usage=None),
        ],
        [STARTED, MessageStarted(None), TextDelta("a"), STARTED, Finished("content_filter")],
    ),
    "the provider is alive, if slow": ([CREATED, {"type": "keepalive"}], [STARTED]),
    "an end without an end": ([CREATED, item("added", 0, type="message", content=[])], [STARTED, MessageStarted(None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_reading(name: str) -> None:
    frames, deltas = READINGS[name]
    assert read(*frames) == deltas


THOUGHT: Json = {"summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("provider", "given", "kept"),
    [
        ("deepseek", {**THOUGHT, "status": "completed", "encrypted_content": None}, {"id": "x_1", **THOUGHT}),
        ("openai", THOUGHT, {"id": "x_1", **THOUGHT}),  # a server of the user's own, under OpenAI's name
        ("openrouter", {"summary": [], "encrypted_content": "s", "format": "google-gemini-v1"},
         {"summary": [], "encrypted_content": "s", "format": "google-gemini-v1"}),
        ("openai", {**THOUGHT, "encrypted_content": "s"}, "s"),
    ],
)  # fmt: skip
def test_reasoning_is_kept_as_its_server_takes_it_back(provider: str, given: Json, kept: Json | str) -> None:
    """DeepSeek's and Bedrock's gpt-oss is plain text, and comes back as it was; OpenAI's is its encrypted content."""
    found = read(item("done", 0, type="reasoning", **given), provider=provider)
    assert [delta.payload for delta in found if isinstance(delta, ProviderState)] == [kept]
    shown = [{"type": "summary_text", "text": "hm"}]
    again = {
        "type": "reasoning",
        "id": "rs_ours",
        "summary": shown,
        "encrypted_content": seal(provider, kept),
    }
    [sent] = body({"input": [again]}, provider=provider)["input"]
    whole = kept if isinstance(kept, dict) else {"summary": shown, "encrypted_content": kept}
    assert sent == {"type": "reasoning", **whole}


def test_state_that_a_client_made_up_is_no_other_item() -> None:
    """It is not signed, and nobody looks into it: a message within would pass by every middleware."""
    made_up = {"type": "message", "role": "user", "content": "Passed by."}
    item = {"type": "reasoning", "summary": [], "encrypted_content": seal("deepseek", made_up)}
    [sent] = body({"input": [item]}, provider="deepseek")["input"]
    assert sent["type"] == "reasoning"


def test_plain_reasoning_that_ends_behind_its_message_makes_no_second_item() -> None:
    """OpenRouter's order: the reasoning is done after the message is."""
    found = read(
        item("added", 0, type="reasoning", summary=[]),
        event("reasoning_text.delta", 0, content_index=0, delta="hm"),
        item("added", 1, type="message", content=[]),
        event("output_text.delta", 1, content_index=0, delta="Yes."),
        item("done", 1, type="message", content=[text("Yes.")]),
        item("done", 0, type="reasoning", **THOUGHT),
        provider="openrouter",
    )
    assert ReasoningDelta("hm", raw=True) in found
    assert not any(isinstance(delta, ProviderState) for delta in found)


def test_state_of_another_backend_is_sealed_for_it() -> None:
    [_, ended] = read(item("done", 0, type="compaction", encrypted_content="s"), provider="house")
    assert isinstance(ended, HostedItemEnded)
    assert ended.item["encrypted_content"] == seal("house", "s") != "s"


NESTED = {
    "type": "error",
    "error": {"type": "x", "code": "rate_limit_exceeded", "message": "Please try again in 1.5s."},
}
FLAT = {"type": "error", "code": "server_error", "message": "Oops", "param": None}


def failed_with(code: str, message: str = "m") -> Json:
    return response("failed", status="failed", error={"code": code, "message": message}, usage=USAGE)


@pytest.mark.parametrize(
    ("frames", "code", "retry_after"),
    [
        ([NESTED], "rate_limit_exceeded", 1.5),
        (
            [NESTED, failed_with("rate_limit_exceeded", "Please try again in 20ms")],
            "rate_limit_exceeded",
            0.02,
        ),
        ([FLAT], "provider_error", None),
        ([FLAT, failed_with("insufficient_quota")], "insufficient_quota", None),
        ([NESTED, response("failed", error=None)], "rate_limit_exceeded", 1.5),
        ([failed_with("server_error")], "provider_error", None),
        ([failed_with("server_is_overloaded")], "server_is_overloaded", None),
        ([failed_with("context_length_exceeded")], "context_length_exceeded", None),
        ([failed_with("invalid_prompt")], "invalid_prompt", None),
        ([failed_with("failed_to_download_image")], "invalid_value", None),
        ([failed_with("bio_policy")], "invalid_prompt", None),
        ([{"type": "error"}], "provider_error", None),
        ([{"error": {"code": "server_is_overloaded", "message": "m"}}], "server_is_overloaded", None),
    ],
)
def test_failures_are_told_once(frames: list[Json], code: str, retry_after: float | None) -> None:
    deltas = read(CREATED, *frames, end=frames[-1].get("type", "error") == "error")
    failures = [delta.error for delta in deltas if isinstance(delta, Failed)]
    assert [(error.code, error.retry_after) for error in failures] == [(code, retry_after)]
    assert not any(isinstance(delta, Started) for delta in deltas), "it may still be retried"


def test_content_that_has_no_place_is_not_dropped_in_silence() -> None:
    [*_, failed, _] = read(
        item("done", 0, type="message", content=[{"type": "output_hologram", "data": "x"}])
    )
    assert isinstance(failed, Failed) and failed.error.code == "provider_invalid_response"
    assert "output_hologram" in failed.error.message


@pytest.mark.parametrize(
    ("data", "last"),
    [
        ({"model": "m", "output": [], "status": "completed", "usage": USAGE}, Finished()),
        ({"model": "m", "output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
         Finished("max_output_tokens")),
        ({"model": "m", "output": []}, Finished()),
        ({"model": "m", "output": [], "status": "done"}, Finished()),
        ({"output": [], "status": "queued"}, "model_error"),
        ({"output": [], "status": "in_progress"}, "model_error"),
        ({"output": [], "status": "cancelled"}, "model_error"),
        ({"output": [], "status": "failed", "error": {"code": "invalid_prompt", "message": "m"}}, "invalid_prompt"),
        ({"error": {"code": "insufficient_quota", "message": "m"}}, "insufficient_quota"),
        ({"choices": []}, "provider_invalid_response"),
        ([], "provider_invalid_response"),
        ("hello", "provider_invalid_response"),
    ],
)  # fmt: skip
def test_whole(data: Any, last: Finished | str) -> None:
    deltas = whole(data)
    ends = [delta for delta in deltas if isinstance(delta, Finished | Failed)]
    assert [end.error.code if isinstance(end, Failed) else end for end in ends] == [last]
    assert deltas[-1] is ends[0]


def error_body(**error: Any) -> bytes:
    return json.dumps({"error": {"message": "m", "type": "invalid_request_error", **error}}).encode()


@pytest.mark.parametrize(
    ("status", "said", "ours", "code", "param"),
    [
        (400, error_body(code="model_not_found", param="model"), 404, "model_not_found", "model"),
        (404, error_body(code="model_not_found"), 404, "model_not_found", None),
        (404, error_body(code=None, param="prompt.id"), 404, "not_found", "prompt.id"),
        (400, error_body(code=None, param="temperature"), 400, "invalid_value", "temperature"),
        (400, error_body(code="unsupported_parameter", param="reasoning.effort"), 400, "unsupported_parameter",
         "reasoning.effort"),
        (400, error_body(code="context_length_exceeded", param="input"), 400, "context_length_exceeded", "input"),
        (400, error_body(code="invalid_prompt"), 400, "invalid_prompt", None),
        (400, error_body(code="invalid_value", param="input[7].content[0]"), 400, "invalid_value", "input"),
        (401, b"Unauthorized", 502, "provider_authentication_failed", None),
        (401, error_body(code="invalid_api_key"), 502, "provider_authentication_failed", None),
        (403, error_body(code="unsupported_country_region_territory"), 502, "provider_authentication_failed", None),
        (429, error_body(code="insufficient_quota", type="insufficient_quota"), 429, "insufficient_quota", None),
        (429, error_body(code="rate_limit_exceeded", type="tokens"), 429, "rate_limit_exceeded", None),
        (500, error_body(code=None, type="server_error"), 502, "provider_error", None),
        (503, b"<html>busy</html>", 503, "server_is_overloaded", None),
        (502, b"", 502, "provider_unavailable", None),
        (400, b'{"error": "odd"}', 400, "invalid_value", None),
        (400, b'[1]', 400, "invalid_value", None),
    ],
)  # fmt: skip
def test_explain(status: int, said: bytes, ours: int, code: str, param: str | None) -> None:
    error = ADAPTER.explain(status, said)
    assert (error.status, error.code, error.param) == (ours, code, param)
    assert error.message and "<" not in error.message


def test_keys_do_not_pass_through_messages() -> None:
    error = ADAPTER.explain(
        401, error_body(message="Incorrect API key provided: sk-proj-abcdef123456. See org-abc1234")
    )
    assert "abc" not in error.message
