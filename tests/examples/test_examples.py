"""Every file of examples/ runs as its first comment says, against the echo provider."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ..docs.sessions import serving

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
JS = ROOT / "tests/clients/js/node_modules"
CODEX = JS / ".bin/codex"
LANGCHAIN = ROOT / ".venv-clients/bin/python"
REMEMBERED = "You said: What is my name? Earlier you said: “My name is Alice.”."
WEATHER = "get_weather returned: Oslo: sunny, 21 °C"

# What each program prints, at its end. Those with heavy clients are slow; `make examples` runs them all.
IN_PROCESS = {
    "openai_python.py": f"You said: My name is Alice.\n{REMEMBERED}\nPerson(name='name', age=0)\n",
    "tool_loop.py": f'get_weather({{"city":"Oslo"}})\n{WEATHER}\n',
    "background.py": "completed You said: Hello from far away.\nYou said: Hello again.\ncancelled\n",
    "websocket_session.py": f"You said: My name is Alice.\n{REMEMBERED}\n",
}
BY_NODE = {
    "openai_javascript.mjs": f"You said: My name is Alice.\n{REMEMBERED}\n",
    "ai_sdk.mjs": f"{WEATHER}\n",
}
OTHERS = {"agents_sdk.py", "curl.sh", "codex.toml", "langchain_python.py", "lambda_tool"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("home")) as (url, _):
        yield url


def run(command: list[str], folder: Path, url: str, **environ: str) -> str:
    """What a program prints. Its home is `folder`."""
    told = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "OPENRESPONSES_URL": url, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_every_example_is_run_and_says_how() -> None:
    found = {path.name for path in EXAMPLES.iterdir() if path.name not in ("README.md", "__pycache__")}
    assert found == {*IN_PROCESS, *BY_NODE, *OTHERS}
    for path in EXAMPLES.rglob("*.*"):
        if path.suffix in (".py", ".mjs", ".sh", ".toml"):
            beginning = path.read_text()[:600]
            assert re.search(r"make run|See app.py|app\.py", beginning), path
    index = (EXAMPLES / "README.md").read_text()
    assert all(f"]({name}" in index for name in found)


@pytest.mark.parametrize("name", IN_PROCESS)
def test_python(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENRESPONSES_URL", url)
    monkeypatch.delenv("MODEL", raising=False)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out == IN_PROCESS[name]


def test_curl(url: str, tmp_path: Path) -> None:
    told = run(["sh", str(EXAMPLES / "curl.sh")], tmp_path, url)
    assert told.endswith("data: [DONE]\n\n") and REMEMBERED in told


@pytest.mark.slow
def test_agents(url: str, tmp_path: Path) -> None:
    assert run([sys.executable, str(EXAMPLES / "agents_sdk.py")], tmp_path, url) == f"{WEATHER}\n"


@pytest.mark.slow
@pytest.mark.skipif(not LANGCHAIN.exists(), reason="needs make test-clients-python")
def test_langchain(url: str, tmp_path: Path) -> None:
    told = run([str(LANGCHAIN), str(EXAMPLES / "langchain_python.py")], tmp_path, url)
    assert told == f"{WEATHER}\n"


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("node") and JS.exists()), reason="needs Node and make test-clients")
@pytest.mark.parametrize("name", BY_NODE)
def test_javascript(name: str, url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(JS)
    shutil.copy(EXAMPLES / name, tmp_path)
    assert run(["node", name], tmp_path, url) == BY_NODE[name]


@pytest.mark.slow
@pytest.mark.skipif(not CODEX.exists(), reason="needs make test-clients")
def test_codex(url: str, tmp_path: Path) -> None:
    configuration = (EXAMPLES / "codex.toml").read_text().replace("http://127.0.0.1:4000", url)
    (tmp_path / "config.toml").write_text(configuration)
    command = [str(CODEX), "exec", "--skip-git-repo-check", "Say hello."]
    told = run(command, tmp_path, url, CODEX_HOME=str(tmp_path), OPENRESPONSES_API_KEY="unused")
    assert "Say hello." in told


class Lambda(BaseHTTPRequestHandler):
    """Lambda's Invoke, with the example's handler behind it."""

    def do_POST(self) -> None:
        scope = runpy.run_path(str(EXAMPLES / "lambda_tool/app.py"))
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps(scope["handler"](event, None)).encode()
        assert self.path.startswith("/2015-03-31/functions/arn") and "find-stock/invocations" in self.path
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.slow
def test_lambda_tool(tmp_path: Path) -> None:
    service = HTTPServer(("127.0.0.1", 0), Lambda)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    aws = {
        "OPENRESPONSES_CONFIG": str(EXAMPLES / "lambda_tool/tools.toml"),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{service.server_port}",
        **{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"},
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        with serving(tmp_path, **aws) as (url, _):
            told = json.loads(run(["sh", str(EXAMPLES / "lambda_tool/ask.sh")], tmp_path, url))
    finally:
        service.shutdown()
        service.server_close()
    assert [item["type"] for item in told["output"]] == ["function_call", "function_call_output", "message"]
    assert json.loads(told["output"][1]["output"]) == {"thing": "parrot", "in_stock": 3}
