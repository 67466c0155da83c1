"""MCP servers that the gateway itself speaks to, on every provider.

    servers.py    which server is run here, and what a request and its operator say of it
    session.py    one server's session, by the MCP SDK; the only file that imports it
    reading.py    what a server sends, before the SDK reads it
    results.py    what a server answers, as the client and the model see it
    listing.py    what tools a server has
    tools.py      the tools of a turn's servers: listed, offered to the model, called
    history.py    the items that MCP left in a conversation, as calls that any model understands

The files are imported by the turns that have MCP tools, the SDK by those that ask a server.
Source: the Model Context Protocol; OpenAI's guide "Connectors and MCP servers" for items, events and options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...adapters.registry import adapter_named
from ...routing import Route

if TYPE_CHECKING:
    from ..services import Services
    from .tools import McpTools


async def mcp_tools(
    services: Services, tenant: str, request: dict[str, Any], route: Route
) -> McpTools | None:
    """The servers that the gateway calls in this turn, not asked yet; None if there are none.

    Raises ApiError for a tool that cannot be honoured, and for a URL that nothing may be sent to.
    """
    tools, settings = request.get("tools", []), services.settings
    named = any(tool["type"] == "mcp" for tool in tools)
    if not named and not any(row.get("always") for row in services.mcp):
        return None
    from .servers import out_of_reach, split
    from .tools import McpTools

    adapters = [adapter_named(each.provider.adapter) for each in (route, *route.fallbacks)]
    unreachable = await out_of_reach(tools, settings, services.lookup)
    others, servers = split(tools, services.mcp, adapters, settings, unreachable)
    if not servers:
        return None
    mcp = McpTools(services, tenant, request, others, servers)
    await mcp.check()
    return mcp
