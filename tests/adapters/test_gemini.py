"""The Gemini adapter where the wire cases do not reach: each rule by itself, failures, and places of state."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from openresponses.adapters.base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    ItemEnd,
    ModelProfile,
    ProviderState,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    Usage,
)
from openresponses.adapters.gemini import GeminiAdapter
from openresponses.protocol.errors import ApiError
from openresponses.protocol.state import seal

Json = dict[str, Any]

ADAPTER = GeminiAdapter()
GEMINI_3 = {"signatures": True, "combine": True, "validated": True, "tool_media": True,
            "effort": {"none": "minimal", "low": "low", "high": "high"}}  # fmt: skip
GEMINI_25 = {"validated": True, "effort": {"none": 0, "low": 2048}}


def turn_of(items: list[Json] | None = None, *, options: Json | None = None, tools: list[Json] | None = None,
            choice: Any = "auto", allowed: frozenset[str] | None = None, instructions: str | None = None,
            **request: Any) -> Turn:  # fmt: skip
    items = items if items is not None else [user("Hi")]
    profile = ModelProfile(options=options or {})
    return Turn(
        "gemini",
        "gemini-x",
        profile,
        {"input": items, **request},
        instructions,
        items,
        tools or [],
        choice,
        allowed,
    )


def body(*args: Any, **given: Any) -> Json:
    return ADAPTER.build(turn_of(*args, **given)).body


def ignored(**given: Any) -> list[str]:
    return ADAPTER.build(turn_of(**given)).ignored


def refused(*args: Any, **given: Any) -> tuple[str, str | None]:
    with pytest.raises(ApiError) as caught:
        body(*args, **given)
    assert caught.value.status == 400
    return caught.value.code, caught.value.param


def user(text: str) -> Json:
    return message("user", {"type": "input_text", "text": text})


def message(role: str, *parts: Json) -> Json:
    return {"type": "message", "role": role, "content": list(parts)}


def call(call_id: str, name: str = "f", arguments: str = "{}", **more: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **more}


def output(call_id: str, told: Any = "ok") -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": told}


def state(on: str, *, model: str = "gemini-x", summary: str = "", **more: Any) -> Json:
    parts = [{"type": "summary_text", "text": summary}] if summary else []
    token = seal("gemini", {"model": model, "on": on, **more})
    return {"type": "reasoning", "summary": parts, "encrypted_content": token}


def function(name: str, **more: Any) -> Json:
    return {"type": "function", "name": name, **more}


def chunk(*parts: Json, finish: str | None = None, **more: Any) -> Json:
    candidate: Json = {"content": {"parts": list(parts)}, **more}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate]}


def read(*chunks: Json, turn: Turn | None = None) -> list[Delta]:
    reader = ADAPTER.reader(turn or turn_of())
    deltas = [delta for each in chunks for delta in reader.frame("", each)]
    deltas += reader.end()
    return [delta for delta in deltas if not isinstance(delta, Started)]


def failure(*chunks: Json) -> ApiError:
    last = read(*chunks)[-1]
    assert isinstance(last, Failed)
    return last.error


# --------------------------------------------------------------------------- building: contents


def test_empty_texts_are_left_out_and_contents_are_never_empty() -> None:
    nothing = {"role": "user", "parts": [{"text": ""}]}
    assert body([user("")], instructions="Go.")["contents"] == [nothing]
    assert body([message("assistant", {"type": "output_text", "text": "Hello."})])["contents"][0] == nothing


def test_system_messages_alone_are_the_contents() -> None:
    made = body([message("developer", {"type": "input_text", "text": "Go."})], instructions="Be kind.")
    assert made["contents"] == [{"role": "user", "parts": [{"text": "<developer>\nGo.\n</developer>"}]}]
    assert made["systemInstruction"] == {"parts": [{"text": "Be kind."}]}


def test_a_model_without_system_instruction_gets_it_first_in_the_users_turn() -> None:
    made = body(options={"system": False}, instructions="Be kind.")
    assert made["contents"] == [{"role": "user", "parts": [{"text": "Be kind."}, {"text": "Hi"}]}]
    assert "systemInstruction" not in made


def test_same_name_calls_with_one_id_pair_by_order() -> None:
    made = body([user("Hi"), call("c"), call("c"), output("c", "one"), output("c", "two")])
    responses = [part["functionResponse"]["response"] for part in made["contents"][2]["parts"]]
    assert responses == [{"output": "one"}, {"output": "two"}]


def test_sequential_calls_stay_apart_and_each_needs_its_signature() -> None:
    items = [user("Hi"), state("next", signature="s1"), call("a"), output("a"), call("b"), output("b")]
    contents = body(items, options=GEMINI_3)["contents"]
    assert [each["role"] for each in contents] == ["user", "model", "user", "model", "user"]
    signatures = [contents[n]["parts"][0]["thoughtSignature"] for n in (1, 3)]
    assert signatures == ["s1", "skip_thought_signature_validator"]


@pytest.mark.parametrize("options", [{}, GEMINI_25], ids=["unknown", "2.5"])
def test_no_signature_is_made_up_where_none_is_demanded(options: Json) -> None:
    contents = body([user("Hi"), call("a"), output("a")], options=options)["contents"]
    assert "thoughtSignature" not in contents[1]["parts"][0]


def test_models_without_call_ids_get_none() -> None:
    contents = body([user("Hi"), call("a"), output("a")], options={"call_ids": False})["contents"]
    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "ok"}}}]


def test_a_half_answered_batch_is_refused_an_unanswered_one_is_not() -> None:
    assert refused([user("Hi"), call("a"), call("b"), output("a")]) == ("invalid_value", "input")
    contents = body([user("Hi"), call("a"), user("Never mind.")])["contents"]
    assert [each["role"] for each in contents] == ["user", "model", "user"]


@pytest.mark.parametrize(
    ("told", "response"),
    [
        ('{"b":1,"a":2}', {"b": 1, "a": 2}),
        ("[1]", {"output": "[1]"}),
        ("{broken", {"output": "{broken"}),
        ("", {"output": ""}),
        (
            [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}],
            {"output": ["one", "two"]},
        ),
        ([{"type": "input_image", "image_url": "data:image/png;base64,AA=="}], {"output": ""}),
    ],
)
def test_results_are_objects(told: Any, response: Json) -> None:
    contents = body([user("Hi"), call("a"), output("a", told)])["contents"]
    assert contents[2]["parts"][0]["functionResponse"]["response"] == response


def test_media_that_a_function_response_cannot_hold_follow_all_responses() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}
    items = [user("Hi"), call("a"), call("b"), output("a", [sound]), output("b")]
    parts = body(items, options=GEMINI_3)["contents"][2]["parts"]
    assert [next(iter(part)) for part in parts] == ["functionResponse", "functionResponse", "inlineData"]
    assert parts[2]["inlineData"] == {"mimeType": "audio/mpeg", "data": "AA=="}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [("", {}), ('{"z":1,"a":{"y":2,"b":3}}', {"z": 1, "a": {"y": 2, "b": 3}}), ("[1]", {"arguments": [1]}),
     ('{"cut', {"arguments": '{"cut'})],
)  # fmt: skip
def test_arguments_are_an_object_in_the_order_of_the_client(arguments: str, args: Json) -> None:
    made = body([user("Hi"), call("a", arguments=arguments), output("a")])["contents"][1]["parts"][0][
        "functionCall"
    ]["args"]
    assert json.dumps(made) == json.dumps(args)


def test_calls_of_other_tools_are_calls_with_results() -> None:
    items = [
        user("Hi"),
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "x"},
        {"type": "local_shell_call", "call_id": "b", "action": {"command": ["ls"]}},
        {"type": "mcp_call", "id": "m", "name": "ask", "arguments": '{"q":1}', "output": "known"},
        {"type": "local_shell_call_output", "call_id": "b", "output": "file"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "done"},
    ]
    contents = body(items)["contents"]
    calls = [part["functionCall"] for part in contents[1]["parts"]]
    assert [(made["name"], made["args"]) for made in calls] == [
        ("patch", {"input": "x"}), ("local_shell", {"action": {"command": ["ls"]}}), ("ask", {"q": 1}),
    ]  # fmt: skip
    results = [part["functionResponse"]["response"]["output"] for part in contents[2]["parts"]]
    assert results == ["done", "file", "known"]


def test_state_returns_to_its_place_and_only_to_its_model() -> None:
    text = message("assistant", {"type": "output_text", "text": "One."})
    items = [
        user("Hi"),
        state("thought", summary="Hm.", signature="s0"),
        text,
        state("previous", signature="s1"),
        user("On"),
    ]
    expected = [
        {"text": "Hm.", "thought": True, "thoughtSignature": "s0"},
        {"text": "One.", "thoughtSignature": "s1"},
    ]
    assert body(items)["contents"][1]["parts"] == expected
    for item in items:
        if item["type"] == "reasoning":
            model = seal("gemini", {"model": "gemini-y", "on": "previous", "signature": "s9"})
            item["encrypted_content"] = random.choice(
                [model, "gAAAA", seal("anthropic", {"signature": "s9"})]
            )
    assert body(items)["contents"][1]["parts"] == [{"text": "One."}]


def test_foreign_code_and_images_are_content() -> None:
    items = [
        user("Hi"),
        {
            "type": "code_interpreter_call",
            "status": "completed",
            "code": "1",
            "outputs": [{"type": "logs", "logs": "1"}],
        },
        {"type": "image_generation_call", "status": "completed", "result": "AA==", "output_format": "webp"},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
    ]
    assert body(items)["contents"][1]["parts"] == [
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "image/webp", "data": "AA=="}},
    ]


MEDIA = [
    (
        {"type": "input_image", "image_url": "gs://b/c.png"},
        {"mimeType": "image/png", "fileUri": "gs://b/c.png"},
    ),
    (
        {"type": "input_image", "image_url": "https://x.org/c"},
        {"mimeType": "image/jpeg", "fileUri": "https://x.org/c"},
    ),
    (
        {"type": "input_video", "video_url": "https://youtu.be/abc"},
        {"mimeType": "video/mp4", "fileUri": "https://youtu.be/abc"},
    ),
    ({"type": "input_file", "file_url": "https://x.org/c"}, {"fileUri": "https://x.org/c"}),
]


@pytest.mark.parametrize(("part", "expected"), MEDIA)
def test_addresses_that_google_reads(part: Json, expected: Json) -> None:
    assert body([message("user", part)])["contents"][0]["parts"] == [{"fileData": expected}]


@pytest.mark.parametrize(
    ("part", "param", "options"),
    [
        ({"type": "input_image", "image_url": "https://x.org/c.png"}, "image_url", {"url_input": False}),
        ({"type": "input_image", "image_url": "http://x.org/c.png"}, "image_url", {}),
        ({"type": "input_image", "image_url": "data:image/png,raw"}, "image_url", {}),
        ({"type": "input_image", "file_id": "file-abc"}, "file_id", {}),
        ({"type": "input_file", "file_id": "files/../x"}, "file_id", {}),
        ({"type": "input_file", "filename": "a.zip", "file_data": "AA=="}, "file_data", {}),
        ({"type": "input_file"}, "file_url", {}),
    ],
)
def test_media_that_gemini_cannot_be_given(part: Json, param: str, options: Json) -> None:
    assert refused([user("Hi"), message("user", part)], options=options)[1] == f"input[1].content[0].{param}"


def test_unknown_items_are_refused() -> None:
    assert refused([user("Hi"), {"type": "compaction", "encrypted_content": "x"}]) == (
        "unsupported_value",
        "input[1]",
    )


# --------------------------------------------------------------------------- building: knobs


@pytest.mark.parametrize(
    ("request_", "options", "config", "left"),
    [
        ({"temperature": 0.0, "top_p": 0.5}, {}, {"temperature": 0.0, "topP": 0.5}, []),
        ({"temperature": 0.0, "top_p": 0.5}, {"sampling": False}, {}, ["temperature", "top_p"]),
        ({"presence_penalty": 1.0}, {}, {}, ["presence_penalty"]),
        ({"presence_penalty": 1.0, "frequency_penalty": -1.0}, {"penalties": True},
         {"presencePenalty": 1.0, "frequencyPenalty": -1.0}, []),
        ({"presence_penalty": 0.0}, {}, {}, []),
        ({"max_output_tokens": 9}, {}, {"maxOutputTokens": 9}, []),
        ({"top_logprobs": 2}, {}, {"responseLogprobs": True, "logprobs": 2}, []),
        ({"include": ["message.output_text.logprobs"]}, {}, {"responseLogprobs": True}, []),
        ({"safety_identifier": "u", "prompt_cache_key": "k"}, {}, {}, ["prompt_cache_key", "safety_identifier"]),
        ({"text": {"verbosity": "low"}}, {}, {}, ["text.verbosity"]),
        ({"text": {"verbosity": "medium"}, "service_tier": "default"}, {}, {}, []),
        ({"service_tier": "scale"}, {}, {}, ["service_tier"]),
        ({"parallel_tool_calls": False}, {}, {}, []),  # the engine enforces it
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {}, {}, ["reasoning.effort", "reasoning.summary"]),
        ({"reasoning": {"effort": "low"}}, GEMINI_25,
         {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2048}}, []),
        ({"reasoning": {"effort": "none"}}, GEMINI_25, {"thinkingConfig": {"thinkingBudget": 0}}, []),
        ({"reasoning": {"effort": "none"}}, GEMINI_3,
         {"thinkingConfig": {"includeThoughts": True, "thinkingLevel": "minimal"}}, []),
        ({"text": {"format": {"type": "json_object"}}}, {}, {"responseMimeType": "application/json"}, []),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"const": 1}}}}, {"json_schema": False},
         {"responseMimeType": "application/json",
          "responseSchema": {"type": "integer", "minimum": 1, "maximum": 1}}, []),
        ({}, {"image_output": True}, {"responseModalities": ["TEXT", "IMAGE"]}, []),
    ],
)  # fmt: skip
def test_every_knob_is_mapped_or_named(request_: Json, options: Json, config: Json, left: list[str]) -> None:
    made = ADAPTER.build(turn_of(options=options, **request_))
    assert made.body.get("generationConfig", {}) == config
    assert sorted(made.ignored) == left


def test_service_tiers() -> None:
    assert body(service_tier="flex")["serviceTier"] == "flex"
    usage = {"promptTokenCount": 1, "serviceTier": "standard"}
    first = next(iter(ADAPTER.reader(turn_of()).frame("", {**chunk({"text": "a"}), "usageMetadata": usage})))
    assert first == Started(None, "default")


def test_image_detail_is_named_as_ignored() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "high"}
    assert ignored(items=[message("user", image)]) == ["input[0].content[0].detail"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"options": GEMINI_25, "reasoning": {"effort": "max"}}, "reasoning.effort"),
        ({"options": {"logprobs": False}, "top_logprobs": 1}, "top_logprobs"),
        ({"options": {"structured_output": False}, "text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"tools": [function("f")], "text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"tools": [function("f")], "text": {"format": {"type": "json_schema", "schema": {"type": "array"}}}},
         "text.format.schema.type"),
        ({"options": {"functions": False}, "tools": [function("f")]}, "tools"),
        ({"tools": [{"type": "code_interpreter"}, function("f")]}, "tools"),
        ({"tools": [{"type": "web_search", "filters": {"allowed_domains": ["x.org"]}}]},
         "tools[0].filters.allowed_domains"),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "tools[0].container"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools[0].vector_store_ids"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}], "choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "web_search"}], "choice": {"type": "web_search"}}, "tool_choice"),
        ({"tools": [function("f", parameters={"type": "object", "properties": {"a": {"$ref": "#/x"}}})]},
         "tools[0].parameters"),
    ],
)  # fmt: skip
def test_features_without_a_place_are_refused(given: Json, param: str) -> None:
    assert refused(**given)[1] == param


# --------------------------------------------------------------------------- building: tools


@pytest.mark.parametrize(
    ("tool", "options", "expected", "left"),
    [
        ({"type": "web_search_preview", "search_context_size": "high"}, {}, [{"googleSearch": {}}],
         ["tools[0].search_context_size"]),
        ({"type": "web_search"}, {"search": False}, None, ["tools[0]"]),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, {}, [{"codeExecution": {}}], []),
        ({"type": "file_search", "vector_store_ids": ["fileSearchStores/a"], "max_num_results": 3}, {},
         [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a"], "topK": 3}}], []),
        ({"type": "image_generation"}, {"image_output": True}, None, []),
        ({"type": "image_generation"}, {}, None, ["tools[0]"]),
    ],
)  # fmt: skip
def test_hosted_tools(tool: Json, options: Json, expected: Any, left: list[str]) -> None:
    made = ADAPTER.build(turn_of(tools=[tool], options=options))
    assert made.body.get("tools") == expected
    assert made.ignored == left


TWO = [function("a"), function("b")]


@pytest.mark.parametrize(
    ("choice", "allowed", "options", "config"),
    [
        ("auto", None, GEMINI_3, None),
        ("none", frozenset(), GEMINI_3, {"mode": "NONE"}),
        ("required", None, {}, {"mode": "ANY"}),
        ("required", frozenset("a"), {}, {"mode": "ANY", "allowedFunctionNames": ["a"]}),
        ("auto", frozenset("b"), GEMINI_3, {"mode": "VALIDATED", "allowedFunctionNames": ["b"]}),
        ("auto", frozenset("b"), {}, None),
        ("auto", frozenset(), {}, {"mode": "NONE"}),
        (
            {"type": "function", "name": "b"},
            frozenset("b"),
            {},
            {"mode": "ANY", "allowedFunctionNames": ["b"]},
        ),
    ],
)
def test_tool_choice(choice: Any, allowed: frozenset[str] | None, options: Json, config: Json | None) -> None:
    made = body(tools=TWO, choice=choice, allowed=allowed, options=options)
    assert len(made["tools"][0]["functionDeclarations"]) == 2, "all tools stay visible"
    assert made.get("toolConfig", {}).get("functionCallingConfig") == config


def test_strict_functions_are_validated() -> None:
    made = body(tools=[function("a", strict=True)], options=GEMINI_3)
    assert made["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_search_makes_room_for_functions() -> None:
    """Codex always offers both; a model that takes one kind only gets the functions, and the header says so."""
    tools = [function("f"), {"type": "web_search"}]
    [functions] = body(tools=tools)["tools"]
    assert [declared["name"] for declared in functions["functionDeclarations"]] == ["f"]
    assert ignored(tools=tools) == ["tools[1]"]
    assert {"googleSearch": {}} in body(tools=tools, options=GEMINI_3)["tools"]
    assert refused(tools=tools, choice={"type": "web_search"})[1] == "tool_choice"


def test_choice_none_leaves_googles_tools_out() -> None:
    assert "tools" not in body(tools=[{"type": "web_search"}], choice="none")


def test_the_older_schema_object() -> None:
    parameters = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}},
        "additionalProperties": False,
    }
    made = body(tools=[function("a", parameters=parameters), function("b")], options={"json_schema": False})
    assert made["tools"][0]["functionDeclarations"] == [
        {
            "name": "a",
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}},
        },
        {"name": "b"},
    ]


def test_equal_turns_give_equal_bytes() -> None:
    given: Json = {"tools": [*TWO, {"type": "custom", "name": "c"}], "options": GEMINI_3, "temperature": 1.0}
    assert json.dumps(body(**given)) == json.dumps(body(**given))


# --------------------------------------------------------------------------- reading


def test_nothing_is_finished_without_a_finish_reason() -> None:
    assert read(chunk({"text": "One"})) == [TextDelta("One")]
    assert read(chunk({"text": "One"}, finish="FINISH_REASON_UNSPECIFIED")) == [TextDelta("One")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STOP", None), ("MAX_TOKENS", "max_output_tokens"), ("SPII", "content_filter"), ("BLOCKLIST", "content_filter"),
     ("PROHIBITED_CONTENT", "content_filter"), ("IMAGE_SAFETY", "content_filter"), ("MODEL_ARMOR", "content_filter"),
     ("LANGUAGE", "content_filter"), ("IMAGE_RECITATION", "content_filter")],
)  # fmt: skip
def test_finish_reasons(reason: str, expected: str | None) -> None:
    assert read(chunk(finish=reason)) == [Finished(expected)]


@pytest.mark.parametrize(
    "reason",
    ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "NO_IMAGE", "IMAGE_OTHER",
     "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "A_NEW_ONE"],
)  # fmt: skip
def test_other_reasons_are_failures_of_the_model(reason: str) -> None:
    assert failure(chunk({"text": "a"}), chunk(finish=reason)).code == "model_error"


def test_a_failure_says_what_gemini_said_without_keys() -> None:
    error = failure(chunk(finish="OTHER", finishMessage="No. Key AIzaSyD0123456789abcdef."))
    assert error.message == "No. Key [redacted]."


def test_the_last_finish_reason_counts() -> None:
    chunks = (
        chunk({"text": "a"}, finish="STOP"),
        chunk({"text": "b"}, finish="STOP"),
        chunk(finish="RECITATION"),
    )
    assert read(*chunks) == [TextDelta("a"), TextDelta("b"), Finished("content_filter")]


def test_a_blocked_prompt_wins_over_its_candidates() -> None:
    deltas = read({**chunk({"text": "a"}, finish="STOP"), "promptFeedback": {"blockReason": "SAFETY"}})
    assert deltas == [TextDelta("a"), Finished("content_filter")]


def test_usage_is_the_last_word_in_our_terms() -> None:
    reader = ADAPTER.reader(turn_of())
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "cachedContentTokenCount": 4,
              "toolUsePromptTokenCount": 20}  # fmt: skip
    said = [
        list(reader.frame("", {"usageMetadata": usage}))[-1] for usage in ({"promptTokenCount": 10}, counts)
    ]
    assert said == [Usage(10, 0), Usage(30, 12, 4, 7)]
    assert list(reader.frame("", {"usageMetadata": {"trafficType": "ON_DEMAND"}})) == []


def test_errors_inside_a_stream_fail_the_turn() -> None:
    error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "Overloaded."}}
    deltas = read(chunk({"text": "a"}), error)
    assert isinstance(deltas[-1], Failed) and deltas[-1].error.code == "server_is_overloaded"


@pytest.mark.parametrize("part", [{"fileData": {"fileUri": "x"}}, {"newThing": {}}, {"functionResponse": {}}])
def test_unknown_content_is_a_failure(part: Json) -> None:
    assert failure(chunk(part)).code == "provider_invalid_response"


@pytest.mark.parametrize(
    "part", [{}, {"thought": True}, {"videoMetadata": {}}, {"text": ""}, {"partMetadata": {"a": 1}}]
)
def test_parts_without_content_are_tolerated(part: Json) -> None:
    assert read(chunk(part), chunk({"text": "a"}, finish="STOP")) == [TextDelta("a"), Finished()]


def test_unknown_keys_and_chunks_without_parts_are_tolerated() -> None:
    strange: list[Json] = [
        {},
        {"candidates": []},
        {"candidates": [{"content": {}}]},
        {"candidates": [{"content": None}], "new": 1},
    ]
    assert read(*strange, chunk({"text": "a", "thought": False}, finish="STOP")) == [
        TextDelta("a"),
        Finished(),
    ]


def test_sound_is_a_failure_that_says_so() -> None:
    error = failure(chunk({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AA=="}}))
    assert (error.code, "audio/L16" in error.message) == ("model_error", True)


def places(*chunks: Json) -> list[Any]:
    """What was said, and the state, without the model."""
    said: list[Any] = []
    for delta in read(*chunks):
        if isinstance(delta, (TextDelta, ReasoningDelta, ToolCallDelta)):
            said.append(delta.text)
        elif isinstance(delta, ToolCallStarted):
            said.append(delta.name)
        elif isinstance(delta, ProviderState):
            assert isinstance(delta.payload, dict)
            said.append({key: value for key, value in delta.payload.items() if key != "model"})
        elif isinstance(delta, HostedItemEnded):
            said.append(delta.item["type"])
    return said


THOUGHT = {"text": "Hm.", "thought": True}
CALL = {"functionCall": {"name": "f"}}
STOP = chunk(finish="STOP")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([THOUGHT, {"text": "a"}], ["Hm.", {"on": "thought"}, "a"]),
        ([{**THOUGHT, "thoughtSignature": "s"}, {"text": "a"}], ["Hm.", {"on": "thought", "signature": "s"}, "a"]),
        ([THOUGHT, {**CALL, "thoughtSignature": "s"}], ["Hm.", {"on": "next", "signature": "s"}, "f", "{}"]),
        ([{**CALL, "thoughtSignature": "s"}, CALL], [{"on": "next", "signature": "s"}, "f", "{}", "f", "{}"]),
        ([{"text": "a", "thoughtSignature": "s"}], ["a", {"on": "previous", "signature": "s"}]),
        ([{"text": "a"}, {"text": "", "thoughtSignature": "s"}],
         ["a", {"on": "here", "parts": [{"text": "", "thoughtSignature": "s"}]}]),
        ([{"text": "a"}, {"thoughtSignature": "s"}],
         ["a", {"on": "here", "parts": [{"thoughtSignature": "s", "text": ""}]}]),
        ([CALL, {"text": "", "thoughtSignature": "s"}],
         ["f", "{}", {"on": "here", "parts": [{"text": "", "thoughtSignature": "s"}]}]),
        ([{"text": "a", "thoughtSignature": "s"}, {"text": "b", "thoughtSignature": "t"}],
         ["a", {"on": "previous", "signature": "s"}, "b", {"on": "previous", "signature": "t"}]),
        ([{"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "s"}],
         ["image_generation_call", {"on": "previous", "signature": "s"}]),
    ],
)  # fmt: skip
def test_state_says_where_it_was(parts: list[Json], expected: list[Any]) -> None:
    assert places(chunk(*parts), STOP) == expected
    assert places(*(chunk(part) for part in parts), STOP) == expected


def test_no_state_follows_an_item_that_was_cut() -> None:
    assert places(chunk({"text": "a", "thoughtSignature": "s"}, finish="MAX_TOKENS")) == ["a"]


def test_state_ends_its_item() -> None:
    deltas = read(chunk({**CALL, "thoughtSignature": "s"}), STOP)
    assert [type(delta) for delta in deltas[:3]] == [ProviderState, ItemEnd, ToolCallStarted]


def test_a_call_cut_by_the_limit_stays_open() -> None:
    pieces = {"partialArgs": [{"jsonPath": "$.a", "stringValue": "b"}], "willContinue": True}
    begun = chunk({"functionCall": {"name": "f", "willContinue": True}})
    deltas = read(begun, chunk({"functionCall": pieces}, finish="MAX_TOKENS"))
    assert [type(delta) for delta in deltas] == [ToolCallStarted, ToolCallDelta, Finished]


@pytest.mark.parametrize("signed", [{}, {"thoughtSignature": "s"}], ids=["plain", "signed"])
def test_arguments_of_no_tool_are_an_error(signed: Json) -> None:
    deltas = read(chunk({"functionCall": {"args": {"x": 1}}, **signed}), STOP)
    assert any(isinstance(each, Failed) for each in deltas)


def test_calls_bear_the_providers_id_or_none() -> None:
    deltas = read(chunk({"functionCall": {"name": "f", "id": "x"}}, CALL), STOP)
    assert [delta.call_id for delta in deltas if isinstance(delta, ToolCallStarted)] == ["x", None]


def test_citations_without_matching_offsets_are_found_by_their_text() -> None:
    supports = [
        {"segment": {"startIndex": 900, "endIndex": 905, "text": "wörld"}, "groundingChunkIndices": [0, 7]},
        {"segment": {"partIndex": 1, "startIndex": 0, "endIndex": 5}, "groundingChunkIndices": [0]},
    ]
    metadata = {"groundingChunks": [{"web": {"uri": "https://x.org"}}], "groundingSupports": supports}
    deltas = read(chunk({"text": "Hé, "}, {"text": "wörld"}, finish="STOP", groundingMetadata=metadata))
    spans = [
        (d.annotation["start_index"], d.annotation["end_index"]) for d in deltas if isinstance(d, Annotation)
    ]
    assert spans == [(4, 9), (4, 8)], "bytes count from the beginning of their part"


def test_files_that_an_answer_rests_on() -> None:
    found = {"text": "Paris.", "fileSearchStore": "fileSearchStores/s", "title": "a.txt"}
    metadata = {"groundingChunks": [{"retrievedContext": found}],
                "groundingSupports": [{"segment": {"endIndex": 5}, "groundingChunkIndices": [0]}]}  # fmt: skip
    deltas = read(chunk({"text": "Paris"}), chunk(finish="STOP", groundingMetadata=metadata))
    [annotation] = [delta.annotation for delta in deltas if isinstance(delta, Annotation)]
    assert annotation == {
        "type": "file_citation",
        "file_id": "fileSearchStores/s",
        "filename": "a.txt",
        "index": 5,
    }
    [item] = [delta.item for delta in deltas if isinstance(delta, HostedItemEnded)]
    assert item["results"] == [{"file_id": "fileSearchStores/s", "filename": "a.txt", "text": "Paris."}]


def test_logprobs() -> None:
    chosen = {"chosenCandidates": [{"token": "ä", "logProbability": -0.5}],
              "topCandidates": [{"candidates": [{"token": "ä", "logProbability": -0.5}, {"token": "b"}]}]}  # fmt: skip
    [text, _] = read(chunk({"text": "ä"}, finish="STOP", logprobsResult=chosen))
    assert isinstance(text, TextDelta) and text.logprobs is not None
    assert text.logprobs[0]["bytes"] == [195, 164]
    assert [top["token"] for top in text.logprobs[0]["top_logprobs"]] == ["ä", "b"]


def test_whole_answers_that_are_none() -> None:
    reader = ADAPTER.reader(turn_of())
    [failed] = reader.whole("garbage")
    assert isinstance(failed, Failed) and failed.error.code == "provider_invalid_response"
    [failed] = ADAPTER.reader(turn_of()).whole([{"error": {"code": 429, "message": "Slow down."}}])
    assert isinstance(failed, Failed) and failed.error.code == "rate_limit_exceeded"


def test_what_was_read_can_be_sent_again() -> None:
    """Reading an answer of every kind of part, and building the next turn, gives Gemini its parts back."""
    from openresponses.engine.assembler import Assembler

    code: list[Json] = [{"executableCode": {"code": "1", "id": "e", "language": "PYTHON"}, "thoughtSignature": "s1"},
            {"codeExecutionResult": {"id": "e", "outcome": "OUTCOME_OK", "output": "1"}}]  # fmt: skip
    parts: list[Json] = [
        THOUGHT, *code, *code, {"text": "One."}, {**THOUGHT, "thoughtSignature": "s2"},
        {"toolCall": {"toolType": "GOOGLE_MAPS", "id": "m"}, "thoughtSignature": "s3"},
        {"toolResponse": {"toolType": "GOOGLE_MAPS", "id": "m"}},
        {"text": "Two.", "thoughtSignature": "s4"},
        {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "s5"},
        {"functionCall": {"id": "b", "name": "f", "args": {}}},
    ]  # fmt: skip
    response: Json = {"id": "resp_" + "0" * 32, "output": [], "status": "queued", "usage": None}
    assembler = Assembler(response, provider="gemini", include=[], clock=lambda: 0.0)
    for delta in read(*(chunk(part) for part in parts), STOP):
        assembler.apply(delta)
    assembler.end()
    again = body([user("Hi"), *assembler.output, output("b"), output("a")], options=GEMINI_3)
    assert again["contents"][1] == {"role": "model", "parts": parts}


# --------------------------------------------------------------------------- errors


def error_body(status: str, message: str = "No.", **detail: Any) -> bytes:
    return json.dumps(
        {"error": {"status": status, "message": message, "details": [detail] if detail else []}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "reply", "code", "retry_after"),
    [
        (400, error_body("INVALID_ARGUMENT", reason="API_KEY_INVALID"), "provider_authentication_failed", None),
        (403, error_body("PERMISSION_DENIED"), "provider_authentication_failed", None),
        (401, error_body("UNAUTHENTICATED"), "provider_authentication_failed", None),
        (404, error_body("NOT_FOUND"), "model_not_found", None),
        (429, error_body("RESOURCE_EXHAUSTED", retryDelay="48s"), "rate_limit_exceeded", 48.0),
        (429, error_body("RESOURCE_EXHAUSTED", "Please retry in 1.5s."), "rate_limit_exceeded", 1.5),
        (429, error_body("RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "insufficient_quota", None),
        (400, error_body("INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens (8)."),
         "context_length_exceeded", None),
        (400, error_body("INVALID_ARGUMENT"), "invalid_value", None),
        (503, error_body("UNAVAILABLE"), "server_is_overloaded", None),
        (500, error_body("INTERNAL"), "provider_error", None),
        (504, error_body("DEADLINE_EXCEEDED"), "provider_timeout", None),
        (429, b"[" + error_body("RESOURCE_EXHAUSTED", retryDelay="0.5s") + b"]", "rate_limit_exceeded", 0.5),
        (502, b"<html>Bad gateway</html>", "provider_unavailable", None),
        (400, b"[]", "invalid_value", None),
        (400, b'{"error":"text"}', "invalid_value", None),
        (429, error_body("RESOURCE_EXHAUSTED", retryDelay="1.2.3s"), "rate_limit_exceeded", None),
    ],
)  # fmt: skip
def test_errors(status: int, reply: bytes, code: str, retry_after: float | None) -> None:
    error = ADAPTER.explain(status, reply)
    assert (error.code, error.retry_after) == (code, retry_after)


@pytest.mark.parametrize(
    "secret",
    [
        "projects/1234567",
        "project_number:1234567",
        "project=my-proj-12",
        "project 1234567",
        "AIzaSyD0123456789abcdef",
    ],
)
def test_errors_name_no_project_and_no_key(secret: str) -> None:
    error = ADAPTER.explain(403, error_body("PERMISSION_DENIED", f"API of {secret} is disabled."))
    assert (
        secret not in error.message
        and "[redacted]" in error.message
        and error.message.endswith("is disabled.")
    )
