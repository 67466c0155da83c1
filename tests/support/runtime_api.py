"""A Lambda Runtime API of the tests' own: hands out invocations and records, byte by byte, what the runtime answers.

    async with RuntimeApi() as api:
        start a function with AWS_LAMBDA_RUNTIME_API=api.address
        answer = await api.invoke(event)
        await answer.done()

It is strict where Lambda is: an answer for an unknown invocation, or a wrong invocation id, is refused.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PATH = "/2018-06-01/runtime"


@dataclass
class Answer:
    """What came back for one invocation. `chunks` are (time.monotonic(), bytes) as they arrived."""

    id: str
    invocation_id: str
    read_delay: float = 0.0
    how: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    finished: bool = False
    cut: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, what: Any, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(what)

    async def done(self, seconds: float = 30) -> Answer:
        await self.wait_for(lambda: self.finished or self.cut, seconds)
        return self

    @property
    def raw(self) -> bytes:
        return b"".join(data for _, data in self.chunks)

    @property
    def prelude(self) -> dict[str, Any]:
        head, mark, _ = self.raw.partition(b"\0" * 8)
        assert mark, f"no end of prelude in {head[:200]!r}"
        prelude: dict[str, Any] = json.loads(head)
        return prelude

    @property
    def status(self) -> int:
        status: int = self.prelude["statusCode"] if self.streamed else json.loads(self.raw)["statusCode"]
        return status

    @property
    def streamed(self) -> bool:
        return self.headers.get("lambda-runtime-function-response-mode") == "streaming"

    @property
    def body(self) -> bytes:
        """The payload as the client would get it."""
        if self.streamed:
            return self.raw.partition(b"\0" * 8)[2]
        answer = json.loads(self.raw)
        text: str = answer["body"]
        return base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def pieces(self) -> list[tuple[float, bytes]]:
        """The payload's chunks with their times; the prelude is cut off the first."""
        first, *rest = self.chunks
        return [(first[0], first[1].partition(b"\0" * 8)[2]), *rest]

    @property
    def trailer_error(self) -> tuple[str, Any] | None:
        kind = self.trailers.get("lambda-runtime-function-error-type")
        if kind is None:
            return None
        return kind, json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))


class RuntimeApi:
    """`waiting` is set while a runtime is inside /next; `init_error` holds a failed start."""

    def __init__(self) -> None:
        self.address = ""
        self.waiting = asyncio.Event()
        self.init_error: asyncio.Future[tuple[str, Any]] = asyncio.get_running_loop().create_future()
        self.connections = 0
        self._queue: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self._answers: dict[str, Answer] = {}
        self._counter = itertools.count(1)
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RuntimeApi:
        # A small window, so that a reader that does not read is soon noticed by the writer.
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def drop_connections(self) -> None:
        """Closes every connection, the one that waits in /next too, as a network does that forgot them."""
        for task in list(self._handlers):
            task.cancel()
        await asyncio.sleep(0.05)

    async def invoke(
        self, event: Any, *, seconds: float = 60, read_delay: float = 0, trace: str | None = None
    ) -> Answer:
        """Queues an invocation; `seconds` until its deadline, `read_delay` between two reads of its answer."""
        number = next(self._counter)
        answer = Answer(f"00000000-0000-4000-8000-{number:012d}", f"invocation-{number}", read_delay)
        self._answers[answer.id] = answer
        headers = {
            "Lambda-Runtime-Aws-Request-Id": answer.id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:responses:live",
            "Lambda-Runtime-Invocation-Id": answer.invocation_id,
        }
        if trace:
            headers["Lambda-Runtime-Trace-Id"] = trace
        await self._queue.put((headers, json.dumps(event).encode()))
        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handlers.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readline()).decode()
        if not line:
            return False
        method, path, _ = line.split()
        assert path.startswith(PATH), path
        headers = await read_fields(reader)
        match method, path.removeprefix(PATH).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                self.waiting.set()
                extra, body = await self._queue.get()
                self.waiting.clear()
                await reply(writer, 200, body, extra)
            case "POST", ["init", "error"]:
                body = b"".join([piece async for piece in read_body(reader, headers, {})])
                self.init_error.set_result((headers["lambda-runtime-function-error-type"], json.loads(body)))
                await reply(writer, 202, b"{}")
            case "POST", ["invocation", request_id, "response" | "error" as how]:
                await self._take(request_id, how, headers, reader, writer)
            case _:
                await reply(writer, 404, b"{}")
        return headers.get("connection") != "close"

    async def _take(
        self,
        request_id: str,
        how: str,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        answer = self._answers.get(request_id)
        if not answer or answer.how or headers.get("lambda-runtime-invocation-id") != answer.invocation_id:
            async for _ in read_body(reader, headers, {}):
                pass
            await reply(writer, 400, b'{"errorType":"InvalidRequestID"}')
            return
        answer.how, answer.headers = how, headers
        try:
            async for piece in read_body(reader, headers, answer.trailers):
                answer.chunks.append((time.monotonic(), piece))
                await answer.changed()
                if answer.read_delay:
                    await asyncio.sleep(answer.read_delay)
            await reply(writer, 202, b"{}")
            answer.finished = True
        finally:
            answer.cut = not answer.finished
            await answer.changed()


async def read_fields(reader: asyncio.StreamReader) -> dict[str, str]:
    fields = {}
    while line := (await reader.readline()).decode().strip():
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return fields


async def read_body(
    reader: asyncio.StreamReader, headers: dict[str, str], trailers: dict[str, str]
) -> AsyncIterator[bytes]:
    """The body's chunks as they were framed; a body with a length is one. Trailers must have been declared."""
    if headers.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(headers.get("content-length", 0)))
        return
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    trailers.update(await read_fields(reader))
    declared = headers.get("trailer", "").lower().replace(" ", "").split(",")
    assert set(trailers) <= set(declared), trailers


async def reply(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
    head = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in fields.items()), "\r\n"]
    writer.write("\r\n".join(head).encode() + body)
    await writer.drain()
