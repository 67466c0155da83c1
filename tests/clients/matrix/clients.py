"""The clients: how each is started, how a user configures it, and what it has no way to do.

A client is a driver program that takes tasks line by line; one process serves a whole run.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[3]
DRIVERS = Path(__file__).parent / "drivers"
JS = ROOT / "tests/clients/js"
SECONDS = 30  # for one scenario


@dataclass(frozen=True)
class Client:
    """name       its package, as people know it
    program    its driver
    without    scenario -> why this client cannot do it, whatever the server
    python     the environment of a Python driver
    errors     scenario -> the class of the client's own error
    arguments  of the driver
    """

    name: str
    program: str
    without: Mapping[str, str] = field(default_factory=dict)
    python: str = ".venv-clients"
    errors: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()

    @property
    def command(self) -> Sequence[str]:
        if self.program.endswith(".mjs"):
            return ["node", str(JS / self.program)]
        return [str(ROOT / self.python / "bin/python"), str(DRIVERS / self.program), *self.arguments]

    @property
    def missing(self) -> str | None:
        """What has to be installed first."""
        needed = JS / "node_modules" if self.program.endswith(".mjs") else Path(self.command[0])
        return None if needed.exists() else str(needed.relative_to(ROOT))


class Driver:
    """The running driver of a client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.home = tempfile.TemporaryDirectory(prefix="client-")
        self.usable = True
        self.log: IO[str] = open(Path(self.home.name) / "stderr", "w+")  # noqa: SIM115 (as long as the process)
        environ = {
            **os.environ,
            "OPENAI_API_KEY": "unused",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": self.home.name,
        }
        for name in ("OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            environ.pop(name, None)
        self.process = subprocess.Popen(
            client.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environ,
            cwd=self.home.name,
        )  # fmt: skip

    def run(self, task: Json) -> Json:
        """The driver's result. Raises RuntimeError if it gives none; it cannot be used again then."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if ready.select(SECONDS) else ""
        if not line:
            self.usable = False
            self.stop_process()
            self.log.seek(0)
            told = self.log.read()[-2000:]
            self.stop()
            raise RuntimeError(f"{self.client.name} gave no result: {told}")
        result: Json = json.loads(line)
        return result

    def stop_process(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    def stop(self) -> None:
        self.stop_process()
        self.log.close()
        self.home.cleanup()


HISTORY_ONLY = "sends the history itself"
OPENAI = {"rate_limit": "RateLimitError", "unknown_model": "NotFoundError", "broken": "APIError"}
OPENAI_2 = ".venv-clients-openai2"
AI_SDK = {"rate_limit": "APICallError", "unknown_model": "APICallError"}
LANGCHAIN = {
    "rate_limit": "OpenAIRateLimitError",
    "unknown_model": "OpenAIModelNotFoundError",
    "broken": "APIError",
}
PYDANTIC = {
    "rate_limit": "ModelRateLimitError",
    "unknown_model": "ModelNotFoundError",
    "broken": "ModelServerError",
}
AGENT_FRAMEWORK = {name: "ChatClientException" for name in OPENAI}
NO_CHAIN = {"chain": HISTORY_ONLY}
CODEX = {**NO_CHAIN, "stream": "streams always, prints whole messages"}
STATELESS = {**NO_CHAIN, "state": "does not send reasoning back"}
LLAMAINDEX = {"state": "sends reasoning back without its state"}

CLIENTS = (
    Client("openai (Python)", "openai_python.py", errors=OPENAI),
    Client("openai-agents (Python)", "openai_agents.py", python=".venv", errors=OPENAI),
    Client("openai (Node)", "openai.mjs", errors=OPENAI),
    Client("openai-agents (JS)", "agents.mjs", errors=OPENAI),
    Client("AI SDK, @ai-sdk/openai", "ai_openai.mjs", errors=AI_SDK),
    Client("AI SDK, @ai-sdk/open-responses", "ai_open_responses.mjs", STATELESS, errors=AI_SDK),
    Client("LangChain (Python)", "langchain_python.py", errors=LANGCHAIN),
    Client("LangChain (JS)", "langchain.mjs", errors=OPENAI),
    Client("pydantic-ai", "pydantic_ai_python.py", errors=PYDANTIC),
    Client("LlamaIndex", "llamaindex.py", LLAMAINDEX, python=OPENAI_2, errors=OPENAI),
    Client("any-llm", "any_llm_python.py", errors=OPENAI),
    Client("Agent Framework", "agent_framework_python.py", errors=AGENT_FRAMEWORK),
    Client("Haystack", "haystack_python.py", python=OPENAI_2, errors=OPENAI),
    Client(
        "litellm", "litellm_python.py", python=OPENAI_2, errors={**OPENAI, "broken": "MidStreamFallbackError"}
    ),
    Client("llm", "llm_python.py", NO_CHAIN, errors=OPENAI),
    Client("Codex CLI", "codex.py", CODEX, python=".venv"),
    Client("Codex CLI, WebSocket", "codex.py", CODEX, python=".venv", arguments=["--websocket"]),
)
