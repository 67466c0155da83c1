"""The tools of a turn's MCP servers: listed or remembered, offered to the model as functions, called, closed.

The model's function names carry the server's label, in letters that every provider takes; items show plain names.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ...adapters.base import (
    Delta,
    HostedItemEnded,
    ItemEnd,
    ToolCallDelta,
    ToolCallStarted,
)
from ...adapters.tools import NO_PARAMETERS, in_namespace, wire_name
from ...protocol.errors import ApiError, quoted
from ...protocol.request import named_tools
from ..calls import LIMIT_REACHED
from ..context import Context
from ..local_tools import LocalCall
from ..reports import watched_call
from ..services import Services
from .history import approved, as_functions
from .listing import known_tools, list_tools, listing, listing_ended
from .results import Result, failed, told
from .servers import McpServer
from .session import McpSession

Json = dict[str, Any]
log = logging.getLogger(__name__)

PLACE = re.compile(r"(input|tools)\[(\d+)\](.*)")


@dataclass(slots=True)
class McpTool:
    """A tool of a server, as the turn runs it."""

    name: str
    server: McpServer
    session: McpSession
    images: dict[tuple[str, str, str], list[Json]]
    waits: bool

    @property
    def kind(self) -> str:
        return "mcp"

    @property
    def server_of(self) -> tuple[str, str]:
        return self.server.label, self.server.url

    def shown(self, call: ToolCallStarted) -> ToolCallStarted | None:
        return None if self.waits else replace(call, kind="mcp", name=self.name, namespace=self.server.label)

    async def answer(self, call: LocalCall) -> HostedItemEnded:
        if self.waits:
            item = {"type": "mcp_approval_request", "server_label": self.server.label, "name": self.name}
            return HostedItemEnded(("approval", call.key), {**item, "arguments": call.arguments or "{}"})
        result = await self.run(call.arguments)
        call.error = result.failure
        return HostedItemEnded(call.key, {"type": "mcp_call", **result.fields()})

    async def run(self, arguments: str) -> Result:
        try:
            given = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict):
            return failed("The arguments are not a JSON object.", code=-32602, protocol=True)
        result = await self.session.call(self.name, given)
        if result.images:
            self.images[self.server.label, self.name, arguments or "{}"] = result.images
        return result


class McpTools:
    """The servers of one turn. `check()`, then `begin()`, whose end makes `tools` and `request` complete."""

    def __init__(
        self,
        services: Services,
        tenant: str,
        request: Json,
        others: dict[int, Json],
        servers: list[McpServer],
    ) -> None:
        self._services = services
        self._tenant = tenant
        self._servers = {server.label: server for server in servers}
        self._sessions = {
            server.label: McpSession(server, services.settings, services.secrets, services.lookup)
            for server in servers
        }
        self._images: dict[tuple[str, str, str], list[Json]] = {}
        self._names: dict[tuple[str, str], str] = {}
        clients = [*others.values()]
        self._taken = {wire_name(tool["name"], namespace) for _, namespace, tool in named_tools(clients)}
        self._unlisted: set[str] = set()  # labels of servers that did not tell their tools
        self._asked = request
        self._others = clients
        self._tool_places = [*others]
        self._definitions: list[Json] = []
        self._item_places: list[int] = []
        self._refused: int | None = None  # the definition that the provider does not take
        self._begun = False
        self.tools: dict[str, McpTool] = {}  # by the model's name of each

    @property
    def labels(self) -> Iterable[str]:
        return self._servers

    @property
    def ignored(self) -> list[str]:
        """Paths of the request's knobs that change nothing here."""
        return [path for server in self._servers.values() for path in server.ignored]

    async def check(self) -> None:
        """Raises ApiError for a server that nothing may be sent to."""
        await asyncio.gather(*(session.check() for session in self._sessions.values()))

    async def aclose(self) -> None:
        await asyncio.gather(*(session.aclose() for session in self._sessions.values()))

    # ---------------------------------------------------------------- before the first sample

    async def begin(self, context: Context, spend: Callable[[], bool]) -> AsyncGenerator[list[Delta]]:
        """Lists the tools that are not known yet, then runs the calls that this turn's input approves.

        `spend` counts a call, and says whether it still may run. Raises ApiError for an approval that cannot be
        honoured.
        """
        approvals = [
            (asked, param) for asked, param in approved(context) if asked["server_label"] in self._servers
        ]
        known = {label: known_tools(server, context.items) for label, server in self._servers.items()}
        unknown = [label for label, tools in known.items() if tools is None]
        if unknown:
            yield [delta for label in unknown for delta in listing(label)]
        tasks = {label: asyncio.ensure_future(self._list(label)) for label in unknown}
        try:
            for label, task in tasks.items():
                listed = await task
                if isinstance(listed, Result):
                    self._unlisted.add(label)
                known[label] = [] if isinstance(listed, Result) else listed
                yield listing_ended(label, listed)
        finally:
            for task in tasks.values():
                task.cancel()
        for label, tools in known.items():
            for tool in tools or ():
                self._add(self._servers[label], tool)
        self._begun = True
        calls = [(self._approved(asked, param), asked) for asked, param in approvals]
        if calls:
            yield [delta for tool, asked in calls for delta in _call(tool, asked)]
        running = [
            asyncio.ensure_future(self._watched(tool, asked["arguments"]) if spend() else _limit_reached())
            for tool, asked in calls
        ]
        try:
            for (_, asked), run in zip(calls, running, strict=True):
                fields = {**(await run).fields(), "approval_request_id": asked["id"]}
                yield [HostedItemEnded(asked["id"], {"type": "mcp_call", **fields})]
        finally:
            for run in running:
                run.cancel()

    async def _watched(self, tool: McpTool, arguments: str) -> Result:
        return await watched_call(
            self._services, tool, None, tool.run(arguments), lambda result: result.failure
        )

    async def _list(self, label: str) -> list[Json] | Result:
        return await list_tools(self._services, self._tenant, self._servers[label], self._sessions[label])

    def _add(self, server: McpServer, tool: Json) -> None:
        if not server.permits(tool):
            return
        name = self.name(server.label, tool["name"])
        schema = tool["input_schema"]
        parameters = {"type": "object", **schema} if isinstance(schema, dict) and schema else NO_PARAMETERS
        definition = {
            "type": "function",
            "name": name,
            "description": in_namespace(tool.get("description"), server.label, server.description),
            "parameters": parameters,
            "strict": False,
        }
        self._definitions.append(definition)
        session = self._sessions[server.label]
        self.tools[name] = McpTool(tool["name"], server, session, self._images, server.asks(tool))

    def name(self, label: str, tool: str) -> str:
        """The model's name of a tool: always the same, unless another tool of the turn has it."""
        if (label, tool) not in self._names:
            prefix = label if label[:1].isalpha() else f"mcp_{label}"
            name, count = wire_name(tool, prefix), 1
            while name in self._taken:
                count += 1
                name = wire_name(f"{tool}.{count}", prefix)
            self._names[label, tool] = name
            self._taken.add(name)
        return self._names[label, tool]

    # ---------------------------------------------------------------- approvals

    def _approved(self, asked: Json, param: str) -> McpTool:
        """The tool of the request for approval `asked`. Raises ApiError if it may not be called any more."""
        tool = self.tools.get(self.name(asked["server_label"], asked["name"]))
        if tool is None:
            server = self._servers[asked["server_label"]]
            if server.label not in self._unlisted or not server.permits({"name": asked["name"]}):
                message = f"The MCP tool {quoted(asked['name'])} may not be called."
                raise ApiError("invalid_value", message, param=param)
            tool = McpTool(asked["name"], server, self._sessions[server.label], self._images, waits=True)
        return tool

    # ---------------------------------------------------------------- what the samples see

    @property
    def request(self) -> Json:
        """The client's request in terms of functions, as far as the tools are known."""
        choice = self._asked.get("tool_choice", "auto")
        return {
            **self._asked,
            "tools": [*self._others, *self._definitions],
            "tool_choice": self._choice(choice),
        }

    def _choice(self, choice: str | Json) -> str | Json:
        if isinstance(choice, str):
            lacking = choice == "required" and not self._others and not self._definitions
            return "auto" if lacking and (self._unlisted or not self._begun) else choice
        if self._is_ours(choice):
            functions = self._functions(choice, "tool_choice")
            if choice.get("name") and functions:
                return functions[0]
            return {"type": "allowed_tools", "mode": "required", "tools": functions} if functions else "auto"
        if choice["type"] != "allowed_tools" or not any(map(self._is_ours, choice.get("tools") or ())):
            return choice
        tools: list[Json] = []
        for index, tool in enumerate(choice["tools"]):
            tools += self._functions(tool, f"tool_choice.tools[{index}]") if self._is_ours(tool) else [tool]
        return {**choice, "tools": tools} if tools else "none" if self._begun else "auto"

    def _is_ours(self, choice: Json) -> bool:
        return choice.get("type") == "mcp" and choice.get("server_label") in self._servers

    def _functions(self, choice: Json, param: str) -> list[Json]:
        """The tools that a choice of a server, or of one of its tools, means. Raises ApiError if there is no such."""
        label, name = choice["server_label"], choice.get("name")
        found = [
            {"type": "function", "name": wire}
            for wire, tool in self.tools.items()
            if tool.server.label == label and name in (None, tool.name)
        ]
        if self._begun and not found and name is not None and label not in self._unlisted:
            message = f"'{param}' names the tool {quoted(str(name))}, which the MCP server does not offer."
            raise ApiError("invalid_value", message, param=f"{param}.name")
        return found

    def told(self, items: list[Json]) -> list[Json]:
        """The context as the model sees it."""
        made, self._item_places = as_functions(items, self._servers, self.name, self._output)
        return made

    def param(self, param: str | None) -> str | None:
        """A path in what was sent, as the path in the context and the tools that it was made of."""
        found = PLACE.match(param or "")
        if not found:
            return param
        places = self._tool_places if found[1] == "tools" else self._item_places
        place = int(found[2])
        if place < len(places):
            return f"{found[1]}[{places[place]}]{found[3]}"
        if found[1] == "input":
            return param
        self._refused = place - len(places)
        return "tools"

    def leave_out(self) -> bool:
        """Does without the server's tool that `param` was last asked about; whether there was one."""
        refused, self._refused = self._refused, None
        if refused is None:
            return False
        name = self._definitions.pop(refused)["name"]
        log.warning(
            "MCP server %s: the provider does not take the tool %s",
            quoted(self.tools.pop(name).server.label),
            name,
        )
        return True

    def said(self, items: list[Json]) -> list[Json]:
        """A sample's items for the next one: its calls side by side, then their outputs."""
        made, _ = as_functions(items, self._servers, self.name, self._output)
        ours = {item["id"] for item in items if item["type"] == "mcp_call"}
        outputs = [item for item in made if "id" not in item and item["call_id"] in ours]
        return [*(item for item in made if item not in outputs), *outputs]

    def _output(self, item: Json) -> str | list[Json]:
        text = told(item)
        images = self._images.get((item["server_label"], item["name"], item["arguments"]))
        return [{"type": "input_text", "text": text}, *images] if images else text


async def _limit_reached() -> Result:
    return failed(LIMIT_REACHED, code=429)


def _call(tool: McpTool, asked: Json) -> Iterable[Delta]:
    """An approved call, as if the model wrote it now."""
    key = asked["id"]
    return (
        ToolCallStarted(key, tool.name, kind="mcp", namespace=tool.server.label),
        ToolCallDelta(key, asked["arguments"]),
        ItemEnd(key),
    )
