"""The echo provider: what its commands act out, and that its instances satisfy the schemas they are made for."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import pytest
from openresponses.adapters.base import Turn
from openresponses.adapters.echo import COMMANDS, ERRORS, EchoAdapter
from openresponses.adapters.echo_schema import example
from openresponses.protocol.errors import ApiError

from .turns import call, function, make_turn, message, output, reasoning, told, user

ADAPTER = EchoAdapter()
WEATHER = function("get_weather")


def play(turn: Turn) -> list[Any]:
    reader = ADAPTER.reader(turn)
    return told(delta for _, frame in ADAPTER.answer(turn) for delta in reader.frame("", frame))


def said(*args: Any, **more: Any) -> str:
    return "".join(each[1] for each in play(make_turn(*args, **more)) if each[0] == "text")


def test_it_is_deterministic_and_keeps_every_character() -> None:
    text = "  two  spaces,\na line – and “quotes” "
    assert said(text) == said(text) == f"You said: {text.strip()}"


def test_it_remembers_what_was_said_and_thought() -> None:
    history = [
        user("I am Alice."),
        reasoning({"thought": "Polite."}),
        message("assistant", "Hello"),
        user("Who am I?"),
    ]
    assert said(history) == "You said: Who am I? I thought: “Polite.”. Earlier you said: “I am Alice.”."
    assert "Polite" not in said(history, provider="q")


@pytest.mark.parametrize("number", [0.0, 0.2, 99.0])
def test_slow(number: float) -> None:
    turn = make_turn(f"/slow {number}\none two")
    waits = [seconds for seconds, frame in ADAPTER.answer(turn) if "text" in frame]
    assert waits == [min(number, 10.0)] * 4


@pytest.mark.parametrize("kind", sorted(set(ERRORS) - {"stream"}))
def test_errors_before_the_answer(kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        play(make_turn(f"/error {kind}"))
    assert caught.value.code == ERRORS[kind][0]
    assert (caught.value.retry_after is not None) == (caught.value.status in (429, 503))


def test_an_error_within_the_answer() -> None:
    kinds = [each[0] for each in play(make_turn("/error stream\nHello there"))]
    assert kinds == ["text", "failed"]


@pytest.mark.parametrize("text", ["/error nonsense", "/long many", "/slow soon", "/tool unknown {}"])
def test_commands_that_cannot_be_followed(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        play(make_turn(text, tools=[WEATHER]))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("text", "reason"),
    [("/incomplete\na b c", "max_output_tokens"), ("/filter\na b c", "content_filter"), ("a b c", None)],
)
def test_endings(text: str, reason: str | None) -> None:
    assert play(make_turn(text))[-1] == ("finished", reason)


def test_long_and_its_limit() -> None:
    assert len(said("/long 500").split()) == 500
    *_, (_, _, made, _, _), end = play(make_turn("/long 500", max_output_tokens=20))
    assert (made, end) == (20, ("finished", "max_output_tokens"))


def test_cite() -> None:
    [(_, text), (_, cited), *_] = play(make_turn("/cite https://example.com/x\nIt is so."))
    assert (cited["url"], cited["start_index"], cited["end_index"]) == ("https://example.com/x", 0, len(text))


def test_image() -> None:
    assert said("/image") == "I see no image."


@pytest.mark.parametrize(
    ("text", "choice", "allowed", "called"),
    [
        ("What's the weather?", "auto", None, ["get_weather"]),
        ("What's the weather?", "none", [], []),
        ("What's the weather?", "auto", ["note"], []),
        ("Hello", "auto", None, []),
        ("Hello", "required", None, ["get_weather"]),
        ("Hello", "required", ["note"], ["note"]),
        ("Hello", {"type": "custom", "name": "note"}, ["note"], ["note"]),
        ("/tool note a\n/tool get_weather {}\n/tool note b", "auto", None, ["note", "get_weather", "note"]),
        ("/refuse\nWhat's the weather?", "auto", None, []),
    ],
)
def test_tools(text: str, choice: Any, allowed: Any, called: list[str]) -> None:
    turn = make_turn(
        text, tools=[WEATHER, {"type": "custom", "name": "note"}], choice=choice, allowed=allowed
    )
    assert [each[1] for each in play(turn) if each[0] == "call"] == called


def test_results_are_told_once_and_the_next_question_is_a_new_one() -> None:
    history = [user("/tool get_weather {}"), call("c", "get_weather"), output("c", "sunny")]
    assert said(history, tools=[WEATHER], choice="required") == "get_weather returned: sunny"
    history += [message("assistant", "It is sunny."), user("Thanks")]
    assert said(history, tools=[WEATHER]) == "You said: Thanks"


def test_a_tool_in_a_namespace() -> None:
    space = {"type": "namespace", "name": "files", "tools": [function("read_file")]}
    [asked, *_] = play(make_turn("/tool read_file {}", tools=[space]))
    assert asked[1] == "files/read_file"


def test_every_command_is_obeyed() -> None:
    """No command of the table is taken for text."""
    argument = {
        "/tool": "get_weather {}",
        "/slow": "0",
        "/long": "1",
        "/error": "stream",
        "/cite": "https://e.com",
    }
    for command in COMMANDS:
        told_back = said(f"{command} {argument.get(command, 'x')}\nHello", tools=[WEATHER])
        assert command not in told_back


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
        {"type": "array", "items": {"type": "string", "minLength": 4, "maxLength": 6}, "minItems": 2},
        {"type": ["string", "null"]},
        {"enum": [7, 8]},
        {"const": {"x": 1}},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1.5},
        {"type": "number", "exclusiveMaximum": 0},
        {"type": "integer", "minimum": 7, "multipleOf": 5},
        {"type": "integer", "maximum": -3},
        {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        {"oneOf": [{"type": "object", "required": ["k"], "properties": {"k": {"const": "v"}}}, {"type": "boolean"}]},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "boolean"}}, "required": []}]},
        {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "required": ["next"], "properties": {
            "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}}},
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 3, "items": {}},
        {"type": "string", "format": "date-time"},
        {},
    ],
)  # fmt: skip
def test_instances_satisfy_their_schemas(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(example(schema, "Is it cold in New York?"))
    text = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    jsonschema.Draft202012Validator(schema).validate(orjson.loads(said("Hello", text=text)))


def test_logprobs_where_they_are_asked_for() -> None:
    turn = make_turn("a", include=["message.output_text.logprobs"])
    frames = [frame for _, frame in ADAPTER.answer(turn) if "text" in frame]
    [delta] = ADAPTER.reader(turn).frame("", frames[0])
    assert delta.logprobs[0]["token"] == "You"  # type: ignore[union-attr, index]


def test_it_has_no_upstream_and_names_the_knobs_it_has_no_use_for() -> None:
    request = ADAPTER.build(make_turn(temperature=1.0, max_output_tokens=20))
    assert (request.path, request.body, request.ignored) == ("", {}, ["temperature"])
