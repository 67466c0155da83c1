"""`chat`, `ask` and `doctor` in a pseudo-terminal: a process, keys that are pressed, what the screen gets."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from .conftest import Run

Start = Callable[..., Any]
TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}
SECONDS = 20


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command on a terminal, in an empty home."""
    started: list[Any] = []

    def spawn(*arguments: str, **environ: str) -> Any:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        given = {**kept, "HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environ}
        started.append(
            pexpect.spawn(
                sys.executable,
                ["-m", "openresponses", *arguments],
                cwd=str(tmp_path),
                env=given,
                encoding="utf-8",
                timeout=SECONDS,
                dimensions=(40, 120),
            )
        )
        return started[-1]

    yield spawn
    for each in started:
        each.close(force=True)


def test_a_conversation(start: Start, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([TOOL]))
    chat = start("chat")
    chat.expect("1>")
    chat.sendline("My name is Alice.")
    chat.expect("You said: My name is Alice.")
    chat.expect("2>")
    chat.sendline("What is my name?")
    chat.expect("Earlier you said: “My name is Alice.”")
    chat.expect("3>")
    chat.sendline("//slow 0.5")  # Ctrl-C ends the answer, not the program
    chat.expect("Earlier ")
    chat.sendintr()
    chat.expect("Cancelled.")
    chat.expect("3>")
    chat.sendline("/tools tools.json")
    chat.expect("Tools: get_time")
    chat.sendline("What time is it?")
    chat.expect("→ get_time")
    chat.expect("result of get_time>")
    chat.sendline("09:41")
    chat.expect("get_time returned: 09:41")
    chat.expect("4>")
    chat.sendline("/fork 1")
    chat.expect("end of turn 1")
    chat.expect("2>")
    chat.sendline("//reason Hm")
    chat.expect(r"\x1b\[2mHm")  # dimmed
    chat.sendline("/save talk.md")
    chat.expect("Saved 2 turns")
    chat.expect("3>")
    chat.sendintr()
    chat.expect("leaves")
    chat.sendline("/quit")
    chat.expect(pexpect.EOF)
    assert chat.wait() == 0
    assert "My name is Alice." in (tmp_path / "talk.md").read_text()


@pytest.mark.slow
def test_a_conversation_on_a_dumb_terminal(start: Start) -> None:
    chat = start("chat", TERM="dumb")
    chat.expect("1>")
    chat.sendline("//reason Hm")
    chat.expect(r"\[thinking\] Hm")
    chat.expect("2>")
    chat.sendline("/nonsense")
    chat.expect("/help lists")
    chat.expect("2>")
    chat.sendintr()
    chat.expect("leaves")
    chat.sendline("Hello")
    chat.expect("You said: Hello")
    chat.expect("3>")
    chat.sendline("//slow 0.5")
    chat.expect("I ")
    chat.sendintr()
    chat.expect("Cancelled.")
    chat.sendeof()
    chat.expect(pexpect.EOF)
    assert chat.wait() == 0 and "\x1b[" not in chat.before


def ends_by_ctrl_c(process: Any) -> None:
    process.sendintr()
    process.expect(pexpect.EOF)
    assert process.wait() == 130 and "Traceback" not in process.before


@pytest.mark.slow
def test_an_answer_that_is_interrupted(start: Start) -> None:
    ask = start("ask", "/slow 0.5\none two three four five six seven")
    ask.expect("You ")
    ends_by_ctrl_c(ask)


@pytest.mark.slow
def test_what_a_model_says_cannot_steer_the_terminal(start: Start) -> None:
    ask = start("ask", "Hi \x1b]0;renamed\x07 \x1b[2J there", "--model", "echo")
    ask.expect(pexpect.EOF)
    said = ask.before[ask.before.index("You said") :]
    assert "\x1b]0" not in said and "\x1b[2J" not in said and "there" in said


def test_doctor(start: Start) -> None:
    doctor = start("doctor", GROQ_API_KEY="x", GROQ_BASE_URL="http://127.0.0.1:9")
    doctor.expect(pexpect.EOF)
    screen = doctor.before
    assert doctor.wait() == 1
    assert re.search(r"\x1b\[31mfail\s*\x1b\[0m.*groq", screen) and "check the network" in screen
    assert re.search(r"ok.*history\s+none yet", screen)


@pytest.mark.slow
def test_doctor_without_colour(start: Start) -> None:
    doctor = start("doctor", NO_COLOR="1")
    doctor.expect(pexpect.EOF)
    assert doctor.wait() == 0 and "\x1b[3" not in doctor.before
    assert "set ANTHROPIC_API_KEY" in doctor.before


@pytest.mark.slow
def test_a_question_is_left_by_ctrl_c(start: Start, tmp_path: Path) -> None:
    erase = start("tenants", "erase", "acme", "--store", "history.db")
    erase.expect("Type its name")
    ends_by_ctrl_c(erase)


@pytest.mark.slow
def test_nothing_is_cut_on_a_narrow_terminal(start: Start) -> None:
    models = start("models", COLUMNS="50")
    models.expect(pexpect.EOF)
    assert models.wait() == 0 and "…" not in models.before.replace("/…", "")


# --------------------------------------------------------------------------- without a terminal


def test_a_conversation_through_a_pipe(run: Run, home: Path) -> None:
    (home / "tools.json").write_text(json.dumps(TOOL))
    lines = ["My name is Alice.", "What is my name?", "/model", "/system Be brief.", "/fork", "/new",
             "/tools tools.json", "What time is it?", "09:41", "/save talk.json", "/quit", "never read"]  # fmt: skip
    said = run("chat", stdin="\n".join(lines))
    assert said.code == 0 and not said.err
    for words in (
        "Earlier you said: “My name is Alice.”",
        "Model: echo",
        "get_time returned: 09:41",
        "Saved 1 turn",
    ):
        assert words in said.out
    assert "never read" not in said.out
    (turn,) = json.loads((home / "talk.json").read_text())["turns"]
    assert turn["said"] == "What time is it?" and turn["response"]["instructions"] == "Be brief."


def test_a_wrong_line_does_not_end_the_conversation(run: Run) -> None:
    lines = ["/image", "/image missing.png", "/fork 7", "/tools missing.json", "/save /no/where", "/sing"]
    said = run("chat", stdin="\n".join([*lines, "Hello"]))
    assert said.code == 0 and "You said: Hello" in said.out
    for words in ("/image PATH", "missing.png", "/fork N", "missing.json", "/no/where", "there is no /sing"):
        assert words in said.out
