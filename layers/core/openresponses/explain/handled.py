"""The fields of a request that a provider is not sent because the gateway handles them itself."""

from __future__ import annotations

from typing import Any

from .places import Steps, at

Json = dict[str, Any]

# What is neither sent, nor refused, nor named as ignored, and why nothing is lost.
HANDLED: dict[str, str] = {
    "previous_response_id": "the earlier turns are sent in its place",
    "conversation": "the conversation's items are sent in its place",
    "include": "what is asked for is given where the provider has it",
    "max_tool_calls": "enforced by the gateway",
    "parallel_tool_calls": "enforced by the gateway",
    "tool_choice.mode": "enforced by the gateway",
    "tool_choice.tools": "enforced by the gateway",
    "stream": "the provider is always asked to stream",
    "stream_options": "nothing is obfuscated",
    "stream_options.include_obfuscation": "nothing is obfuscated",
    "background": "run by the gateway",
    "generate": "of the WebSocket: `false` answers without a sample",
    "store": "kept by the gateway, never by the provider",
    "truncation": "done by the gateway",
    "reasoning.summary": "its reasoning is shown anyway",
    "reasoning.generate_summary": "its reasoning is shown anyway",
    "text.format.name": "the provider's form of it has no name",
    "text.format.strict": "the schema is always kept to",
    "content[].input_file.filename": "the provider's form of it has no name",
    "content[].output_text.annotations": "the citations of an earlier answer; its text is sent",
    "input[].message.phase": "only OpenAI's models know phases",
    "input[].reasoning.summary": "the provider's own form of it is in `encrypted_content`",
    "input[].reasoning.content": "the provider's own form of it is in `encrypted_content`",
}
# The same of every input item.
OF_ITEMS = {"id": "ids are the gateway's", "status": "has no meaning in an input"}
# And of every field of an MCP server that the provider cannot be given.
OF_MCP = "the gateway calls the server"


def handled(request: Json, steps: Steps) -> str | None:
    """What the gateway does with a field that is not sent; None if nothing."""
    field = _kind_of_field(request, steps)
    if field.startswith("input[]."):
        return HANDLED.get(field) or OF_ITEMS.get(field.rpartition(".")[2])
    if field.startswith("tools[].mcp."):
        return OF_MCP
    return HANDLED.get(field) or HANDLED.get(".".join(str(step) for step in steps))


def _kind_of_field(request: Json, steps: Steps) -> str:
    """`input[].message.phase`, `content[].input_file.filename`, `tools[].function.strict`, `text.format.name`."""
    numbers = [place for place, step in enumerate(steps) if isinstance(step, int)]
    if not numbers:
        return ".".join(map(str, steps))
    last = numbers[-1]
    holder = at(request, steps[: last + 1])
    kind = holder.get("type") or ("message" if "role" in holder else "") if isinstance(holder, dict) else ""
    rest = ".".join(map(str, steps[last + 1 :]))
    if steps[0] in ("stream_options", "tool_choice"):
        return f"{steps[0]}.{steps[1]}"
    return f"{steps[last - 1]}[].{kind}.{rest}"
