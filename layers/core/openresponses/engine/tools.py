"""The client's tools and its choice among them, resolved into what a sample needs and what the turn enforces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..protocol.errors import ApiError, quoted
from ..protocol.request import named_tools
from .hosted_tools import HostedTools
from .local_tools import LocalTool

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Toolset:
    """All tools stay visible to the model; `choice` and `allowed` (names; None: all) limit what it may call.

    `local`: the functions that run here, by name.
    """

    tools: list[Json]
    choice: str | Json
    allowed: frozenset[str] | None
    local: Mapping[str, LocalTool] = field(default_factory=dict)

    def after_calls(self) -> Toolset:
        """For the samples after the first: a call that was demanded has been made."""
        return self if self.choice in ("auto", "none") else replace(self, choice="auto")


def resolve_tools(
    request: Json, items: list[Json], registered: HostedTools, others: Mapping[str, LocalTool] | None = None
) -> Toolset:
    """The tools of the request, of its `additional_tools` items and of the operator, and the choice among them.

    `others`: functions of the request that run here, too.
    Raises ApiError where the choice names a tool that is not there.
    """
    extra = [tool for item in items if item["type"] == "additional_tools" for tool in item["tools"]]
    tools, hosted = registered.offered([*request.get("tools", ()), *extra])
    local: dict[str, LocalTool] = {**hosted, **(others or {})}
    choice = request.get("tool_choice", "auto")
    names = {tool["name"] for _, _, tool in named_tools(tools)}
    if isinstance(choice, str):
        if choice == "required" and not tools:
            raise ApiError(
                "invalid_value", "'tool_choice' is 'required' but there are no tools.", param="tool_choice"
            )
        return Toolset(tools, choice, frozenset() if choice == "none" else None, local)
    if choice["type"] == "allowed_tools":
        return replace(_allowed(choice, tools, names), local=local)
    if choice["type"] in ("function", "custom"):
        _check_name(choice, names, "tool_choice")
        return Toolset(tools, choice, frozenset([choice["name"]]), local)
    _check_kind(choice, tools, "tool_choice")
    return Toolset(tools, choice, None, local)


def _allowed(choice: Json, tools: list[Json], names: set[str]) -> Toolset:
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
    return Toolset(tools, choice.get("mode") or "auto", frozenset(allowed))


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
