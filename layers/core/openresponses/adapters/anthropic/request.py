"""A turn → the body of `POST /v1/messages`.

max_output_tokens       max_tokens; not given: the model's maximum, for an unknown model DEFAULT_MAX_TOKENS
temperature, top_p      as given; a temperature above 1, Anthropic's highest, is sent as 1 and named as ignored;
                        left out, and named, where the model or its thinking forbids them
text.format             native where the model can enforce the schema, else a forced tool
service_tier            SERVICE_TIERS; any other is ignored
safety_identifier       metadata.user_id
prompt_cache_key        cache breakpoints after the tools, the system prompt, and the last two user messages
prompt_cache_retention  the same; "24h" keeps them for an hour, Anthropic's longest
penalties, top_logprobs, text.verbosity   ignored
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ...protocol.errors import ApiError
from ..base import Turn, UpstreamRequest
from ..messages import described_schema
from . import schema, thinking, tools
from .messages import conversation

Json = dict[str, Any]

DEFAULT_MAX_TOKENS = 8192
MAX_USER_ID = 256
# What the endpoint that counts tokens takes of a request.
COUNTED = (
    "model",
    "system",
    "tools",
    "tool_choice",
    "messages",
    "mcp_servers",
    "thinking",
    "output_config",
)
SERVICE_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only"}
ANSWER_TOOL = "respond"
ANSWER_DESCRIPTION = "Gives the final answer to the user. Its arguments are the answer."
MIN_THINKING_TOP_P = 0.95
UNCACHEABLE = thinking.THINKING_TYPES | {"server_tool_use"}


def build(turn: Turn) -> UpstreamRequest:
    """The request for this turn. Raises ApiError for a feature that has no place."""
    request = turn.request
    box = tools.toolbox(turn)
    choice = tools.tool_choice(turn, box)
    answer = answer_plan(turn, box)
    choice = _with_answer_tool(turn, box, choice, answer)
    system, messages, unused = conversation(turn, box)
    max_tokens = request.get("max_output_tokens") or turn.profile.max_output_tokens or DEFAULT_MAX_TOKENS
    forced = choice is not None and choice["type"] in ("any", "tool")
    thought = thinking.decide(turn, max_tokens, messages, forced=forced)
    if thought.off:
        _drop_final_thinking(messages)

    ignored = [*box.ignored, *unused, *thought.ignored]
    body: Json = {"model": turn.model, "max_tokens": max_tokens, "stream": True}
    if system:
        body["system"] = system
    if box.definitions:
        body["tools"] = box.definitions
    if choice := _with_parallel_flag(turn, box, choice, answer):
        body["tool_choice"] = choice
    body["messages"] = messages
    body |= {"mcp_servers": box.mcp_servers} if box.mcp_servers else {}
    body |= {"container": box.container} if box.container else {}
    body |= {"thinking": thought.config} if thought.config else {}
    output_config: Json = {"effort": thought.effort} if thought.effort else {}
    if answer and answer.native is not None:
        output_config["format"] = {"type": "json_schema", "schema": answer.native}
    body |= {"output_config": output_config} if output_config else {}
    _sampling(turn, thought.on, body, ignored)
    _identity(request, body, ignored)
    _cache_breakpoints(request, body)
    betas = [*box.betas, *thought.betas]
    headers = {"anthropic-beta": ",".join(betas)} if betas else {}
    return UpstreamRequest("/messages", body, headers, ignored=ignored)


def count(turn: Turn) -> UpstreamRequest:
    """The request that counts this turn's input tokens (`POST /v1/messages/count_tokens`)."""
    built = build(turn)
    body = {name: built.body[name] for name in COUNTED if name in built.body}
    return UpstreamRequest("/messages/count_tokens", body, built.headers)


# --------------------------------------------------------------------------- structured output


@dataclass(frozen=True, slots=True)
class Answer:
    """How a structured answer is got: by `native`, its schema, or by the tool named `tool`, maybe wrapped."""

    native: Json | None = None
    tool: str = ""
    definition: Json | None = None
    wrapped: bool = False


def answer_plan(turn: Turn, box: tools.Toolbox) -> Answer | None:
    """What `text.format` asks for; None for plain text. The reader makes the same plan."""
    form = (turn.request.get("text") or {}).get("format") or {}
    if form.get("type") not in ("json_schema", "json_object"):
        return None
    wanted = form.get("schema") or {} if form["type"] == "json_schema" else {"type": "object"}
    if form["type"] == "json_schema" and turn.profile.options.get("structured_outputs"):
        native = schema.enforceable(described_schema(form))
        if native is not None:
            return Answer(native)
    inner, wrapped = schema.answer_schema(wanted)
    name = box.free_name(tools.wire_name(form.get("name") or ANSWER_TOOL))
    description = form.get("description") or ANSWER_DESCRIPTION
    return Answer(None, name, {"name": name, "description": description, "input_schema": inner}, wrapped)


