"""What is not this gateway at --url, and streams that are odd: one line that says what to do, never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.provider import SSE, Answer, Provider

from .conftest import Run

# What answers, and a word of what is then said of it. Each is somebody else's server, or something in between.
ANSWERS: dict[str, tuple[Answer, str]] = {
    "an error that is a text": (Answer(status=404, body=b'{"error": "model not found"}'), "HTTP 404"),
    "an error without a message": (Answer(status=400, body=b'{"error": {"param": 5}}'), "HTTP 400"),
    "something in between": (Answer(status=503, body=b'{"message": "Service Unavailable"}'), "HTTP 503"),
    "a list": (Answer(body=b"[1, 2]"), "is it this gateway"),
    "a page": (Answer(body=b"<html>"), "is it this gateway"),
    "another object": (Answer(body=b'{"data": [1], "object": "list"}'), "is it this gateway"),
    "events that are no objects": (Answer(content_type=SSE, body=b"data: [1]\n\n"), "is it this gateway"),
    "an event without its fields": (
        Answer(content_type=SSE, body=b'data: {"type": "response.output_text.delta"}\n\n'),
        "is it this gateway",
    ),
    "an error event without an error": (
        Answer(content_type=SSE, body=b'data: {"type": "error", "error": null}\n\n'),
        "is it this gateway",
    ),
}
COMMANDS = [
    ["ask", "Hi"],
    ["models"],
    ["explain", "request.json", "--model", "echo"],
    ["responses", "show", "resp_1"],
]


@pytest.fixture(scope="module")
def stranger() -> Iterator[Provider]:
    provider = Provider().start()
    yield provider
    provider.stop()


@pytest.mark.parametrize("what", ANSWERS)
def test_what_is_not_the_gateway_is_told_in_a_line(
    run: Run, home: Path, stranger: Provider, what: str
) -> None:
    (home / "request.json").write_text('{"input": "Hi"}')
    answer, words = ANSWERS[what]
    stranger.play(answer)
    for command in COMMANDS:
        said = run(*command, "--url", stranger.url)
        assert said.code == 1, (command, said)
        assert said.err.startswith("openresponses: ") and said.err.count("\n") == 1, (command, said.err)
        assert words in said.err or "is it this gateway" in said.err, (command, said.err)


@pytest.mark.parametrize(
    "url", ["http://", "http://127.0.0.1:99999", "http://h:x", "https://h/?q=1", "http://[::"]
)
def test_an_address_that_is_none(run: Run, url: str) -> None:
    said = run("ask", "Hi", "--url", url)
    assert said.code == 2 and "--url is an address like" in said.err and said.err.count("\n") == 1


def test_a_conversation_through_a_pipe_that_failed(run: Run) -> None:
    assert run("chat", "--url", "http://127.0.0.1:9", stdin="Hi\n").code == 1
    assert run("chat", stdin="/error server\n//error server\nHi\n").code == 1


@pytest.mark.parametrize("command", [["keys", "list"], ["keys", "export"], ["responses", "list"]])
def test_a_tenant_that_cannot_be(run: Run, command: list[str]) -> None:
    said = run(*command, "--tenant", "A B", "--store", "history.db")
    assert said.code == 2 and "--tenant" in said.err and not said.out


def test_a_provider_key_comes_through_a_pipe(run: Run, home: Path) -> None:
    said = run("secrets", "set", "HOUSE_API_KEY", "--store", "history.db", stdin="sk-piped\n")
    assert said.code == 0 and "HOUSE_API_KEY is set." in said.out and "sk-piped" not in said.out + said.err
    assert run("secrets", "list", "--store", "history.db").out == "HOUSE_API_KEY\n"
    nothing = run("secrets", "set", "HOUSE_API_KEY", "--store", "history.db")
    assert nothing.code == 2 and nothing.err == "openresponses: nothing was entered; nothing is changed\n"


STREAMS = {
    "a full disk": ("ask Hi", "</dev/null >/dev/full", 1, "No space left"),
    "no standard output": ("ask Hi", "</dev/null >&-", 0, ""),
    "no standard input": ("ask Hi", "<&-", 0, ""),
    "a terminal of few letters": ("ask naïve", "</dev/null", 0, ""),
    "bytes that are no text": ("ask $'a\\xff'", "</dev/null", 2, "UTF-8"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", STREAMS)
def test_standard_streams_in_trouble(home: Path, what: str) -> None:
    arguments, streams, code, words = STREAMS[what]
    done = subprocess.run(
        ["bash", "-c", f'"$0" -m openresponses {arguments} {streams}', sys.executable],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == code and "Traceback" not in done.stderr, done
    assert words in done.stderr and done.stderr.count("\n") == bool(words)


# --------------------------------------------------------------------------- the next step

FAILURES: dict[str, tuple[Answer, str]] = {
    "a key that is refused": (
        Answer(status=401, body=b'{"error": {"message": "Wrong key"}}'),
        "openresponses doctor",
    ),
    "a provider that fails": (
        Answer(status=500, body=b'{"error": {"message": "Oh no"}}'),
        "openresponses doctor",
    ),
    "an account that is used up": (
        Answer(status=429, body=b'{"error": {"message": "Spent", "code": "insufficient_quota"}}'),
        "billing page",
    ),
    "a provider that breaks off": (
        Answer(body=b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'),
        "--model asks another",
    ),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_a_provider_says_is_followed_by_the_next_step(
    run: Run, stranger: Provider, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    answer, step = FAILURES[what]
    monkeypatch.setenv("GROQ_API_KEY", "x")
    monkeypatch.setenv("GROQ_BASE_URL", stranger.url)
    monkeypatch.setenv("OPENRESPONSES_MAX_RETRIES", "0")
    stranger.play(answer)
    for streaming in ([], ["--no-stream"], ["--raw"]):
        said = run("ask", "Hi", "--model", "groq/llama-3.3-70b-versatile", *streaming)
        assert said.code == 1 and said.err.count("\n") == 1
        assert step in said.err.partition(". ")[2], said.err


def test_a_region_that_is_missing(run: Run) -> None:
    said = run("keys", "list", "--tenant", "acme")
    assert said.code == 2 and "--region" in said.err and "--store" in said.err


def test_the_checkouts_own_samconfig_is_no_stack(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names a stack, but no region: nothing has been deployed, and the local history is meant."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "none"))
    (home / "samconfig.toml").write_text('[default.global.parameters]\nstack_name = "openresponses"\n')
    asked = json.loads(run("ask", "Hi", "--json").out)
    assert asked["id"] in run("responses", "list").out
    with (home / "samconfig.toml").open("a") as file:
        file.write('[default.deploy.parameters]\nregion = "eu-north-1"\nprofile = "nobody"\n')
    deployed = run("responses", "list")
    assert deployed.code == 2 and "nobody" in deployed.err


# --------------------------------------------------------------------------- doctor


def test_doctor_knows_a_setting_that_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENRESPONSES_LOG_LEVLE", "DEBUG")
    monkeypatch.setenv("OPENRESPONSES_MODEL", "echo")
    said = run("doctor")
    assert (
        "OPENRESPONSES_LOG_LEVLE is not a setting" in said.out
        and "did you mean OPENRESPONSES_LOG_LEVEL" in said.out
    )
    assert "OPENRESPONSES_MODEL is not" not in said.out and said.code == 0


@pytest.mark.parametrize(("free", "status"), [(0, "fail"), (100_000_000, "warn"), (10**12, "ok")])
def test_doctor_looks_at_the_room_on_the_disk(
    run: Run, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    run("ask", "Hi")  # makes the history
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))
    found = {one["what"]: one for one in json.loads(run("doctor", "--json").out)["findings"]}
    assert found["history"]["status"] == status
    assert ("make room" in found["history"]["next"]) is (status != "ok")
