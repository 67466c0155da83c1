"""Which MCP servers a turn has, who calls them, and which of their tools may be called, with or without asking.

A request gives a server by its URL, or names one of the operator's `[[mcp]]` rows by its label alone. The provider
calls it where it can do all that is asked; else the gateway does.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...adapters.base import Adapter, RunsMcp
from ...protocol.errors import ApiError, quoted
from ...settings import Settings
from ...upstream.guard import Forbidden, Lookup, addresses, is_private, read_url, system_lookup

Json = dict[str, Any]
Filter = list[str] | Json

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
VALUE = re.compile(r"[\t -~]{0,8192}")
# What belongs to the connection, or to the protocol itself.
RESERVED_HEADERS = frozenset(
    {
        *(
            "host",
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
        ),
        *("te", "trailer", "transfer-encoding", "upgrade", "content-length", "content-type", "expect"),
        *("accept", "accept-encoding", "mcp-session-id", "mcp-protocol-version"),
    }
)


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server that the gateway calls. `param`: where the request names it; None: it does not."""

    label: str
    url: str
    param: str | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_variable: str | None = None
    description: str | None = None
    allowed: tuple[Filter, ...] = ()  # each must let a tool pass
    approval: tuple[str | Json, ...] = ()  # any may ask for it
    guarded: bool = True  # a user's URL, not the operator's
    timeout: float | None = None
    ignored: tuple[str, ...] = ()  # paths of the request's knobs that change nothing here

    @property
    def goes_by_annotations(self) -> bool:
        """Whether the operator's limits go by what the server says of a tool: then a client's word does not count."""
        return not self.guarded and any(isinstance(each, dict) for each in self.approval)

    def permits(self, tool: Json) -> bool:
        """Whether the tool, as listed, may be called."""
        return all(matches(each, tool, empty=True) for each in self.allowed)

    def asks(self, tool: Json) -> bool:
        """Whether the client is to approve each call of it."""
        return any(_asks(each, tool) for each in self.approval)


def matches(wanted: Filter, tool: Json, *, empty: bool) -> bool:
    """Whether a list of names or a filter takes the tool; `empty`: what a filter without conditions says."""
    if isinstance(wanted, list):
        return tool["name"] in wanted
    names, read_only = wanted.get("tool_names"), wanted.get("read_only")
    if names is None and read_only is None:
        return empty
    is_read_only = bool((tool.get("annotations") or {}).get("readOnlyHint"))
    return (names is None or tool["name"] in names) and read_only in (None, is_read_only)


def _asks(approval: str | Json, tool: Json) -> bool:
    if isinstance(approval, str):
        return approval == "always"
    always, never = approval.get("always"), approval.get("never")
    if always is not None and matches(always, tool, empty=True):
        return True
    if never is not None:
        return not matches(never, tool, empty=False)
    return always is None


# --------------------------------------------------------------------------- who calls what


async def out_of_reach(tools: list[Json], settings: Settings, lookup: Lookup = system_lookup) -> set[str]:
    """URLs whose hosts have private addresses, where such are allowed: no provider gets there."""
    found: set[str] = set()
    if settings.mcp_allow_private and settings.mcp == "auto":
        for tool in tools:
            url = tool.get("server_url") if tool["type"] == "mcp" else None
            if url and not await _is_public(url, settings.mcp_connect_timeout, lookup):
                found.add(url)
    return found


async def _is_public(url: str, limit: float, lookup: Lookup) -> bool:
    """Whether a URL may be; one that cannot be looked up here is left to whoever calls it."""
    try:
        async with asyncio.timeout(limit):
            await addresses(read_url(url), lookup=lookup)
    except Forbidden:
        return False
    except (OSError, ValueError, TimeoutError):
        return True
    return True


def split(
    tools: list[Json],
    rows: Sequence[Json],
    adapters: Sequence[Adapter],
    settings: Settings,
    unreachable: Container[str] = (),
) -> tuple[dict[int, Json], list[McpServer]]:
    """The tools that are the provider's to run or the client's, by their places, and the servers that are called here.

    `adapters`: of every provider that may be asked; `unreachable`: URLs that none of them gets to.
    Raises ApiError naming the tool that cannot be honoured.
    """
    configured = {row["label"]: row for row in rows}
    others: dict[int, Json] = {}
    servers: list[McpServer] = []
    labels: set[str] = set()
    for index, tool in enumerate(tools):
        if tool["type"] != "mcp":
            others[index] = tool
            continue
        param, label = f"tools[{index}]", tool["server_label"]
        if label in labels:
            message = f"There are two MCP servers labelled {quoted(label)}."
            raise ApiError("invalid_value", message, param=f"{param}.server_label")
        labels.add(label)
        server = _server(tool, configured.get(label), param, adapters, settings, unreachable)
        if server:
            servers.append(server)
        else:
            others[index] = tool
    servers += [
        _configured(row, None, {}) for row in rows if row.get("always") and row["label"] not in labels
    ]
    return others, servers


