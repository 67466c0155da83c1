"""What the wire cases of Ollama leave out: options of the model table, provider state, odd answers and errors."""

from __future__ import annotations

from typing import Any

import pytest
from openresponses.adapters.ollama import OllamaAdapter
from openresponses.protocol.errors import ApiError

from .turns import call, function, make_turn, message, output, reasoning, told, user

ADAPTER = OllamaAdapter()


@pytest.mark.parametrize(
    ("ability", "effort", "think", "ignored"),
    [
        ("levels", "minimal", "low", []),
        ("levels", "xhigh", "high", []),
        ("levels", "none", False, []),
        ("switch", "low", True, []),
        ("switch", "none", False, []),
        ("none", "high", None, ["reasoning.effort"]),
        (None, "high", None, ["reasoning.effort"]),
        (None, "none", False, []),
    ],
)
def test_effort(ability: str | None, effort: str, think: Any, ignored: list[str]) -> None:
    request = ADAPTER.build(
        make_turn(options={"think": ability} if ability else {}, reasoning={"effort": effort})
    )
    assert request.body.get("think") == think
    assert request.ignored == ignored


def test_options_of_the_table_and_of_the_client() -> None:
    options = {"num_ctx": 32768, "keep_alive": "10m", "options": {"top_k": 5, "temperature": 1}}
    body = ADAPTER.build(make_turn(options=options, temperature=0, max_output_tokens=9)).body
    assert body["options"] == {"top_k": 5, "temperature": 0, "num_ctx": 32768, "num_predict": 9}
    assert body["keep_alive"] == "10m"


def test_knobs_without_a_place_are_named() -> None:
    turn = make_turn(
        reasoning={"summary": "auto"}, text={"verbosity": "low"}, service_tier="flex", prompt_cache_key="k",
        safety_identifier="s", tools=[function(strict=True)],
    )  # fmt: skip
    assert set(ADAPTER.build(turn).ignored) == {
        "reasoning.summary", "text.verbosity", "service_tier", "prompt_cache_key", "safety_identifier",
        "tools[0].strict",
    }  # fmt: skip


def test_logprobs_are_asked_for_and_read() -> None:
    turn = make_turn(top_logprobs=2)
    body = ADAPTER.build(turn).body
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    line = {"message": {"content": "é"}, "logprobs": [{"token": "é", "logprob": -1.0}]}
    [_, text] = ADAPTER.reader(turn).frame("", line)
    assert text.logprobs == [{"token": "é", "logprob": -1.0, "bytes": [195, 169], "top_logprobs": []}]  # type: ignore[union-attr]


def test_its_thoughts_go_back_in_their_place_and_no_others() -> None:
    history = [
        user("?"), reasoning({"thinking": "Look it up."}), call("c1"), output("c1"),
        reasoning({"thinking": "foreign"}, provider="q"), message("assistant", "Done."), user("And?"),
    ]  # fmt: skip
    messages = ADAPTER.build(make_turn(history)).body["messages"]
    assert [m.get("thinking") for m in messages] == [None, "Look it up.", None, None, None]
    assert messages[1]["tool_calls"] == [{"id": "c1", "function": {"name": "look", "arguments": {}}}]


def test_thoughts_are_kept_as_state_before_what_they_led_to() -> None:
    reader = ADAPTER.reader(make_turn())
    lines: list[dict[str, Any]] = [
        {"message": {"thinking": "a"}},
        {"message": {"thinking": "b", "tool_calls": [{"function": {"name": "look", "arguments": None}}]}},
        {"message": {}, "done": True, "done_reason": "stop"},
    ]
    assert told(delta for line in lines for delta in reader.frame("", line)) == [
        ("reasoning", "ab"),
        ("state", {"thinking": "ab"}),
        ("call", "look", None, "function", "{}", True),
        ("usage", 0, 0, 0, 0),
        ("finished", None),
    ]


def test_arguments_keep_their_order_and_their_numbers() -> None:
    arguments = '{"b":1.0,"a":{"z":-0.5,"y":[1,2e3]},"ü":"\\u2028"}'
    [asked] = ADAPTER.build(make_turn([user("?"), call("c1", arguments=arguments), output("c1")])).body[
        "messages"
    ][1]["tool_calls"]
    assert list(asked["function"]["arguments"]) == ["b", "a", "ü"]
    assert isinstance(asked["function"]["arguments"]["b"], float)
    line = {"message": {"tool_calls": [{"function": asked["function"]}]}}
    [(*_, text, _)] = told(ADAPTER.reader(make_turn()).frame("", line))
    assert text == '{"b":1.0,"a":{"z":-0.5,"y":[1,2000.0]},"ü":"\u2028"}'


