"""`ask`, `models`, `explain` and `responses`: within the command, and of a gateway at an address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, Server
from tests.support.speech import says

from .conftest import Run

NOBODY = "http://127.0.0.1:9"
CITY = {"city": {"type": "string"}}
SCHEMA = {"type": "object", "properties": CITY, "required": ["city"], "additionalProperties": False}


def test_an_answer_without_server_and_key(run: Run) -> None:
    said = run("ask", "Hello", "there", "--model", "echo")
    assert (said.code, said.out, said.err) == (0, "You said: Hello there\n", "")


def test_standard_input_is_context_or_the_question(run: Run) -> None:
    assert run("ask", stdin="Hello\n").out == "You said: Hello\n"
    assert run("ask", "Sum up:", stdin="a long text").out == "You said: Sum up:\n\na long text\n"
    assert "UTF-8" in run("ask", stdin=b"\xff\xfe").err


def test_it_remembers(run: Run) -> None:
    first = json.loads(run("ask", "My name is Alice.", "--json").out)
    for way in (["--continue"], ["--previous", first["id"]]):
        assert "My name is Alice." in run("ask", "What is my name?", *way).out
    shown = json.loads(run("responses", "show", first["id"]).out)
    assert shown["response"]["id"] == first["id"] and shown["input"]
    assert first["id"] in run("responses", "list").out
    assert run("responses", "delete", first["id"]).out == "Deleted.\n"
    gone = run("ask", "And now?", "--previous", first["id"])
    assert gone.code == 1 and "not found" in gone.err and gone.err.count("\n") == 1


def test_an_answer_that_was_not_stored_says_so(run: Run, gateway: Gateway, server: Server) -> None:
    server.fail_store = True
    try:
        said = run("ask", "Hello", "--url", gateway.base_url)
    finally:
        server.fail_store = False
    assert (said.code, said.out) == (0, "You said: Hello\n")
    assert "not stored" in said.err and "doctor" in said.err and said.err.count("\n") == 1


def test_raw_prints_the_events(run: Run) -> None:
    events = [json.loads(line) for line in run("ask", "Hi", "--raw").out.splitlines()]
    assert events[0]["type"] == "response.created" and events[-1]["type"] == "response.completed"


def test_a_schema_is_answered_with_json_alone(run: Run, home: Path) -> None:
    (home / "place.json").write_text(json.dumps(SCHEMA))
    assert isinstance(json.loads(run("ask", "Where?", "--json-schema", "place.json").out)["city"], str)


def test_images_and_files_are_sent(run: Run, home: Path, gateway: Gateway) -> None:
    (home / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (home / "a.pdf").write_bytes(b"%PDF-1.4")
    scenario = gateway.scenario(says("openai", "A dot."))
    said = run(
        "ask",
        "What?",
        "--image",
        "a.png",
        "--file",
        "a.pdf",
        "-m",
        "openai/gpt-5.4",
        "--url",
        gateway.base_url,
    )
    assert said.out == "A dot.\n"
    (message,) = json.loads(scenario.requests[0].body)["input"]
    assert [part["type"] for part in message["content"]] == ["input_image", "input_file", "input_text"]
    assert message["content"][1]["filename"] == "a.pdf"


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "way", [[], ["--json"], pytest.param(["--no-stream"], marks=SLOW), pytest.param(["--raw"], marks=SLOW)]
)
def test_a_failure_is_one_line(run: Run, way: list[str]) -> None:
    for arguments, words in (
        (["ask", "Hi", "--model", "claude-opus-4-6"], "set ANTHROPIC_API_KEY"),
        (["ask", "Hi", "--model", "no-such-model"], "openresponses models"),
        (["ask", "/error rate_limit"], "Rate limit"),
        (["ask", "Hi", "--url", NOBODY], "openresponses serve"),
    ):
        said = run(*arguments, *way)
        assert said.code == 1 and words in said.err and said.err.count("\n") == 1, said
    broken = run("ask", "/error stream\nHi", *way)
    assert broken.code == 1 and "openresponses: " in broken.err and "Traceback" not in broken.err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stream_that_fails_is_closed(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Else the event loop closes it at its end, and complains with a traceback."""
    assert run("ask", "/error stream").code == 1
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_what_is_incomplete_is_told(run: Run) -> None:
    said = run("ask", "/incomplete\nHi")
    assert said.code == 0 and "incomplete: max_output_tokens" in said.err