def _with_answer_tool(
    turn: Turn, box: tools.Toolbox, choice: Json | None, answer: Answer | None
) -> Json | None:
    """The tool_choice, once the answer's tool is among the tools: the model must call it, or one of the client's."""
    forces = choice is not None and choice["type"] in ("any", "tool")
    if answer and answer.native is None and not (choice and choice["type"] == "tool"):
        others = box.definitions or box.mcp_servers
        free = others and not (choice and choice["type"] == "none")
        # A required call is one of the client's tools; the answer's tool is then not offered.
        if not forces:
            box.definitions.append(answer.definition or {})
            choice, forces = {"type": "any"} if free else {"type": "tool", "name": answer.tool}, True
    if forces and turn.profile.options.get("forced_tools") is False:
        param = "text.format" if answer and answer.native is None else "tool_choice"
        message = f"The model '{turn.model}' cannot be forced to call a tool."
        raise ApiError("unsupported_value", message, param=param)
    return choice


def _with_parallel_flag(
    turn: Turn, box: tools.Toolbox, choice: Json | None, answer: Answer | None
) -> Json | None:
    sole_answer = bool(answer and choice and choice.get("name") == answer.tool)
    serial = turn.request.get("parallel_tool_calls") is False or sole_answer
    if not serial or not box.definitions or (choice and choice["type"] == "none"):
        return choice
    return {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}


# --------------------------------------------------------------------------- the rest of the body


def _drop_final_thinking(messages: list[Json]) -> None:
    """With thinking off, an assistant message at the end (to be continued) may hold no thinking."""
    last = messages[-1]
    if last["role"] == "assistant":
        last["content"] = [block for block in last["content"] if block["type"] not in thinking.THINKING_TYPES]
        if not last["content"]:
            messages.pop()


def _sampling(turn: Turn, thinks: bool, body: Json, ignored: list[str]) -> None:
    temperature, top_p = turn.request.get("temperature"), turn.request.get("top_p")
    mode = turn.profile.options.get("sampling", "both")
    refused: set[str] = set()
    if mode == "none" or thinks:
        refused |= {"temperature"}
    if mode == "none" or (thinks and top_p is not None and top_p < MIN_THINKING_TOP_P):
        refused |= {"top_p"}
    if mode == "one" and temperature is not None and top_p is not None and not refused:
        refused = {"temperature"} if temperature == 1 else {"top_p"}
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value is None:
            continue
        if name not in refused:
            body[name] = min(value, 1)
        if value > 1 or (name in refused and value != 1):  # 1 is the default of both: nothing is lost
            ignored.append(name)


def _identity(request: Json, body: Json, ignored: list[str]) -> None:
    if user := request.get("safety_identifier"):
        short = user if len(user) <= MAX_USER_ID else hashlib.sha256(user.encode()).hexdigest()
        body["metadata"] = {"user_id": short}
    if tier := request.get("service_tier"):
        if tier in SERVICE_TIERS:
            body["service_tier"] = SERVICE_TIERS[tier]
        else:
            ignored.append("service_tier")
    ignored += [
        name for name in ("frequency_penalty", "presence_penalty", "top_logprobs") if request.get(name)
    ]
    if "message.output_text.logprobs" in (request.get("include") or ()):
        ignored.append("include.message.output_text.logprobs")
    if (request.get("text") or {}).get("verbosity") not in (None, "medium"):
        ignored.append("text.verbosity")


def _cache_breakpoints(request: Json, body: Json) -> None:
    """At most four, each after a prefix that the next turn begins with too."""
    retention = request.get("prompt_cache_retention")
    if not request.get("prompt_cache_key") and not retention:
        return
    mark: Json = {"type": "ephemeral", "ttl": "1h"} if retention == "24h" else {"type": "ephemeral"}
    _mark_last(body.get("tools", []), mark)
    _mark_last(body.get("system", []), mark)
    prompts = [message for message in body["messages"] if message["role"] != "assistant"]
    for message in prompts[-2:]:
        _mark_last(message["content"], mark)


def _mark_last(blocks: list[Json], mark: Json) -> None:
    for place in range(len(blocks) - 1, -1, -1):
        if blocks[place].get("type") not in UNCACHEABLE and not blocks[place].get("defer_loading"):
            blocks[place] = {**blocks[place], "cache_control": mark}
            return
