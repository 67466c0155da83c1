"""`openresponses serve` as a person starts it: a process, a port, a folder, an environment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.canaries import CANARIES

START_SECONDS = 20.0
Serve = Callable[..., "Process"]


class Process:
    """A gateway that was started; `url` and `said` once it can be reached."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        # a gateway that says nothing must not hang the test
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        self.said = [process.stdout.readline().rstrip("\n")]
        while self.said[-1] and not self.said[-1].startswith("Try: "):
            self.said.append(process.stdout.readline().rstrip("\n"))
        watchdog.cancel()
        self.url = self.said[0].rpartition(" ")[2]

    def ask(self, **body: Any) -> httpx.Response:
        CANARIES.remember(json.dumps(body).encode())
        return httpx.post(f"{self.url}/v1/responses", json=body, timeout=10)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        code = self.process.wait(START_SECONDS)
        assert self.process.stdout
        CANARIES.check_log(self.process.stdout.read(), "what the server printed")
        return code


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "openresponses", *arguments]


def environ(home: Path, **variables: str) -> dict[str, str]:
    """A person's environment with nothing of ours in it."""
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ
    }
    return {**kept, "HOME": str(home), **variables}


def failed(home: Path, *arguments: str, **variables: str) -> str:
    """What a command that cannot work says: one line, exit code 2."""
    done = subprocess.run(
        command("serve", *arguments),
        cwd=home,
        env=environ(home, **variables),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("openresponses: "), done.stderr
    assert not done.stdout
    return done.stderr


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Process] = []

    def start(*arguments: str, **variables: str) -> Process:
        process = subprocess.Popen(
            command("serve", "--port", "0", *arguments),
            cwd=tmp_path,
            env=environ(tmp_path, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(Process(process))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        assert each.process.stdout
        each.process.stdout.close()


def test_first_answer_without_a_key(serve: Serve) -> None:
    gateway = serve("--store", ":memory:")
    assert gateway.said[0].startswith("OpenResponses ")
    assert "OPENAI_API_KEY" in gateway.said[1] and "echo" in gateway.said[1]
    assert f"{gateway.url}/v1/responses" in gateway.said[-1]
    answer = gateway.ask(model="echo", input="Hello")
    assert answer.status_code == 200 and answer.json()["status"] == "completed"
    refused = gateway.ask(model="claude-opus-4-6", input="Hello").json()["error"]
    assert refused["code"] == "provider_not_configured" and "ANTHROPIC_API_KEY" in refused["message"]


def test_the_curl_that_it_prints_works(serve: Serve) -> None:
    line = serve("--store", ":memory:").said[-1].removeprefix("Try: ")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=START_SECONDS)
    assert '"status":"completed"' in done.stdout, done.stderr


def test_keys_come_from_the_environment_before_dotenv(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GROQ_API_KEY=of-the-file\nXAI_API_KEY=\nMISTRAL_API_KEY=of-the-file\n")
    gateway = serve("--store", ":memory:", GROQ_API_KEY="", OPENAI_API_KEY="of-the-environment")
    assert gateway.said[1].startswith("Providers with a key: openai, groq, mistral;")


def test_history_outlives_the_process(serve: Serve, tmp_path: Path) -> None:
    first = serve()
    kept = first.ask(model="echo", input="Hello").json()
    assert first.stop() == 0
    second = serve()
    assert httpx.get(f"{second.url}/v1/responses/{kept['id']}").json() == kept
    assert not list(Path.cwd().glob("*.db")) and list(tmp_path.rglob("history.db"))


def test_what_it_sealed_can_be_read_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    first = serve("--store", "kept.db")
    assert not (tmp_path / "kept.db.key").exists(), "a key nobody needs yet"
    body = {"model": "echo", "input": "Hello"}
    compacted = httpx.post(f"{first.url}/v1/responses/compact", json=body, timeout=10).json()["output"]
    assert (tmp_path / "kept.db.key").stat().st_mode & 0o777 == 0o600
    assert first.stop() == 0
    assert serve("--store", "kept.db").ask(model="echo", input=compacted).status_code == 200
    assert serve("--store", ":memory:").ask(model="echo", input=compacted).status_code == 400


def test_a_stop_ends_it_while_a_client_is_connected(serve: Serve) -> None:
    gateway = serve("--store", ":memory:")
    with httpx.Client() as client:
        assert client.get(f"{gateway.url}/healthz").status_code == 200
        begun = time.monotonic()
        assert gateway.stop(signal.SIGTERM) in (0, -signal.SIGTERM)
        assert time.monotonic() - begun < 8


def test_a_listener_beyond_the_machine_is_warned_of(serve: Serve) -> None:
    said = serve("--store", ":memory:", "--host", "0.0.0.0").said
    assert "no authentication" in said[1] and "OPENRESPONSES_REQUIRE_KEYS=1" in said[1]
    assert "listens at 0.0.0.0" in said[0]
    assert not any("http://0.0.0.0" in line for line in said), "no client can open that everywhere"


def test_a_turn_that_failed_is_seen_in_the_log(serve: Serve) -> None:
    """Without any setting: an operator reads why, and by which id."""
    gateway = serve("--store", ":memory:", GROQ_API_KEY="x", GROQ_BASE_URL="http://127.0.0.1:1")
    assert gateway.ask(model="echo", input="Hello").status_code == 200
    refused = gateway.ask(model="groq/any", input="Hello")
    assert refused.json()["error"]["code"] == "provider_unavailable"
    gateway.process.send_signal(signal.SIGINT)
    told, _ = gateway.process.communicate(timeout=START_SECONDS)
    (line,) = [line for line in told.splitlines() if "turn ended" in line]
    assert " WARNING " in line and "provider=groq" in line and "reason=provider_unavailable" in line
    assert refused.headers["x-request-id"] in line


def test_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in failed(tmp_path, "--port", str(port))


BAD = """[[route]]
match = "x*"
provider = "nowhere"
"""


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([], {"OPENRESPONSES_IDLE_TIMEOUT": "soon"}, "OPENRESPONSES_IDLE_TIMEOUT must be a number above 0"),
        ([], {"OPENRESPONSES_CONFIG": "missing.toml"}, "cannot read missing.toml"),
        ([], {"OPENRESPONSES_CONFIG": "bad.toml"}, "bad.toml: [[route]] number 1: provider"),
        (["--store", ":memory:"], {"OPENRESPONSES_REQUIRE_KEYS": "1"}, "OPENRESPONSES_REQUIRE_KEYS"),
        (["--store", "bad.toml/history.db"], {}, "choose a file with --store"),
        (["--host", "no.such.host.invalid"], {}, "give an address with --host"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    (tmp_path / "bad.toml").write_text(BAD)
    assert words in failed(tmp_path, "--port", "0", *arguments, **variables)


@pytest.mark.parametrize("arguments", [["serve", "--port", "x"], ["serve", "--port", "70000"], ["sing"]])
def test_wrong_arguments(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        command(*arguments), env=environ(tmp_path), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2 and done.stderr.startswith("openresponses: ")
    assert done.stderr.count("\n") == 1 and "--help" in done.stderr and not done.stdout
