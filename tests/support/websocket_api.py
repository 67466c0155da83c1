"""API Gateway's WebSocket API on loopback: real connections, the authorizer's and the routes' events to the functions'
code, `@connections` for what goes out, and Lambda's asynchronous invocation of the worker.

Its address is the client's base URL. What it does of the real one: the authorizer before the connection, routes by
`$request.body.type`, 410 for a client that has left, `$disconnect` afterwards, frames of at most 128 KB. Every
invocation of the worker has a thread, or as `processes` a process that can be killed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
MAX_FRAME = 128 * 1024
ARN = "arn:aws:execute-api:eu-west-1:123456789012:wsapi/live"


def load(function: str) -> ModuleType:
    """A function's module, made anew: it reads the environment as it is now."""
    path = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"function_{function}_{uuid4().hex}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Invocation:
    """The context that Lambda gives."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Sandbox:
    """The worker function in a thread of its own, one invocation at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._function = self._thread.submit(load, "worker").result()

    def run(self, payload: Json) -> None:
        self._thread.submit(self._function.app, payload, Invocation()).result()

    def stop(self) -> None:
        self._thread.shutdown()
        self._function.loop.close()


class WebSocketApi:
    """`url` once it is started; `posts` counts the frames that went out by `@connections`."""

    def __init__(self, *, processes: bool = False) -> None:
        self.url = ""
        self.posts = 0
        self.post_seconds = 0.0  # how long a post takes
        self.invoked: list[Json] = []  # payloads of asynchronous invocations
        self.workers: list[subprocess.Popen[bytes]] = []
        self._processes = processes
        self._connections: dict[str, ServerConnection] = {}
        self._functions = ThreadPoolExecutor(1)
        self._threads = ThreadPoolExecutor(16)
        self._sandboxes: list[Sandbox] = []
        self._idle: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.management = f"http://127.0.0.1:{self._http.server_port}/live"
        self._ready = threading.Event()

    def start(self) -> WebSocketApi:
        self._environment = pytest.MonkeyPatch()
        self._environment.setenv("WEBSOCKET_URL", self.management)
        self._environment.setenv("WORKER_FUNCTION", "worker:live")
        self._environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "worker")
        self._environment.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{self._http.server_port}")
        self.authorizer, self.routes = load("authorizer"), load("websocket")
        for _ in range(0 if self._processes else 2):
            self._idle.put(self._new_sandbox())
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._http.shutdown()
        self._http.server_close()
        self._threads.shutdown()
        self._functions.shutdown()
        for sandbox in self._sandboxes:
            sandbox.stop()
        self.routes.loop.close()
        self._environment.undo()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        async with serve(
            self._connection, "127.0.0.1", 0, process_request=self._connect, max_size=MAX_FRAME
        ) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            await self._stopping.wait()

    # ---------------------------------------------------------------- connections

    async def _connect(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = dict(request.headers.raw_items())
        event: Json = {"type": "REQUEST", "methodArn": f"{ARN}/$connect", "headers": headers}
        event["requestContext"] = {"routeKey": "$connect", "eventType": "CONNECT"}
        try:
            allowed = await self._in_function(self.authorizer.app, event, None)
        except Exception:
            return connection.respond(401, "Unauthorized")
        # IAM's `*` matches across slashes
        pattern = allowed["policyDocument"]["Statement"][0]["Resource"]
        assert pattern.endswith("*") and f"{ARN}/$connect".startswith(pattern.rstrip("*")), pattern
        name = f"{uuid4().hex[:12]}="
        answer = await self._route("$connect", name, {"authorizer": allowed["context"]})
        if answer["statusCode"] != 200:
            return connection.respond(403, "Forbidden")
        connection.username = name
        self._connections[name] = connection
        return None

    async def _connection(self, connection: ServerConnection) -> None:
        assert connection.username
        try:
            async for body in connection:
                text = body if isinstance(body, str) else body.decode()
                await self._route(_route_of(text), connection.username, {}, text)
        except ConnectionClosed:
            pass
        finally:
            del self._connections[connection.username]
            await self._route("$disconnect", connection.username, {})

    async def _route(self, route: str, name: str, context: Json, body: str | None = None) -> Json:
        asked: Json = {"routeKey": route, "connectionId": name, "requestId": uuid4().hex}
        asked |= {"requestTimeEpoch": int(time.time() * 1000), **context}
        event: Json = {"requestContext": asked, "isBase64Encoded": False} | (
            {"body": body} if body is not None else {}
        )
        answer: Json = await self._in_function(self.routes.app, event, None)
        return answer

    async def _in_function(self, *call: Any) -> Any:
        return await self._loop.run_in_executor(self._functions, *call)

    # ---------------------------------------------------------------- AWS's own APIs

    def post(self, name: str, frame: bytes) -> int:
        connection = self._connections.get(name)
        if connection is None:
            return 410
        if len(frame) > MAX_FRAME:
            return 413
        time.sleep(self.post_seconds)
        try:
            asyncio.run_coroutine_threadsafe(connection.send(frame.decode()), self._loop).result(10)
        except ConnectionClosed:
            return 410
        self.posts += 1
        return 200

    def call(self, event: Json) -> Json:
        """The routes' function with an event of the test's own."""
        answer: Json = self._functions.submit(self.routes.app, event, None).result()
        return answer

    def close(self, name: str) -> int:
        connection = self._connections.get(name)
        if connection is None:
            return 410
        asyncio.run_coroutine_threadsafe(connection.close(), self._loop).result(10)
        return 204

    def invoke(self, payload: Json) -> int:
        self.invoked.append(payload)
        if self._processes:
            command = [sys.executable, "-m", "tests.websocket.worker", json.dumps(payload)]
            self.workers.append(subprocess.Popen(command, cwd=ROOT))
        else:
            self._threads.submit(self._run_worker, payload)
        return 202

    def _run_worker(self, payload: Json) -> None:
        try:
            sandbox = self._idle.get_nowait()
        except queue.Empty:
            sandbox = self._new_sandbox()
        try:
            sandbox.run(payload)
        except Exception:
            logging.exception("the worker failed")
        self._idle.put(sandbox)

    def _new_sandbox(self) -> Sandbox:
        self._sandboxes.append(Sandbox())
        return self._sandboxes[-1]


def _route_of(text: str) -> str:
    try:
        kind = json.loads(text)["type"]
    except (ValueError, LookupError, TypeError):
        return "$default"
    return kind if kind == "response.create" else "$default"


def _handler(api: WebSocketApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if "/@connections/" in self.path:
                self._answer(api.post(self._name(), body))
            else:
                self._answer(api.invoke(json.loads(body)))

        def do_DELETE(self) -> None:
            self._answer(api.close(self._name()))

        def _name(self) -> str:
            return unquote(self.path.rpartition("/")[2])

        def _answer(self, status: int) -> None:
            self.send_response(status)
            if status == 410:
                self.send_header("x-amzn-ErrorType", "GoneException")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler
