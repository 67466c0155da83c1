"""What tools an MCP server has: from the conversation, from this process's memory, or from the server; and as items."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from ...adapters.base import Delta, HostedItemEnded, HostedItemEvent, HostedItemStarted
from ..services import Services
from .results import Result, failed, told
from .servers import McpServer
from .session import McpSession

Json = dict[str, Any]

LIST_SECONDS = 60.0  # for which this process remembers a server's tools
MAX_LISTS = 256
MAX_KEPT_BYTES = 256 * 1024  # of a list that is remembered
MAX_TOOLS = 1000
MAX_BYTES = 1 << 20  # of the tools that a turn is given


def known_tools(server: McpServer, items: list[Json]) -> list[Json] | None:
    """The tools of a list in the conversation, where it has all that this turn asks for."""
    for item in reversed(items):
        if (
            item["type"] == "mcp_list_tools"
            and item["server_label"] == server.label
            and not item.get("error")
        ):
            names = {tool["name"] for tool in item["tools"]}
            wanted = {name for each in server.allowed if isinstance(each, list) for name in each}
            return [*item["tools"]] if wanted <= names and not server.goes_by_annotations else None
    return None


async def list_tools(
    services: Services, tenant: str, server: McpServer, session: McpSession
) -> list[Json] | Result:
    """The tools that the server permits this turn; the failure, if it does not tell them."""
    lists = services.mcp_lists
    told_by = [tenant, server.url, sorted(server.headers.items()), server.key_variable]
    key, now = hashlib.sha256(orjson.dumps(told_by)).digest(), services.clock()
    at, listed = lists.get(key, (0.0, []))
    if now - at > LIST_SECONDS:
        fresh = await session.list_tools()
        if isinstance(fresh, Result):
            return fresh
        listed = fresh
        if len(orjson.dumps(listed)) <= MAX_KEPT_BYTES:
            while len(lists) >= MAX_LISTS:
                del lists[next(iter(lists))]
            lists[key] = (now, listed)
    return _bounded([tool for tool in listed if server.permits(tool)])


def _bounded(tools: list[Json]) -> list[Json] | Result:
    """The tools, if a model can be offered so many."""
    too_many = len(tools) > MAX_TOOLS
    if not too_many and len(orjson.dumps(tools)) <= MAX_BYTES:
        return tools
    what = f"more than {MAX_TOOLS} tools" if too_many else f"tools of more than {MAX_BYTES} bytes"
    return failed(f"The MCP server has {what}: name the ones to offer in 'allowed_tools'.", code=502)


def listing(label: str) -> Iterable[Delta]:
    """A list begins."""
    key = ("mcp_list_tools", label)
    item: Json = {"type": "mcp_list_tools", "server_label": label, "tools": [], "error": None}
    return (HostedItemStarted(key, item), HostedItemEvent(key, "response.mcp_list_tools.in_progress"))


def listing_ended(label: str, listed: list[Json] | Result) -> list[Delta]:
    """It ends with its tools, or with the failure."""
    key = ("mcp_list_tools", label)
    item: Json = {"type": "mcp_list_tools", "server_label": label, "tools": [], "error": None}
    if isinstance(listed, Result):
        item |= {"error": told(listed.fields()).removeprefix("Error: "), "status": "failed"}
        return [HostedItemEvent(key, "response.mcp_list_tools.failed"), HostedItemEnded(key, item)]
    item["tools"] = listed
    return [HostedItemEvent(key, "response.mcp_list_tools.completed"), HostedItemEnded(key, item)]
