"""The client's tools and its choice among them, resolved into what a sample needs and what the turn enforces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..protocol.errors import ApiError, quoted
from ..protocol.request import named_tools
from .client_search import NAME, searches
from .hosted_tools import HostedTools
from .local_tools import LocalTool

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Toolset:
    """All tools stay visible to the model; `choice` and `allowed` (names; None: all) limit what it may call.

    `local`: the functions that run here, by name. `known`: namespace and name of all that may be called by it; None:
    nothing runs here, and the client sees to what its model makes up.
    """

    tools: list[Json]
    choice: str | Json
    allowed: frozenset[str] | None
    local: Mapping[str, LocalTool] = field(default_factory=dict)
    known: frozenset[tuple[str | None, str]] | None = None

    def knows(self, name: str, namespace: str | None) -> bool:
        return self.known is None or (namespace, name) in self.known

    def after_calls(self) -> Toolset:
        """For the samples after the one that made a call that was demanded."""
        return self if self.choice in ("auto", "none") else replace(self, choice="auto")


def resolve_tools(
    request: Json, items: list[Json], registered: HostedTools, others: Mapping[str, LocalTool] | None = None
) -> Toolset:
    """The tools of the request, of its `additional_tools` items and of the operator, and the choice among them.

    `others`: functions of the request that run here, too.
    Raises ApiError where the choice names a tool that is not there.
    """
    tools, hosted = registered.offered(tools_given(request, items))
    local: dict[str, LocalTool] = {**hosted, **(others or {})}
    choice = request.get("tool_choice", "auto")
    names = {tool["name"] for _, _, tool in named_tools(tools)}
    here = bool(local) or others is not None
    every = Toolset(tools, "auto", None, local, _known(tools, items) if here else None)
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise ApiError(
                "invalid_value", "'tool_choice' is 'required' but there are no tools.", param="tool_choice"
            )
        return replace(every, choice=choice, allowed=frozenset() if choice == "none" else None)
    if choice["type"] == "allowed_tools":
        return replace(every, choice=choice.get("mode") or "auto", allowed=_allowed(choice, tools, names))
    if choice["type"] in ("function", "custom"):
        _check_name(choice, names, "tool_choice")
        return replace(every, choice=choice, allowed=frozenset([choice["name"]]))
    _check_kind(choice, tools, "tool_choice")
    return replace(every, choice=choice)


def tools_given(request: Json, items: list[Json]) -> list[Json]:
    """The client's tools: those of the request, then those of the context's `additional_tools` items."""
    extra = [tool for item in items if item["type"] == "additional_tools" for tool in item["tools"]]
    return [*request.get("tools", ()), *extra]


def _known(tools: list[Json], items: list[Json]) -> frozenset[tuple[str | None, str]]:
    """Those of the request, and those that a search for tools has found."""
    found = [
        tool for item in items if item["type"] == "tool_search_output" for tool in item.get("tools") or ()
    ]
    known = {(namespace, tool["name"]) for _, namespace, tool in named_tools([*tools, *found])}
    return frozenset(known | {(None, NAME)} if searches(tools) else known)


def _allowed(choice: Json, tools: list[Json], names: set[str]) -> frozenset[str]:
    allowed = set()
    for index, tool in enumerate(choice.get("tools") or ()):
        place = f"tool_choice.tools[{index}]"
        if tool.get("type") in ("function", "custom"):
            _check_name(tool, names, place)
            allowed.add(tool["name"])
        else:
            _check_kind(tool, tools, place)
    if not choice.get("tools"):
        raise ApiError(
            "missing_required_parameter",
            "Missing required parameter: 'tool_choice.tools'.",
            param="tool_choice.tools",
        )
    return frozenset(allowed)


def _check_name(choice: Json, names: set[str], place: str) -> None:
    name = choice.get("name")
    if not isinstance(name, str):
        raise ApiError(
            "missing_required_parameter",
            f"Missing required parameter: '{place}.name'.",
            param=f"{place}.name",
        )
    if name not in names:
        raise ApiError(
            "invalid_value",
            f"'{place}' names the tool {quoted(name)}, which is not in 'tools'.",
            param=f"{place}.name",
        )


def _check_kind(choice: Json, tools: list[Json], place: str) -> None:
    kind = choice.get("type")
    if not isinstance(kind, str):
        raise ApiError("invalid_type", f"'{place}.type' must be a string.", param=f"{place}.type")
    if not any(tool["type"] == kind for tool in tools):
        raise ApiError(
            "invalid_value",
            f"'{place}' asks for the tool {quoted(kind)}, which is not in 'tools'.",
            param=f"{place}.type",
        )
