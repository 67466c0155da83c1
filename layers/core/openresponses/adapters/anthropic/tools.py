"""Tools and tool_choice for Anthropic, and the way back from a tool's name on the wire to the client's tool.

    function        a tool; `strict` where the model has it and the schema can be enforced, else named as ignored
    custom          a tool with one string, `input`; a grammar goes into the description
    namespace       its tools under `<namespace>__<name>`
    web_search      Anthropic's web search      (search_context_size is ignored)
    code_interpreter  Anthropic's code execution (files: refused)
    mcp             Anthropic's MCP connector    (only with require_approval "never": it never asks)
    tool_search     Anthropic's tool search where the model has it; else ignored: all tools are visible anyway
    image_generation  ignored, unless it is forced
    file_search, computer use, shell, local_shell, apply_patch   refused: the client relies on their calls

Source: Anthropic's pages "Define tools", "Web search tool", "Code execution tool", "MCP connector", "Tool search tool".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...protocol.errors import ApiError
from ..base import Turn
from ..tools import in_namespace
from . import schema, unwrap

Json = dict[str, Any]

MAX_NAME = 128
MAX_STRICT = 20
STRICT_KEYWORD = "strict"
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
MCP_BETA = "mcp-client-2025-04-04"
CODE_BETAS = {"code_execution_20250825": "code-execution-2025-08-25"}
GRAMMAR = "The input must match this {syntax} grammar exactly:\n{definition}"


@dataclass(frozen=True, slots=True)
class Callee:
    """The client's tool behind a name on the wire. `field` is the property that its input is wrapped in, if it is."""

    name: str
    kind: str = "function"
    namespace: str | None = None
    field: str | None = None


@dataclass(slots=True)
class Toolbox:
    """All that a turn's tools add to the request."""

    definitions: list[Json] = field(default_factory=list)
    callees: dict[str, Callee] = field(default_factory=dict)
    # What the client calls a tool, (namespace, name), or a hosted one, its kind → its name on the wire.
    wires: dict[tuple[str | None, str], str] = field(default_factory=dict)
    hosted: dict[str, str] = field(default_factory=dict)
    mcp_servers: list[Json] = field(default_factory=list)
    betas: list[str] = field(default_factory=list)
    container: str | None = None
    ignored: list[str] = field(default_factory=list)
    searchable: bool = False

    def wire(self, name: str, namespace: str | None = None) -> str:
        """The name of the client's tool on the wire, also if it is not offered in this turn."""
        return self.wires.get((namespace, name)) or wire_name(name, namespace)

    def free_name(self, wanted: str) -> str:
        """A name like `wanted` that no other tool has."""
        taken = self.callees.keys() | set(self.hosted.values())
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted[: MAX_NAME - 8]}_{count}"
        return name


def wire_name(name: str, namespace: str | None = None) -> str:
    """A tool's name in Anthropic's grammar, `[a-zA-Z0-9_-]{1,128}`."""
    full = NOT_IN_NAMES.sub("_", f"{namespace}__{name}" if namespace else name)
    if len(full) <= MAX_NAME:
        return full
    return f"{full[: MAX_NAME - 9]}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"


def toolbox(turn: Turn) -> Toolbox:
    """The turn's tools. Raises ApiError naming the tool that Anthropic has no place for."""
    box = Toolbox()
    searches = any(tool["type"] == "tool_search" and tool.get("execution") != "client" for tool in turn.tools)
    box.searchable = bool(searches and turn.profile.options.get("tool_search"))
    kinds = [tool["type"] for tool in turn.tools]
    box.hosted = {kind: HOSTED_NAMES[kind] for kind in kinds if kind in HOSTED_NAMES}
    if not box.searchable:
        box.hosted.pop("tool_search", None)
    for place, tool in enumerate(turn.tools):
        param = f"tools[{place}]"
        if tool["type"] == "namespace":
            for inner, each in enumerate(tool["tools"]):
                _add_callable(box, turn, each, f"{param}.tools[{inner}]", tool)
        elif tool["type"] in ("function", "custom"):
            _add_callable(box, turn, tool, param)
        else:
            _add_hosted(box, turn, tool, param)
    return box


