"""Nothing of prompts, outputs, tool arguments, results and keys stands in a log record, a metric or an error body.

Canaries are not planted: whatever content the suite sends through a gateway is one. The fronts of the test gateways
hand in every body that passes; `conftest` makes each log record of this process, and what the servers of their own
processes have printed, pass by here, and fails the test in which one of them repeats content.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections import deque
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The key of the scripted provider; and what the API keys of the gateway's tenants look like.
PROVIDER_KEY = "test-key-of-the-scripted-provider"
TENANT_KEY = re.compile(r"\bor-[\w-]{40,}")
# Where content stands in bodies, of clients and of providers.
CONTENT = re.compile(
    rb'"(?:text|input|instructions|arguments|output|content|delta|refusal|reasoning|reasoning_content|thinking'
    rb'|partial_json|encrypted_content|signature|file_data|image_url|data)"\s*:\s*("(?:[^"\\]|\\.){8,400}?")'
)
LONG = 24  # characters that make a text its own, also without a space
LARGEST = 64 * 1024  # bytes
REMEMBERED = 2000  # texts of the running test


class Canaries(logging.Handler):
    """`leaks`: where content was found, each in one line."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaks: list[str] = []
        self._content: deque[str] = deque(maxlen=REMEMBERED)

    def remember(self, body: bytes) -> None:
        """The contents of a body that passes a gateway; large ones are of no words."""
        if len(body) > LARGEST:
            return
        for found in CONTENT.findall(body):
            text = json.loads(found, strict=False)
            if (" " in text.strip() or len(text) >= LONG) and text not in self._content:
                self._content.append(text)

    def forget(self) -> None:
        """A new test begins."""
        self._content.clear()

    def check(self, said: str, where: str) -> None:
        """Notes a leak, if something that must not be said is."""
        if PROVIDER_KEY in said or TENANT_KEY.search(said):
            self.leaks.append(f"a key in {where}: {said[:300]}")
        leaked = next((text for text in self._content if text in said), None)
        if leaked is not None:
            self.leaks.append(f"{leaked!r} in {where}: {said[:300]}")

    def check_log(self, log: str, where: str) -> None:
        """What a server in a process of its own has printed."""
        for line in log.splitlines():
            self.check(line, where)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in OURS:
            return
        extra = {name: value for name, value in record.__dict__.items() if name not in PLAIN_RECORD}
        raised = "".join(traceback.format_exception_only(record.exc_info[1])) if record.exc_info else ""
        self.check(f"{record.getMessage()} {raised} {extra or ''}", f"the log of {record.name}")

    def take(self) -> list[str]:
        """The leaks since the last call."""
        leaks, self.leaks = self.leaks, []
        return leaks


# Loggers of the gateway, and of what it is made of; the tests' own clients share some of them.
OURS = {"openresponses", "lambda_stream", "uvicorn", "starlette", "mcp"}
PLAIN_RECORD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None)))
CANARIES = Canaries()


class Tap:
    """ASGI middleware of the test gateways: remembers the bodies that pass, and checks those of errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failed = False

        async def tapped_receive() -> Message:
            message = await receive()
            if message["type"] in ("http.request", "websocket.receive"):
                CANARIES.remember(
                    message.get("body") or message.get("bytes") or (message.get("text") or "").encode()
                )
            return message

        async def tapped_send(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start":
                failed = message["status"] >= 400
            if body := message.get("body") or (message.get("text") or "").encode():
                passed(body, failed=failed)
            await send(message)

        await self._app(scope, tapped_receive, tapped_send)


def passed(body: bytes, *, failed: bool) -> None:
    """A piece of what a gateway answered."""
    if failed:
        CANARIES.check(_unescaped(body), "an error body")
    else:
        CANARIES.remember(body)


def _unescaped(body: bytes) -> str:
    try:
        value: Any = json.loads(body)
        return str(value["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace")
