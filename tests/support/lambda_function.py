"""A Lambda function as a process of its own, started as Lambda would start it: through the exec wrapper, with
PYTHONPATH=/var/runtime and nothing of this checkout on its path; and the events of its front doors.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from .canaries import CANARIES

ROOT = Path(__file__).resolve().parents[2]
BASE_PYTHON = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]


class HasAddress(Protocol):
    address: str


class Function:
    """A running function. `stderr` is what it has logged so far."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log
        self._read = 0

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def unread(self) -> str:
        """What it has logged since the last call of this."""
        log = self.log
        new, self._read = log[self._read :], len(log)
        return new

    def freeze(self) -> None:
        """What Lambda does between two invocations."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @property
    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6


def lambda_environment(task_root: Path, handler: str, api: str, runtime_dir: str) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": runtime_dir,
        "LAMBDA_RUNTIME_DIR": runtime_dir,
        "LAMBDA_TASK_ROOT": str(task_root),
        "_HANDLER": handler,
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": "responses",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/responses",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@asynccontextmanager
async def running(
    api: HasAddress,
    *,
    opt: Path,
    task_root: Path,
    handler: str = "app.app",
    python: str = BASE_PYTHON,
    env: dict[str, str] | None = None,
) -> AsyncIterator[Function]:
    """Starts the function: `opt` is what its layers unpack to, `task_root` its own code."""
    with tempfile.TemporaryDirectory() as runtime_dir, tempfile.NamedTemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            opt / "streaming-runtime",
            python,
            "/var/runtime/bootstrap.py",
            cwd=task_root,
            env={**lambda_environment(task_root, handler, api.address, runtime_dir), **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        function = Function(process, Path(log.name))
        try:
            yield function
        finally:
            CANARIES.check_log(function.unread(), "the function's log")
            if process.returncode is None:
                function.thaw()
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 5)
                except TimeoutError:
                    process.kill()
                    await process.wait()


def rest_event(
    method: str = "POST",
    url: str = "/v1/responses",
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    authorizer: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A Lambda proxy event of API Gateway's REST API (format 1.0 without a version), as its documentation shows it."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    fields = {"Host": "abc123.execute-api.eu-west-1.amazonaws.com", "X-Forwarded-Proto": "https"}
    fields |= {"X-Forwarded-Port": "443", "X-Forwarded-For": "203.0.113.7"}
    if body is not None:
        fields["Content-Type"] = "application/json"
    fields |= headers or {}
    context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "abc123",
        "stage": "live",
        "requestId": "4a1b",
        "httpMethod": method,
        "path": f"/live{parts.path}",
        "protocol": "HTTP/1.1",
        "resourcePath": parts.path,
        "identity": {"sourceIp": "203.0.113.7", "userAgent": "test"},
    }
    if authorizer is not None:
        context["authorizer"] = {"principalId": authorizer.get("tenant", ""), **authorizer}
    return {
        "resource": parts.path,
        "path": parts.path,
        "httpMethod": method,
        "headers": fields,
        "multiValueHeaders": {name: [value] for name, value in fields.items()},
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": {name: [v for n, v in query if n == name] for name, _ in query}
        or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": context,
        **event_body(body),
    }


def http_event(
    method: str = "POST",
    url: str = "/v1/responses",
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    domain: str = "abc123.execute-api.eu-west-1.amazonaws.com",
) -> dict[str, Any]:
    """An event of format 2.0: an HTTP API's."""
    parts = urlsplit(url)
    fields = {"host": domain, "x-forwarded-proto": "https", "x-forwarded-port": "443", **(headers or {})}
    http = {
        "method": method,
        "path": parts.path,
        "protocol": "HTTP/1.1",
        "sourceIp": "203.0.113.7",
        "userAgent": "test",
    }
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": fields,
        "requestContext": {"apiId": "abc123", "domainName": domain, "stage": "$default", "http": http},
        **event_body(body),
    }


def function_url_event(
    method: str = "POST", url: str = "/v1/responses", body: Any = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    return http_event(method, url, body, headers, domain="abc123.lambda-url.eu-west-1.on.aws")


def event_body(body: Any) -> dict[str, Any]:
    if body is None:
        return {"body": None, "isBase64Encoded": False}
    if isinstance(body, bytes):
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body if isinstance(body, str) else json.dumps(body), "isBase64Encoded": False}
