"""API Gateway on loopback: HTTP in, REST API events to the built function, its streamed answers out.

What it does of the real one: the authorizer's context, one invocation a request, as many functions at once as were
started. What it does not: API Gateway's own errors and limits, and a client that leaves, which Lambda does not learn of
either.
"""

from __future__ import annotations

import asyncio
import http.client
import threading
from contextlib import AsyncExitStack, suppress
from typing import Any

from .canaries import CANARIES, passed
from .deployment import Deployment
from .lambda_function import Function, rest_event, running
from .runtime_api import Answer, RuntimeApi, read_body, read_fields

TENANT = "acme"
TENANTS = {"Bearer first": "first", "Bearer second": "second"}  # of these keys; all others are TENANT's


class ApiGateway:
    """`url` once it is started; `functions` processes serve it, each one request at a time."""

    def __init__(self, deployment: Deployment, *, functions: int = 2, environment: dict[str, str]) -> None:
        self.deployment = deployment
        self.url = ""
        self.processes: list[Function] = []
        self._functions = functions
        self._environment = environment
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api-gateway", daemon=True)

    def start(self) -> ApiGateway:
        self._thread.start()
        assert self._ready.wait(60), "the functions did not start"
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as stack:
            self._api = await stack.enter_async_context(RuntimeApi())
            for _ in range(self._functions):
                deployment = self.deployment
                function = running(
                    self._api,
                    opt=deployment.opt,
                    task_root=deployment.artifacts / "ResponsesFunction",
                    python=deployment.python,
                    env=deployment.environment(**self._environment),
                )
                self.processes.append(await stack.enter_async_context(function))
            await self._api.waiting.wait()
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**24)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._stopping.wait()
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while line := (await reader.readline()).decode("latin-1"):
                method, target, _ = line.split()
                headers = await read_fields(reader)
                body = b"".join([piece async for piece in read_body(reader, headers, {})])
                CANARIES.remember(body)
                answer = await self._api.invoke(event_of(method, target, headers, body), seconds=890)
                await send(writer, answer, method)
                passed(answer.body, failed=answer.how == "error" or answer.status >= 400)
                for process in self.processes:
                    CANARIES.check_log(process.unread(), "the function's log")
        writer.close()


def event_of(method: str, target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The body is text where it is text: binary media types are not configured."""
    try:
        content: Any = body.decode() or None
    except UnicodeDecodeError:
        content = body
    tenant = TENANTS.get(headers.get("authorization", ""), TENANT)
    return rest_event(method, target, content, headers, authorizer={"tenant": tenant})


async def send(writer: asyncio.StreamWriter, answer: Answer, method: str) -> None:
    """The answer, chunk by chunk as it comes."""
    await answer.wait_for(lambda: answer.chunks or answer.finished, 120)
    if answer.how == "error":
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        return
    prelude = answer.prelude
    status = prelude["statusCode"]
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '-')}", "transfer-encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in prelude["headers"].items()]
    for name, values in prelude.get("multiValueHeaders", {}).items():
        lines += [f"{name}: {value}" for value in values]
    writer.write("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
    sent = 0
    while True:
        pieces = answer.pieces()
        for _, data in pieces[sent:]:
            if data and method != "HEAD":
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        sent = len(pieces)
        await writer.drain()
        if answer.finished or answer.cut:
            break
        await answer.wait_for(lambda: len(answer.chunks) > sent or answer.finished or answer.cut, 900)  # noqa: B023
    if answer.cut or answer.trailer_error:
        writer.transport.abort()
        return
    writer.write(b"0\r\n\r\n")
    await writer.drain()