def _server(
    tool: Json,
    row: Json | None,
    param: str,
    adapters: Sequence[Adapter],
    settings: Settings,
    unreachable: Container[str],
) -> McpServer | None:
    """The server, if the gateway calls it."""
    url = tool.get("server_url")
    if not url:
        for name in ("connector_id", "tunnel_id"):
            if tool.get(name):
                _require_openai(adapters[0], tool, f"{param}.{name}")
                return None
        if row is None:
            message = f"No MCP server is configured as {quoted(tool['server_label'])}: give its 'server_url'."
            raise ApiError("missing_required_parameter", message, param=f"{param}.server_url")
        return _configured(row, param, tool)
    try:
        target = read_url(url, private=settings.mcp_allow_private)
    except Forbidden as error:
        message = f"'{param}.server_url' cannot be used: {error}."
        raise ApiError("invalid_value", message, param=f"{param}.server_url") from None
    reachable = target.scheme == "https" and not is_private(target) and url not in unreachable
    if reachable and settings.mcp == "auto" and all(_runs(adapter, tool) for adapter in adapters):
        return None
    return McpServer(
        tool["server_label"],
        url,
        param,
        _headers(tool, param),
        description=tool.get("server_description"),
        allowed=tuple(_allowed(tool)),
        approval=(tool.get("require_approval") or "always",),
        ignored=_ignored(tool, param),
    )


def _require_openai(adapter: Adapter, tool: Json, param: str) -> None:
    if not _runs(adapter, tool):
        message = f"'{param}' is OpenAI's own: elsewhere, give the server's 'server_url'."
        raise ApiError("unsupported_value", message, param=param)


def _runs(adapter: Adapter, tool: Json) -> bool:
    return isinstance(adapter, RunsMcp) and adapter.runs_mcp(tool)


def _configured(row: Json, param: str | None, tool: Json) -> McpServer:
    """The operator's server. A request may narrow what it may call, and ask to be asked."""
    for name in ("headers", "authorization"):
        if tool.get(name):
            message = f"The operator has configured the MCP server {quoted(row['label'])}, and its '{name}'."
            raise ApiError("invalid_value", message, param=f"{param}.{name}")
    approval = row.get("approval", "never")
    asked = [tool["require_approval"]] if tool.get("require_approval") else []
    ceiling = [row["allowed_tools"]] if "allowed_tools" in row else []
    return McpServer(
        row["label"],
        row["url"],
        param,
        row.get("headers", {}),
        row.get("key_variable"),
        tool.get("server_description") or row.get("description"),
        (*ceiling, *_allowed(tool)),
        ({"never": {"read_only": True}} if approval == "writes" else approval, *asked),
        guarded=False,
        timeout=row.get("timeout"),
        ignored=_ignored(tool, param),
    )


def _ignored(tool: Json, param: str | None) -> tuple[str, ...]:
    """All tools are loaded at once: a search for them is OpenAI's and Anthropic's."""
    return (f"{param}.defer_loading",) if tool.get("defer_loading") else ()


def _allowed(tool: Json) -> Iterator[Filter]:
    if tool.get("allowed_tools") is not None:
        yield tool["allowed_tools"]


def _headers(tool: Json, param: str) -> dict[str, str]:
    headers: dict[str, str] = dict(tool.get("headers") or {})
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or name.lower() in RESERVED_HEADERS or not VALUE.fullmatch(value):
            message = f"'{param}.headers' has a header that cannot be sent: its name is reserved, or not plain text."
            raise ApiError("invalid_value", message, param=f"{param}.headers")
    if token := tool.get("authorization"):
        if not VALUE.fullmatch(token):
            path = f"{param}.authorization"
            raise ApiError("invalid_value", f"'{path}' is not a token.", param=path)
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        headers["Authorization"] = f"Bearer {token.removeprefix('Bearer ')}"
    return headers
