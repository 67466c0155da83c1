"""The Lambda Runtime API (2018-06-01) as a client: take an invocation, answer it whole or as a stream, report failure.

Everything between two invocations is a plain blocking call, so that nothing runs while Lambda may freeze the process;
a streamed answer is written from the event loop, so that nothing stops while the reader is slow.

Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes" and "Building a custom runtime"
(response streaming).
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import time
import traceback
from dataclasses import dataclass
from typing import Any

PATH = "/2018-06-01/runtime"
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
INVOCATION_ID = "Lambda-Runtime-Invocation-Id"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


@dataclass(slots=True)
class Invocation:
    """One event and what Lambda says about it; also the `context` of Mangum and Powertools, hence its method names.

    `deadline_ms` is the Unix time in milliseconds at which Lambda ends the process.
    """

    event: Any
    aws_request_id: str
    deadline_ms: int
    invoked_function_arn: str
    invocation_id: str | None = None
    client_context: Any = None
    identity: Any = None
    function_name: str = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version: str = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    memory_limit_in_mb: int = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"))
    log_group_name: str = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
    log_stream_name: str = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - int(time.time() * 1000))


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure as Lambda wants it told: a type for its metrics, and a JSON body."""

    type: str
    body: bytes

    @classmethod
    def of(cls, error: BaseException, *, kind: str = "Function", message: str | None = None) -> Failure:
        """What may be said of an exception: its type and where it arose. Not its message, unless one is given: it
        can quote the request."""
        name = type(error).__name__
        where = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        told = message or "left out: it may quote the request"
        report = {"errorType": name, "errorMessage": told, "stackTrace": where}
        return cls(f"{kind}.{name}", json.dumps(report).encode())


class RuntimeApiError(Exception):
    """Lambda refused a call. `args[0]` says which, and with what status."""


class RuntimeApi:
    """`address` is host:port, as in AWS_LAMBDA_RUNTIME_API."""

    def __init__(self, address: str) -> None:
        self.address = address
        host, _, port = address.rpartition(":")
        self.host, self.port = host, int(port)
        # No timeout: /next may wait for hours.
        self._connection = http.client.HTTPConnection(self.host, self.port)

    def next(self) -> Invocation:
        """Waits for the next invocation. Sets the process's X-Ray trace, as the managed runtime does."""
        headers, body = self._call("GET", "/invocation/next")
        if trace := headers.get("Lambda-Runtime-Trace-Id"):
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        return Invocation(
            event=json.loads(body),
            aws_request_id=headers["Lambda-Runtime-Aws-Request-Id"],
            deadline_ms=int(headers["Lambda-Runtime-Deadline-Ms"]),
            invoked_function_arn=headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
            invocation_id=headers.get(INVOCATION_ID),
            client_context=json.loads(headers.get("Lambda-Runtime-Client-Context") or "null"),
            identity=json.loads(headers.get("Lambda-Runtime-Cognito-Identity") or "null"),
        )

    def respond(self, invocation: Invocation, answer: Any) -> None:
        """A whole answer, as JSON."""
        self._post(invocation, "response", json.dumps(answer).encode(), {})

    def fail(self, invocation: Invocation, failure: Failure) -> None:
        """The invocation failed before the first byte of an answer."""
        self._post(invocation, "error", failure.body, {ERROR_TYPE: failure.type})

    def fail_init(self, failure: Failure) -> None:
        """The function cannot be loaded."""
        self._call("POST", "/init/error", failure.body, {ERROR_TYPE: failure.type})

    async def stream(self, invocation: Invocation) -> ResponseStream:
        """Begins a streamed answer, on a connection of its own."""
        reader, writer = await asyncio.open_connection(self.host, self.port)  # asyncio sets TCP_NODELAY
        head = [
            f"POST {PATH}/invocation/{invocation.aws_request_id}/response HTTP/1.1",
            f"Host: {self.address}",
            f"Content-Type: {HTTP_INTEGRATION}",
            "Lambda-Runtime-Function-Response-Mode: streaming",
            "Transfer-Encoding: chunked",
            f"Trailer: {ERROR_TYPE}, {ERROR_BODY}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in _echo(invocation).items()),
        ]
        writer.write("\r\n".join([*head, "\r\n"]).encode())
        return ResponseStream(reader, writer)

    def _post(self, invocation: Invocation, what: str, body: bytes, headers: dict[str, str]) -> None:
        self._call(
            "POST", f"/invocation/{invocation.aws_request_id}/{what}", body, {**headers, **_echo(invocation)}
        )

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """One exchange; a connection that went stale since the last one is replaced once."""
        headers = {"Content-Type": "application/json", **(headers or {})} if body is not None else {}
        for last in (False, True):
            try:
                self._connection.request(method, PATH + path, body, headers)
                response = self._connection.getresponse()
                content = response.read()
                break
            except (ConnectionError, http.client.BadStatusLine):
                self._connection.close()
                if last:
                    raise
        if response.status not in (200, 202):
            raise RuntimeApiError(f"{method} {path}: {response.status}")
        return response.headers, content


def _echo(invocation: Invocation) -> dict[str, str]:
    return {INVOCATION_ID: invocation.invocation_id} if invocation.invocation_id else {}


class ResponseStream:
    """A streamed answer under way. A write returns when the kernel, or 64 KiB of buffer, has taken it: a slow reader
    slows the app down and grows no memory. Raises ConnectionError when Lambda has ended the stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, *parts: bytes) -> None:
        """Sends the parts as one chunk, at once."""
        size = sum(map(len, parts))
        if size:  # an empty chunk would end the stream
            self._writer.writelines((b"%x\r\n" % size, *parts, b"\r\n"))
            await self._writer.drain()

    async def end(self, failure: Failure | None = None) -> None:
        """The last byte; a failure goes into the trailers. Raises RuntimeApiError if Lambda refused the answer."""
        end = b"0\r\n"
        if failure:
            body = base64.b64encode(failure.body).decode()
            end += f"{ERROR_TYPE}: {failure.type}\r\n{ERROR_BODY}: {body}\r\n".encode()
        self._writer.write(end + b"\r\n")
        await self._writer.drain()
        status = (await self._reader.readline()).split(b" ", 2)[1:2]
        self._writer.close()
        if status not in ([b"200"], [b"202"]):
            raise RuntimeApiError(f"streamed response: {status}")

    def abort(self) -> None:
        """Gives the connection up, sent or not."""
        self._writer.transport.abort()
