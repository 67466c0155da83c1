"""Codex CLI: `codex exec` in a folder of its own, configured as a user would, in config.toml.

The scripted model calls what Codex offers: `exec_command`, and `apply_patch` as a custom tool; with the newest slugs
`exec`, a custom tool that runs JavaScript. A slug's last part decides what Codex offers, so the model names
here are `<provider>/gpt-5.5` and `<provider>/gpt-6-sol`.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from common import Sum, serve

JS = Path(__file__).resolve().parents[2] / "js"
CODEX = JS / "node_modules/.bin/codex"
CONFIG = """
model_provider = "gateway"
model_reasoning_effort = "low"
model_reasoning_summary = "auto"
check_for_update_on_startup = false

[model_providers.gateway]
name = "OpenResponses"
base_url = "{base_url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
supports_websockets = {websockets}

[analytics]
enabled = false
"""
WEBSOCKETS = "true" if "--websocket" in sys.argv else "false"
OPTIONS = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json")

STATUSES = {"429": 429, "No provider serves": 404}


class Failed(Exception):
    """Codex ended with an error; `status_code` is the HTTP status that its message tells of."""

    def __init__(self, message):
        super().__init__(message)
        self.status_code = next((status for words, status in STATUSES.items() if words in message), None)


class Codex:
    """A home and a working folder, gone afterwards."""

    def __init__(self, task):
        self.task = task
        self.folder = tempfile.TemporaryDirectory(prefix="codex-", dir=os.environ["HOME"])
        self.home, self.work = (Path(self.folder.name) / name for name in ("home", "work"))
        self.home.mkdir()
        self.work.mkdir()
        (self.work / "AGENTS.md").write_text("Be brief.")
        (self.home / "config.toml").write_text(CONFIG.format(base_url=task.base_url, websockets=WEBSOCKETS))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.folder.cleanup()

    def start(self, *given):
        environ = {**os.environ, "CODEX_HOME": str(self.home), "GATEWAY_KEY": "unused"}
        return subprocess.Popen(
            [str(CODEX), "exec", *given, *OPTIONS, "--model", self.task.model], env=environ, cwd=self.work,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *given):
        """Its events (one JSON object a line). Raises Failed."""
        with self.start(*given) as process:
            out, err = process.communicate(timeout=50)
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if process.returncode:
            told = [event.get("message") or (event.get("error") or {}).get("message", "") for event in events]
            raise Failed("\n".join(filter(None, told)) or err)
        return events


def texts(events, kind):
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == kind]


def used(events):
    [done] = [event for event in events if event["type"] == "turn.completed"]
    return {key: done["usage"][key] for key in ("input_tokens", "output_tokens")}


def text(task):
    with Codex(task) as codex:
        events = codex.run("Say hello.")
        return {"text": texts(events, "agent_message")[-1], **used(events)}


error = stream = text


def tools(task):
    """A shell command and a patch."""
    with Codex(task) as codex:
        events = codex.run("Make two files.")
        files = {path.name: path.read_text() for path in codex.work.glob("*.txt")}
        return {
            "text": texts(events, "agent_message")[-1],
            "files": files,
            "reasoning": "".join(texts(events, "reasoning")),
        }


def structured(task):
    with Codex(task) as codex:
        schema = codex.work / "schema.json"
        schema.write_text(json.dumps({**Sum.model_json_schema(), "additionalProperties": False}))
        events = codex.run("2 + 3 = ?", "--output-schema", str(schema))
        return {"value": json.loads(texts(events, "agent_message")[-1])}


def history(task):
    with Codex(task) as codex:
        codex.run("I am Ada.")
        return {"text": texts(codex.run("resume", "--last", "Who am I?"), "agent_message")[-1]}


def image(task):
    with Codex(task) as codex:
        pixel = codex.work / "pixel.png"
        pixel.write_bytes(base64.b64decode(task.image))
        return {"text": texts(codex.run("What is it?", "--image", str(pixel)), "agent_message")[-1]}


def cancel(task):
    with Codex(task) as codex, codex.start("Go on.") as process:
        for line in process.stdout:
            if "turn.started" in line:
                threading.Event().wait(1.0)  # until the answer has begun
                process.terminate()
                process.stdout.close()
                process.stderr.close()
                return {}
    return {}


if __name__ == "__main__":
    serve(globals())
