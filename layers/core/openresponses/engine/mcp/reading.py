"""What a server sends, before the SDK holds it against the protocol: of its tools, those that can be read.

The SDK refuses a whole list for one tool in it that breaks the protocol. Such a tool is mended here where it is clear
what it means, else left out; and of each tool there is only what the gateway goes by.
"""

from __future__ import annotations

import logging
from typing import Any

from ...protocol.errors import quoted

Json = dict[str, Any]
log = logging.getLogger(__name__)


class ReadableTools:
    """The stream of a server's messages (of the SDK: SessionMessage, or what went wrong) with readable tools."""

    def __init__(self, messages: Any, label: str) -> None:
        self._messages = messages
        self._label = label

    @property
    def last_context(self) -> Any:
        return getattr(self._messages, "last_context", None)

    async def receive(self) -> Any:
        return self._read(await self._messages.receive())

    async def aclose(self) -> None:
        await self._messages.aclose()

    def __aiter__(self) -> ReadableTools:
        return self

    async def __anext__(self) -> Any:
        return self._read(await anext(self._messages))

    async def __aenter__(self) -> ReadableTools:
        await self._messages.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._messages.__aexit__(*raised)

    def _read(self, received: Any) -> Any:
        result = getattr(getattr(received, "message", None), "result", None)
        if isinstance(result, dict) and isinstance(tools := result.get("tools"), list):
            result["tools"] = readable = [tool for tool in map(read_tool, tools) if tool]
            if left := len(tools) - len(readable):
                log.warning("MCP server %s: %d tools cannot be read", quoted(self._label), left)
        return received


def read_tool(tool: Any) -> Json | None:
    """Name, description, schema and annotations of a tool; None if it cannot be called as it is told."""
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        return None
    schema = _schema(tool.get("inputSchema") or {})
    if schema is None:
        return None
    found: Json = {"name": tool["name"], "inputSchema": schema}
    if isinstance(tool.get("description"), str):
        found["description"] = tool["description"]
    if isinstance(about := tool.get("annotations"), dict):
        found["annotations"] = {name: value for name, value in about.items() if _is_hint(name, value)}
    return found


def _schema(schema: Any) -> Json | None:
    """The schema of an object. One that does not say so means it; one that says otherwise takes no arguments."""
    if not isinstance(schema, dict):
        return None
    schema = {name: value for name, value in schema.items() if value is not None}
    schema.setdefault("type", "object")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    is_readable = (
        schema["type"] == "object"
        and isinstance(schema.get("$schema", ""), str)
        and isinstance(properties, dict)
        and all(isinstance(value, dict | bool) for value in properties.values())
        and isinstance(required, list)
        and all(isinstance(name, str) for name in required)
    )
    return schema if is_readable else None


def _is_hint(name: str, value: Any) -> bool:
    return isinstance(value, bool) if name.endswith("Hint") else isinstance(value, str)
