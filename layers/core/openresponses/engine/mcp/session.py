"""One MCP server's session, by the MCP SDK: opened when it is first asked something, closed with the turn.

The SDK wants a session closed by the task that opened it, so each has a task of its own; others ask through it.
Streamable HTTP is tried first, then the older transport of server-sent events, or the other way round for a URL that
ends as those do.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from ... import __version__
from ...adapters.base import redact
from ...protocol.errors import ApiError, quoted
from ...secrets import Secrets
from ...settings import Settings
from ...upstream.guard import Forbidden, Lookup, Target, addresses, read_url
from .reading import ReadableTools
from .results import Result, failed, result_of
from .servers import McpServer

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import Tool

    from ...upstream.guarded_transport import BoundedTransport

Json = dict[str, Any]
T = TypeVar("T")
log = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0  # for a server to be told that the session is over
MAX_PAGES = 50  # of a list
MAX_MESSAGE = 1000
SESSION = "mcp-session-id"
# Of a call: has an element once the server has answered it that it does not know the session. The SDK sends what is
# asked in the context of who asks.
UNKNOWN: ContextVar[list[int] | None] = ContextVar("UNKNOWN", default=None)
NOT_THIS_TRANSPORT = frozenset({400, 404, 405, 406, 415, 501})
# The SDK's loggers, which show what servers said.
LOGGERS = ("mcp", "client", "httpx2", "httpcore2")


class McpSession:
    """`check()` first; then `list_tools` and `call` as often as needed, also at the same time; then `aclose()`."""

    def __init__(self, server: McpServer, settings: Settings, secrets: Secrets, lookup: Lookup) -> None:
        self._server = server
        self._settings = settings
        self._secrets = secrets
        self._lookup = lookup
        self._found: dict[Target, str] = {}
        # The last one's session is in use, the others' have expired.
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._transport: BoundedTransport | None = None
        self._status = 0  # of the last HTTP answer
        self._secret_values: list[str] = []

    async def check(self) -> None:
        """Raises ApiError for a user's URL whose host has an address that nothing may be sent to."""
        if not self._server.guarded:
            return
        private = self._settings.mcp_allow_private
        try:
            async with asyncio.timeout(self._settings.mcp_connect_timeout):
                target = read_url(self._server.url, private=private)
                self._found[target] = (await addresses(target, private=private, lookup=self._lookup))[0]
        except Forbidden as error:
            param = f"{self._server.param}.server_url"
            raise ApiError("invalid_value", f"'{param}' cannot be used: {error}.", param=param) from None
        except (OSError, ValueError, TimeoutError):
            return  # a name that is not known is the server's fault, told when it is asked

    async def list_tools(self) -> list[Json] | Result:
        """The server's tools as items list them, or why there are none."""
        await self._open()
        listed = await self._asked(self._listed(), self._settings.mcp_connect_timeout * 2)
        return listed

    async def call(self, name: str, arguments: Json) -> Result:
        """Calls a tool. Raises nothing for what the server does."""
        await self._open()
        limit = self._server.timeout or self._settings.mcp_call_timeout
        sessions, unknown = len(self._tasks), list[int]()
        UNKNOWN.set(unknown)
        result = await self._asked(self._called(name, arguments), limit)
        if unknown and sessions == 1:  # the call was not made
            if len(self._tasks) == sessions:
                self._start()
            result = await self._asked(self._called(name, arguments), limit)
        return result

    async def aclose(self) -> None:
        """Ends the session; a server that does not take note is left behind after CLOSE_SECONDS."""
        if not self._tasks:
            return
        self._closing.set()
        _, left = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CLOSE_SECONDS)

    # ---------------------------------------------------------------- asking

    async def _open(self) -> None:
        """Once. Importing the SDK, which may take seconds, is not the server's time."""
        if not self._tasks:
            await asyncio.to_thread(_import_sdk)
            if not self._tasks:
                self._start()

    def _start(self) -> None:
        """A new session; what is asked from now on is asked there."""
        if self._tasks:
            self._ready = asyncio.get_running_loop().create_future()
        self._tasks.append(asyncio.create_task(self._run(self._ready)))

    async def _asked(self, asking: Coroutine[Any, Any, T], limit: float) -> T | Result:
        """What the server answers within `limit` seconds; else why not."""
        asked, task, ready = asyncio.ensure_future(asking), self._tasks[-1], self._ready
        try:
            async with asyncio.timeout(limit):
                await asyncio.wait((asked, task), return_when=asyncio.FIRST_COMPLETED)
                if not asked.done() and ready.done() and ready.exception():
                    await asyncio.wait((asked,))
            if not asked.done():
                return failed("The connection to the MCP server broke.", code=502)
            return asked.result()
        except TimeoutError:
            return failed(f"The MCP server did not answer within {limit:g} s.", code=504)
        except Exception as error:
            return self._failure(error)
        finally:
            asked.cancel()
            await asyncio.wait((asked,), timeout=CLOSE_SECONDS)

    async def _listed(self) -> list[Json] | Result:
        client = await asyncio.shield(self._ready)
        tools: dict[str, Json] = {}
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                tools.setdefault(tool.name, _as_listed(tool))
            cursor = page.next_cursor
            if not cursor:
                return list(tools.values())
        return failed(f"The MCP server lists its tools on more than {MAX_PAGES} pages.", code=502)

    async def _called(self, name: str, arguments: Json) -> Result:
        """Not by the client's call_tool(), which holds the result against the server's own output schema: a pattern in
        that may take for ever, and the whole process with it."""
        from mcp import MCPError
        from mcp_types import HEADER_MISMATCH, CallToolRequest, CallToolRequestParams, CallToolResult

        client = await asyncio.shield(self._ready)
        asked = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments))
        try:
            return result_of(await client.session.send_request(asked, CallToolResult))
        except MCPError as error:
            if error.code != HEADER_MISMATCH:
                raise
        await client.list_tools()  # which tells the arguments that go into headers
        return result_of(await client.session.send_request(asked, CallToolResult))

    # ---------------------------------------------------------------- the session's own task

    async def _run(self, ready: asyncio.Future[Client]) -> None:
        try:
            headers = await self._headers()
            opening = [*headers.values(), self._server.url.partition("?")[2]]
            self._secret_values = [value for value in opening if len(value) > 5]
            transports = [self._streamable_http, self._server_sent_events]
            if self._server.url.partition("?")[0].rstrip("/").endswith("/sse"):
                transports.reverse()
            try:
                await self._serve(transports[0](headers), ready)
            except Exception:
                if ready.done() or self._status not in NOT_THIS_TRANSPORT:
                    raise
                await self._serve(transports[1](headers), ready)
        except BaseException as error:
            if not ready.done():
                ready.set_exception(ConnectionError() if isinstance(error, asyncio.CancelledError) else error)
                ready.exception()  # whoever still asks is told
            if isinstance(error, asyncio.CancelledError):
                raise
            log.debug("an MCP session ended: %s", type(error).__name__)

    async def _serve(self, transport: Any, ready: asyncio.Future[Client]) -> None:
        from mcp import Client
        from mcp_types import Implementation

        info = Implementation(name="openresponses", version=__version__)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._settings.mcp_connect_timeout):
                client = await stack.enter_async_context(Client(transport, client_info=info, cache=None))
            ready.set_result(client)
            await self._closing.wait()

    @asynccontextmanager
    async def _streamable_http(self, headers: dict[str, str]) -> AsyncIterator[Any]:
        from mcp.client.streamable_http import streamable_http_client

        from ...upstream.guarded_transport import MAX_BYTES

        async with (
            self._http(headers) as http,
            streamable_http_client(self._server.url, http_client=http, max_sse_event_size=MAX_BYTES) as (
                messages,
                sending,
            ),
        ):
            yield ReadableTools(messages, self._server.label), sending

    @asynccontextmanager
    async def _server_sent_events(self, headers: dict[str, str]) -> AsyncIterator[Any]:
        from mcp.client.sse import sse_client

        def factory(*_: Any, **__: Any) -> Any:
            return self._http(headers)

        async with sse_client(self._server.url, httpx_client_factory=factory) as (messages, sending):
            yield ReadableTools(messages, self._server.label), sending

    def _http(self, headers: dict[str, str]) -> Any:
        import httpx2

        from ...upstream.guarded_transport import BoundedTransport, GuardedTransport, client

        if self._server.guarded:
            private = self._settings.mcp_allow_private
            self._transport = GuardedTransport(private=private, lookup=self._lookup, found=self._found)
        else:
            self._transport = BoundedTransport()

        async def note(response: httpx2.Response) -> None:
            in_session = SESSION in response.request.headers
            if in_session and response.request.method == "GET":
                return  # the stream of the server's own messages: it may have none, and says so as it likes
            self._status = response.status_code
            if in_session and self._status == 404 and (unknown := UNKNOWN.get()) is not None:
                unknown.append(404)

        timeout = httpx2.Timeout(self._settings.mcp_connect_timeout, read=None)
        return client(
            self._transport,
            trust_env=not self._server.guarded,
            headers=headers,
            timeout=timeout,
            event_hooks={"response": [note]},
        )

    async def _headers(self) -> dict[str, str]:
        headers = dict(self._server.headers)
        if self._server.key_variable and (key := await self._secrets.get(self._server.key_variable)):
            headers["Authorization"] = f"Bearer {key}"
        return headers

    # ---------------------------------------------------------------- what went wrong

    def _failure(self, error: BaseException) -> Result:
        import httpx2
        from mcp import MCPError
        from mcp_types import PARSE_ERROR

        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        log.warning("MCP server %s: %s", quoted(self._server.label), type(error).__name__)
        if self._transport and self._transport.cut:
            self._transport.cut = False
            return failed("The MCP server's answer is too large.", code=502)
        if self._status >= 400 and isinstance(error, MCPError | httpx2.HTTPStatusError):
            return failed(
                f"The MCP server answered {self._status}. {self._plain(error)}".strip(), code=self._status
            )
        # The SDK's word for what it cannot read.
        if isinstance(error, MCPError) and error.code == PARSE_ERROR:
            return failed("The MCP server's answer is not MCP's JSON.", code=error.code, protocol=True)
        if isinstance(error, MCPError):
            return failed(self._plain(error) or "The MCP server failed.", code=error.code, protocol=True)
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return failed("The MCP server did not answer in time.", code=504)
        if isinstance(error, Forbidden):
            return failed(f"The MCP server sent the request elsewhere: {error}.", code=502)
        if isinstance(error, httpx2.ConnectError | OSError):
            return failed("The MCP server cannot be reached.", code=502)
        return failed(f"The MCP server's answer cannot be read ({type(error).__name__}).", code=502)

    def _plain(self, error: Exception) -> str:
        """The server's own words, without what was sent to open it."""
        import httpx2

        if isinstance(error, httpx2.HTTPStatusError):
            return ""
        text = str(error)
        for value in self._secret_values:
            text = text.replace(value, "[redacted]").replace(value.removeprefix("Bearer "), "[redacted]")
        return redact(text)[:MAX_MESSAGE]


def _as_listed(tool: Tool) -> Json:
    about = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else None
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": _written(tool.input_schema),
        "annotations": about,
    }


def _written(schema: Json) -> Json:
    """The schema as JSON that can be sent on: its numbers of more than 64 bits are floats."""
    try:
        orjson.dumps(schema)
    except TypeError:
        schema = orjson.loads(json.dumps(schema))
    return schema


def _import_sdk() -> None:
    """In a thread: it takes a second where the disk is slow."""
    import mcp.client.sse
    import mcp.client.streamable_http  # noqa: F401

    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