def test_text_for_a_pipe_is_whole_and_reasoning_is_not_in_it(run: Run) -> None:
    assert run("ask", "/reason Hm\nHi \x1b[31mred").out == "You said: Hi \x1b[31mred\n"


@pytest.mark.parametrize(
    "arguments",
    [["ask", "Hi"], ["models"], ["responses", "show", "resp_1"], ["responses", "delete", "resp_1"]],
)
def test_a_gateway_that_is_not_there_or_wants_a_key(run: Run, keyed: str, arguments: list[str]) -> None:
    dead = run(*arguments, "--url", NOBODY)
    assert dead.code == 1 and dead.err.count("\n") == 1 and "openresponses serve" in dead.err
    keyless = run(*arguments, "--url", keyed)
    assert keyless.code == 1 and keyless.err.count("\n") == 1 and "--key" in keyless.err


def test_a_gateway_at_an_address(run: Run, keyed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENRESPONSES_URL", keyed)
    monkeypatch.setenv("OPENRESPONSES_API_KEY", "right")
    answer = json.loads(run("ask", "Hi", "--json").out)
    assert "What" in run("ask", "What?", "--continue").out
    shown = json.loads(run("responses", "show", answer["id"]).out)
    assert shown["response"]["id"] == answer["id"] and shown["input"][0]["content"][0]["text"] == "Hi"
    assert run("responses", "delete", answer["id"]).out == "Deleted.\n"
    assert run("responses", "show", answer["id"]).code == 1
    assert "echo" in run("models").out
    assert run("responses", "list", "--store", "missing.db").code == 2


@pytest.fixture(scope="module")
def keyed() -> Any:
    from openresponses.engine.caller import Caller
    from openresponses.protocol.errors import ApiError

    async def authenticate(connection: Any) -> Caller:
        if connection.headers.get("authorization") != "Bearer right":
            raise ApiError("invalid_api_key", "This API key is not known.")
        return Caller("acme")

    server = Server({}, authenticate=authenticate).start()
    yield server.url
    server.stop()


@SLOW
def test_doctor_looks_at_a_gateway_at_an_address(run: Run, keyed: str) -> None:
    said = run("doctor", "--url", keyed, "--key", "right", "--json")
    found = {finding["what"]: finding for finding in json.loads(said.out)["findings"]}
    for what in ("gateway", "without a key", "key", "streaming"):
        assert found[what]["status"] == "ok", found[what]
    wrong = run("doctor", "--url", keyed, "--key", "wrong")
    assert wrong.code == 1 and "keys create" in wrong.out
    assert "--key" in run("doctor", "--url", keyed).out


# --------------------------------------------------------------------------- models, explain


def test_models_say_what_is_missing(run: Run, home: Path) -> None:
    (home / ".env").write_text("GROQ_API_KEY=x\n")
    rows = {line.split()[0]: line.rstrip() for line in run("models").out.splitlines()}
    assert rows["echo"].endswith("yes") and "set ANTHROPIC_API_KEY" in rows["anthropic/…"]
    assert "groq/…" not in rows or "yes" in rows["groq/…"]
    assert json.loads(run("models", "--json").out)["object"] == "list"


def test_explain(run: Run, home: Path) -> None:
    (home / "request.json").write_text(
        '{"input": "Hi", "temperature": 0.5, "presence_penalty": 1, "seed": 1}'
    )
    said = run("explain", "request.json", "--model", "gemini-3.5-flash")
    assert said.code == 0 and "POST https://generativelanguage.googleapis.com/" in said.out
    assert "x-goog-api-key: $GEMINI_API_KEY" in said.out
    assert "x-openresponses-ignored: presence_penalty" in said.out
    words = {line.split()[0]: line.split()[1:] for line in said.out.splitlines() if line.strip()}
    assert (
        words["temperature"] == ["mapped", "generationConfig.temperature"] and words["seed"][0] == "unknown"
    )
    refused = run("explain", "-", "--json", stdin='{"model": "groq/x", "input": "Hi", "temperature": "hot"}')
    assert refused.code == 1 and json.loads(refused.out)["error"]["param"] == "temperature"
    assert not run("explain", "-", stdin='{"model": "echo", "input": "Hi"}').err
