"""Tools as a provider knows them that has functions only: custom tools and namespaces, there and back.

    custom      a function with one string, `input`; its calls are unwrapped while they stream
    namespace   joined to the name, `namespace__name`; a call is split again

Everything else about tools (forms, hosted kinds, choice) is the adapter's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from .base import Delta, ItemEnd, Json, ToolCallDelta, ToolCallStarted

MAX_NAME = 64
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
NO_PARAMETERS: Json = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class WireTool:
    """A function or custom tool: `name` as the provider knows it, `path` where it stands in the request.

    `about`: the description of its namespace.
    """

    name: str
    tool: Json
    kind: Literal["function", "custom"]
    namespace: str | None
    path: str
    about: str | None = None

    @property
    def description(self) -> str | None:
        own = describe_custom(self.tool) if self.kind == "custom" else self.tool.get("description")
        return in_namespace(own, self.namespace, self.about)

    @property
    def parameters(self) -> Json:
        """A JSON Schema of the arguments."""
        if self.kind == "custom":
            return {
                "type": "object",
                "properties": {"input": {"type": "string"}},
                "required": ["input"],
                "additionalProperties": False,
            }
        return self.tool.get("parameters") or NO_PARAMETERS


def in_namespace(description: str | None, namespace: str | None, about: str | None) -> str | None:
    """A tool's description with that of its namespace, which has no place of its own where there are none."""
    lines = [description, f"({namespace}: {about})" if about else None]
    return "\n\n".join(line for line in lines if line) or None


def describe_custom(tool: Json) -> str | None:
    """A custom tool's description, with the grammar that its input must follow: no field holds that elsewhere."""
    form = tool.get("format") or {}
    lines = [tool.get("description")]
    if form.get("type") == "grammar":
        lines.append(f"`input` must match this {form.get('syntax')} grammar:\n{form.get('definition')}")
    return "\n\n".join(line for line in lines if line) or None


def wire_name(name: str, namespace: str | None) -> str:
    """The one name of a tool in a namespace: legal everywhere (64 of [a-zA-Z0-9_-]), and always the same."""
    full = f"{namespace.rstrip('_')}__{name}" if namespace else name
    plain = NOT_IN_NAMES.sub("_", full)
    if plain == full and len(full) <= MAX_NAME:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return f"{plain[: MAX_NAME - 9]}_{digest}"


class ToolTable:
    """The tools of a turn: `functions` (custom ones too) under their wire names, `hosted` with their paths."""

    def __init__(self, tools: list[Json]) -> None:
        self.functions: dict[str, WireTool] = {}
        self.hosted: list[tuple[str, Json]] = []
        for index, tool in enumerate(tools):
            self._add(tool, f"tools[{index}]")

    def _add(self, tool: Json, path: str, namespace: str | None = None, about: str | None = None) -> None:
        kind = tool["type"]
        if kind in ("function", "custom"):
            name = wire_name(tool["name"], namespace)
            self.functions[name] = WireTool(name, tool, kind, namespace, path, about)
        elif kind == "namespace":
            for index, inner in enumerate(tool["tools"]):
                self._add(inner, f"{path}.tools[{index}]", tool["name"], tool.get("description"))
        else:
            self.hosted.append((path, tool))

    def named(self, name: str) -> str:
        """The wire name of the tool that the client calls `name`, for a choice that gives no namespace."""
        return next((wire for wire, found in self.functions.items() if found.tool["name"] == name), name)

    def allowed(self, names: frozenset[str] | None) -> list[str]:
        """Wire names of the tools that may be called; all of them for None."""
        return [
            wire for wire, found in self.functions.items() if names is None or found.tool["name"] in names
        ]


class CallReader:
    """A provider's function calls, as deltas of the calls that the client knows."""

    def __init__(self, table: ToolTable) -> None:
        self._table = table
        self._unwrap: dict[Hashable, InputUnwrapper] = {}
        self._empty: set[Hashable] = set()

    def start(
        self, key: Hashable, name: str, call_id: str | None, *, native: bool = False
    ) -> ToolCallStarted:
        """A call begins. `native`: the provider knows custom tools, its call's input is plain text."""
        tool = self._table.functions.get(name)
        if tool is None:
            self._empty.add(key)
            return ToolCallStarted(key, name, call_id, "custom" if native else "function")
        if tool.kind == "function":
            self._empty.add(key)
        elif not native:
            self._unwrap[key] = InputUnwrapper()
        return ToolCallStarted(key, tool.tool["name"], call_id, tool.kind, tool.namespace)

    def arguments(self, key: Hashable, text: str) -> Iterator[Delta]:
        if unwrap := self._unwrap.get(key):
            text = unwrap.feed(text)
        if text:
            self._empty.discard(key)
            yield ToolCallDelta(key, text)

    def end(self, key: Hashable) -> Iterator[Delta]:
        """The call is complete. A call without arguments has `{}`: clients parse them."""
        if unwrap := self._unwrap.get(key):
            if rest := unwrap.end():
                yield ToolCallDelta(key, rest)
        elif key in self._empty:
            yield ToolCallDelta(key, "{}")
        yield ItemEnd(key)


class InputUnwrapper:
    """Takes the text out of `{"input": "..."}` as it streams, cut anywhere, inside escapes too.

    A model that does not keep to the form is understood at the end: any object with `input`, else the text itself.
    """

    OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
    # What can be decoded by itself: up to the closing quote, without a piece of an escape or of a surrogate pair.
    SAFE = re.compile(
        r'(?:[^"\\]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB]..\\u[0-9a-fA-F]{4}|\\[^u])*'
    )

    WHOLE = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*')

    def __init__(self) -> None:
        self._seen = ""
        self._rest = ""
        self._inside = False

    def feed(self, text: str) -> str:
        if not self._inside:
            self._seen += text
            opening = self.OPENING.match(self._seen)
            if not opening:
                return ""
            self._inside = True
            text = self._seen[opening.end() :]
        self._rest += text
        safe = self.SAFE.match(self._rest)
        piece = safe.group() if safe else ""
        self._rest = self._rest[len(piece) :]
        return _unescape(piece)

    def end(self) -> str:
        """What is left to say once the arguments are complete."""
        if self._inside:
            rest = self.WHOLE.match(self._rest)
            return _unescape(rest.group()) if rest else ""
        try:
            found = orjson.loads(self._seen)
        except orjson.JSONDecodeError:
            return self._seen
        value = found.get("input") if isinstance(found, dict) else found
        return value if isinstance(value, str) else self._seen


def _unescape(piece: str) -> str:
    if "\\" not in piece:
        return piece
    import json  # not orjson: a lone surrogate and raw control characters must not fail the turn

    text: str = json.loads(f'"{piece}"', strict=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