def _add_callable(box: Toolbox, turn: Turn, tool: Json, param: str, group: Json | None = None) -> None:
    namespace, about = (group["name"], group.get("description")) if group else (None, None)
    name = box.free_name(wire_name(tool["name"], namespace))
    namespace = namespace or tool.get("namespace")
    definition: Json = {"name": name}
    if tool["type"] == "custom":
        definition |= _custom(tool, namespace, about)
        box.callees[name] = Callee(tool["name"], "custom", namespace, unwrap.FIELD)
    else:
        inner, is_wrapped = schema.input_schema(tool.get("parameters"))
        if bad := schema.bad_property(inner):
            path = f"{param}.parameters"
            message = f"Anthropic refuses the property name '{bad}' in '{path}'."
            raise ApiError("unsupported_value", message, param=path)
        if description := in_namespace(tool.get("description"), namespace, about):
            definition["description"] = description
        definition["input_schema"] = inner
        _mark_strict(box, turn, tool, definition, param)
        box.callees[name] = Callee(
            tool["name"], "function", namespace, schema.WRAPPER if is_wrapped else None
        )
    if box.searchable and tool.get("defer_loading"):
        definition["defer_loading"] = True
    box.wires[namespace, tool["name"]] = name
    box.definitions.append(definition)


def _custom(tool: Json, namespace: str | None, about: str | None) -> Json:
    form = tool.get("format") or {}
    description = in_namespace(tool.get("description"), namespace, about) or ""
    if form.get("definition"):
        grammar = GRAMMAR.format(syntax=form.get("syntax") or "", definition=form["definition"])
        description = f"{description}\n\n{grammar}" if description else grammar
    properties = {unwrap.FIELD: {"type": "string", "description": "The whole input, as free text."}}
    definition: Json = {"description": description} if description else {}
    definition["input_schema"] = {
        "type": "object",
        "properties": properties,
        "required": [unwrap.FIELD],
        "additionalProperties": False,
    }
    return definition


def _mark_strict(box: Toolbox, turn: Turn, tool: Json, definition: Json, param: str) -> None:
    if tool.get("strict") is not True:
        return
    enforced = sum(STRICT_KEYWORD in each for each in box.definitions)
    plain = schema.enforceable(definition["input_schema"])
    if turn.profile.options.get("structured_outputs") and plain is not None and enforced < MAX_STRICT:
        definition["input_schema"] = plain
        definition[STRICT_KEYWORD] = True
    else:
        box.ignored.append(f"{param}.strict")


# --------------------------------------------------------------------------- hosted tools


