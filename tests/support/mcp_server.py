"""Real MCP servers on loopback, made with the SDK: one uvicorn in a thread of its own serves several of them.

<url>/mcp          Streamable HTTP, stateful      tools: add, slow, fails, large, image, drawing, factor, secret, …
<url>/other/mcp    Streamable HTTP, stateless     tools: add (another one), many_001 … many_100
<url>/curious/mcp  Streamable HTTP, stateful      tools that ask the client: elicits, samples, roots, changes
<url>/old/sse      server-sent events             tools: shout
<url>/broken/mcp   answers 500;  <url>/locked/mcp  answers 401 without its bearer token
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ImageContent, SamplingMessage, TextContent, ToolAnnotations
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
TOKEN = "token-of-the-locked-server"
READ_ONLY = ToolAnnotations(read_only_hint=True)


class Password(BaseModel):
    password: str


class McpServers:
    """`called` lists the tools that ran, `requests` the HTTP requests (path, headers)."""

    def __init__(self) -> None:
        self.url = ""
        self.called: list[tuple[str, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.cancelled = threading.Event()
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="mcp", daemon=True)

    def start(self) -> McpServers:
        self._thread.start()
        assert self._ready.wait(20), "the MCP server did not start"
        return self

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = True
        self._thread.join(10)

    async def _serve(self) -> None:
        config = uvicorn.Config(self._app(), port=0, log_level="critical", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        serving = asyncio.ensure_future(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self._ready.set()
        await serving

    def _app(self) -> Any:
        main = self._main().streamable_http_app()
        other = self._other().streamable_http_app(stateless_http=True, json_response=True)
        curious = self._curious().streamable_http_app()
        old = self._old().sse_app()

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                for app in (main, other, curious):
                    await stack.enter_async_context(app.router.lifespan_context(app))
                yield

        routes = [
            Mount("/broken", app=_answers(500)),
            Mount("/locked", app=self._locked(other)),
            Mount("/curious", app=curious),
            Mount("/old", app=old),
            Mount("/other", app=other),
            Mount("/", app=main),
        ]
        return self._noting(Starlette(routes=routes, lifespan=lifespan))

    def _noting(self, app: Any) -> Any:
        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                self.requests.append((scope["method"], scope["path"], headers))
            await app(scope, receive, send)

        return noting

    def _locked(self, inner: Any) -> Any:
        async def locked(scope: Any, receive: Any, send: Any) -> None:
            headers = dict(scope["headers"])
            opened = headers.get(b"authorization") == f"Bearer {TOKEN}".encode()
            await (inner if opened else _answers(401))(scope, receive, send)

        return locked

    def _main(self) -> MCPServer:
        server = MCPServer("main", log_level="CRITICAL")

        @server.tool(annotations=READ_ONLY)
        def add(first: int, second: int = 1) -> str:
            """Adds two numbers."""
            self.called.append(("add", (first, second)))
            return str(first + second)

        @server.tool()
        async def slow(seconds: float = 5) -> str:
            """Takes its time."""
            self.called.append(("slow", seconds))
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "late"

        @server.tool()
        def fails() -> str:
            self.called.append(("fails", None))
            raise ValueError("it broke")

        @server.tool()
        def large() -> str:
            self.called.append(("large", None))
            return "x" * 5_000_000

        @server.tool()
        def secret() -> str:
            """Not to be called."""
            self.called.append(("secret", None))
            return "told"

        @server.tool()
        def image() -> CallToolResult:
            self.called.append(("image", None))
            text = TextContent(type="text", text="a picture")
            return CallToolResult(content=[text, ImageContent(type="image", data=PNG, mime_type="image/png")])

        @server.tool()
        def drawing(mime_type: str, data: str) -> CallToolResult:
            return CallToolResult(content=[ImageContent(type="image", data=data, mime_type=mime_type)])

        @server.tool()
        def factor(number: Annotated[int, Field(le=10**30)]) -> CallToolResult:
            """Has a number in its schema, and in its result, that takes more than 64 bits."""
            return CallToolResult(content=[], structured_content={"number": number * 10**30})

        @server.tool(name="files.read/" + "x" * 80)
        def weird() -> str:
            self.called.append(("weird", None))
            return "read"

        return server

    def _other(self) -> MCPServer:
        server = MCPServer("other", log_level="CRITICAL")

        @server.tool()
        def add(text: str) -> str:
            """Adds a text."""
            self.called.append(("other.add", text))
            return f"added {text}"

        def many() -> str:
            self.called.append(("many", None))
            return "one of many"

        for number in range(1, 101):
            server.add_tool(many, name=f"many_{number:03}")
        return server

    def _curious(self) -> MCPServer:
        server = MCPServer("curious", log_level="CRITICAL")

        @server.tool()
        async def elicits(ctx: Context) -> str:
            answer = await ctx.elicit("Your password?", schema=Password)
            return f"told {answer.action}"

        @server.tool()
        async def samples(ctx: Context) -> str:
            text = TextContent(type="text", text="Say something.")
            message = SamplingMessage(role="user", content=text)
            answer = await ctx.session.create_message([message], max_tokens=10)
            return f"heard {answer.role}"

        @server.tool()
        async def roots(ctx: Context) -> str:
            return f"{len((await ctx.session.list_roots()).roots)} roots"

        @server.tool()
        async def changes(ctx: Context) -> str:
            await ctx.session.send_tool_list_changed()
            return "changed"

        return server

    def _old(self) -> MCPServer:
        server = MCPServer("old", log_level="CRITICAL")

        @server.tool()
        def shout(text: str) -> str:
            self.called.append(("shout", text))
            return text.upper()

        return server


def _answers(status: int) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await Response("no", status_code=status)(scope, receive, send)

    return answer