@pytest.mark.parametrize(
    ("reason", "ours"),
    [("stop", None), ("length", "max_output_tokens"), ("load", None), (None, None), ("new", None)],
)
def test_done_reasons(reason: str | None, ours: str | None) -> None:
    line = {"message": {"content": "x"}, "done": True, "done_reason": reason}
    assert told(ADAPTER.reader(make_turn()).frame("", line))[-1] == ("finished", ours)


@pytest.mark.parametrize("body", [{"message": {"content": "x"}}, [], None, {"done": False}])
def test_a_whole_answer_without_an_end_failed(body: Any) -> None:
    assert told(ADAPTER.reader(make_turn()).whole(body)) == [("failed", "provider_invalid_response")]


def test_an_error_in_mid_answer() -> None:
    reader = ADAPTER.reader(make_turn())
    lines: list[dict[str, Any]] = [{"message": {"thinking": "a"}}, {"error": "an error was encountered"}]
    assert told(delta for line in lines for delta in reader.frame("", line))[-1] == (
        "failed",
        "provider_error",
    )


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image", "file_id": "file-1"}, "input[0].content[0].file_id"),
        ({"type": "input_image", "image_url": "data:image/png,abc"}, "input[0].content[0].image_url"),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "input[0].content[0].file_url"),
        ({"type": "input_file", "file_data": "data:application/pdf;base64,JVBE"}, "input[0].content[0]"),
        (
            {"type": "input_file", "filename": "a.md", "file_data": "not base64"},
            "input[0].content[0].file_data",
        ),
        ({"type": "input_file", "filename": "a.md"}, "input[0].content[0]"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "input[0].content[0]"),
        ({"type": "input_video", "video_url": "https://example.com/v"}, "input[0].content[0]"),
    ],
)
def test_parts_without_a_place_are_refused(part: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ADAPTER.build(make_turn([user(part)]))
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("arguments", ["[1]", "{", "null"])
def test_arguments_that_are_no_object_are_told_as_they_are(arguments: str) -> None:
    """A model made them, and was told so: its conversation goes on."""
    sent = ADAPTER.build(make_turn([user("?"), call("c1", arguments=arguments), output("c1")])).body
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"arguments": arguments}


def test_tools_are_left_out_for_none_and_stay_for_allowed() -> None:
    tools = [function("a"), function("b")]
    assert "tools" not in ADAPTER.build(make_turn(tools=tools, choice="none", allowed=[])).body
    assert len(ADAPTER.build(make_turn(tools=tools, allowed=["a"])).body["tools"]) == 2
    with pytest.raises(ApiError):
        ADAPTER.build(make_turn(tools=tools, choice="required"))


@pytest.mark.parametrize(
    ("kind", "choice", "param"),
    [
        ("web_search", "auto", None),
        ("mcp", "auto", "tools[0]"),
        ("web_search", {"type": "web_search"}, "tool_choice"),
    ],
)
def test_hosted_tools(kind: str, choice: Any, param: str | None) -> None:
    turn = make_turn(tools=[{"type": kind}], choice=choice)
    if param is None:
        assert ADAPTER.build(turn).ignored == ["tools[0]"]
        return
    with pytest.raises(ApiError) as caught:
        ADAPTER.build(turn)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, b'{"error":"model \'x\' not found"}', "model_not_found"),
        (400, b'{"error":"\\"m\\" does not support tools"}', "invalid_value"),
        (
            400,
            b'{"error":"prompt too long; exceeded max context length by 5 tokens"}',
            "context_length_exceeded",
        ),
        (401, b"unauthorized", "provider_authentication_failed"),
        (429, b'{"error":"too many concurrent requests"}', "rate_limit_exceeded"),
        (
            503,
            b'{"error":"server busy, please try again.  maximum pending requests exceeded"}',
            "server_is_overloaded",
        ),
        (500, b"", "provider_error"),
        (502, b"<html><body>Bad gateway</body></html>", "provider_unavailable"),
    ],
)
def test_errors(status: int, body: bytes, code: str) -> None:
    error = ADAPTER.explain(status, body)
    assert error.code == code
    assert "<" not in error.message