def _web_search(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    definition: Json = {
        "type": turn.profile.options.get("web_search", "web_search_20250305"),
        "name": "web_search",
    }
    filters = tool.get("filters") or {}
    for key in ("allowed_domains", "blocked_domains"):
        if filters.get(key):
            definition[key] = filters[key]
    place = {key: value for key, value in (tool.get("user_location") or {}).items() if value is not None}
    if place:
        definition["user_location"] = {"type": "approximate", **place}
    if tool.get("search_context_size") not in (None, "medium"):
        box.ignored.append(f"{param}.search_context_size")
    box.definitions.append(definition)


def _code_interpreter(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    version = turn.profile.options.get("code_execution", "code_execution_20250825")
    container = tool.get("container") or {}
    if isinstance(container, str):
        box.container = container
    elif container.get("file_ids"):
        path = f"{param}.container.file_ids"
        message = "Anthropic cannot take OpenAI's files into its container."
        raise ApiError("unsupported_value", message, param=path)
    elif container.get("memory_limit"):
        box.ignored.append(f"{param}.container.memory_limit")
    if version in CODE_BETAS:
        box.betas.append(CODE_BETAS[version])
    box.definitions.append({"type": version, "name": "code_execution"})


def _connector(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    _mcp(box, tool, param)


def _mcp(box: Toolbox, tool: Json, param: str) -> None:
    if not tool.get("server_url"):
        path = f"{param}.connector_id" if tool.get("connector_id") else f"{param}.server_url"
        raise ApiError("unsupported_value", "Anthropic reaches MCP servers by 'server_url' only.", param=path)
    if tool.get("require_approval") != "never":
        path = f"{param}.require_approval"
        message = "Anthropic calls MCP tools without asking; set 'require_approval' to 'never' to agree."
        raise ApiError("unsupported_value", message, param=path)
    server: Json = {"type": "url", "url": tool["server_url"], "name": tool["server_label"]}
    allowed = tool.get("allowed_tools")
    if isinstance(allowed, dict):
        if allowed.get("read_only") is not None:
            path = f"{param}.allowed_tools.read_only"
            message = "Anthropic cannot filter MCP tools by 'read_only'."
            raise ApiError("unsupported_value", message, param=path)
        allowed = allowed.get("tool_names")
    if allowed is not None:
        server["tool_configuration"] = {"enabled": True, "allowed_tools": allowed}
    if token := _authorization(tool, param):
        server["authorization_token"] = token
    box.ignored += [f"{param}.{knob}" for knob in ("server_description", "defer_loading") if tool.get(knob)]
    box.mcp_servers.append(server)
    if MCP_BETA not in box.betas:
        box.betas.append(MCP_BETA)


def runs_mcp(tool: Json) -> bool:
    """Whether Anthropic's connector can do all that the tool asks for."""
    try:
        _mcp(Toolbox(), tool, "tool")
    except ApiError:
        return False
    return True


def _authorization(tool: Json, param: str) -> str | None:
    token: str | None = tool.get("authorization")
    for name, value in (tool.get("headers") or {}).items():
        if name.lower() != "authorization" or not value.lower().startswith("bearer "):
            path = f"{param}.headers"
            message = "Anthropic sends MCP servers a bearer token and no other header."
            raise ApiError("unsupported_value", message, param=path)
        token = value[len("bearer ") :].strip()
    return token


def _tool_search(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    if box.searchable:
        box.definitions.append({"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"})
    else:
        _ignore(box, turn, tool, param)


def _ignore(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    box.ignored.append(param)


HOSTED_NAMES = {
    **dict.fromkeys(
        ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        "web_search",
    ),
    "code_interpreter": "code_execution",
    "tool_search": "tool_search_tool_bm25",
}
HOSTED: dict[str, Callable[[Toolbox, Turn, Json, str], None]] = {
    "web_search": _web_search,
    "web_search_2025_08_26": _web_search,
    "web_search_preview": _web_search,
    "web_search_preview_2025_03_11": _web_search,
    "code_interpreter": _code_interpreter,
    "mcp": _connector,
    "tool_search": _tool_search,
    "image_generation": _ignore,
}


def _add_hosted(box: Toolbox, turn: Turn, tool: Json, param: str) -> None:
    add = HOSTED.get(tool["type"])
    if add is None:
        message = f"Tools of type '{tool['type']}' are not supported by Anthropic."
        raise ApiError("unsupported_parameter", message, param=f"{param}.type")
    add(box, turn, tool, param)


# --------------------------------------------------------------------------- tool_choice


CHOICES: dict[str, Json] = {"required": {"type": "any"}, "none": {"type": "none"}}


def tool_choice(turn: Turn, box: Toolbox) -> Json | None:
    """Anthropic's tool_choice without its parallel flag; None: its default, auto.

    Anthropic has no list of allowed tools. One allowed tool that is required is forced by name; otherwise all tools
    stay as they are and the engine holds the model to the list.
    """
    choice = turn.tool_choice
    if isinstance(choice, dict):
        return {"type": "tool", "name": _forced_name(choice, box)}
    if not box.definitions and not box.mcp_servers:
        if choice == "required":
            raise ApiError(
                "invalid_value", "'tool_choice' is 'required', but there are no tools.", param="tool_choice"
            )
        return None
    if choice == "required" and turn.allowed is not None and len(turn.allowed) == 1:
        (name,) = turn.allowed
        return {"type": "tool", "name": _wire_of(name, box)}
    return CHOICES.get(choice)


def _wire_of(name: str, box: Toolbox) -> str:
    return next((wire for wire, callee in box.callees.items() if callee.name == name), wire_name(name))


def _forced_name(choice: Json, box: Toolbox) -> str:
    kind = choice["type"]
    if kind in ("function", "custom"):
        name, namespace = choice["name"], choice.get("namespace")
        wire = box.wire(name, namespace) if namespace else _wire_of(name, box)
        if wire in box.callees:
            return wire
        raise ApiError(
            "invalid_value", f"'tool_choice' names '{name}', which is not in 'tools'.", param="tool_choice"
        )
    if kind in box.hosted:
        return box.hosted[kind]
    raise ApiError(
        "unsupported_value", f"'tool_choice' cannot force '{kind}' with Anthropic.", param="tool_choice"
    )
