"""What becomes of each field of a request with each provider, found by asking its adapter with the field and without.

The fields are those of the protocol's own types; a test compares them with the specification's. `SAMPLES` holds one of
each kind of item, part and tool with all of its fields; `TOP` one of each field of the body.

    yes       the provider is asked for it, in its own terms
    ignored   left out, and named in `x-openresponses-ignored`
    400       refused; `param` names it
    echoed    not sent; the response tells it back
    gateway   not sent; HANDLED says what the gateway does with it
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from openresponses.adapters.base import Turn, UpstreamRequest
from openresponses.adapters.openai_fields import build
from openresponses.adapters.registry import adapter_named
from openresponses.engine.context import normalize_input
from openresponses.engine.hosted_tools import HostedTools
from openresponses.engine.tools import resolve_tools
from openresponses.explain.handled import HANDLED as EXPLAINED
from openresponses.explain.handled import OF_ITEMS, OF_MCP
from openresponses.protocol import items
from openresponses.protocol.errors import ApiError
from openresponses.protocol.request import (
    CreateResponse,
    Reasoning,
    StreamOptions,
    Text,
    TextFormat,
    ToolChoice,
    parse_request,
)
from openresponses.protocol.response import new_response
from openresponses.protocol.state import seal
from openresponses.routing import Router
from openresponses.settings import Settings
from pydantic import Tag
from typing_extensions import get_type_hints, is_typeddict

from .features import FUNCTION, MODELS, PIXEL, SCHEMA, runs_here

Json = dict[str, Any]

PROVIDERS = MODELS | {"groq": "groq/openai/gpt-oss-120b", "vllm": "vllm/Qwen/Qwen3-8B",
                      "bedrock": "bedrock/anthropic.claude-opus-4-6-v1"}  # fmt: skip
SAID: Json = {"role": "user", "content": "Hi"}
TALK: list[Json] = [SAID, {"role": "assistant", "content": "Hello"}, SAID]
PDF = "data:application/pdf;base64,JVBERi0xLjQ="
CALL: Json = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "get_time",
    "arguments": '{"timezone": "UTC"}',
}
CUSTOM_CALL: Json = {"type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": "ls"}

# --------------------------------------------------------------------------- samples

# One of each content part, with all of its fields.
PARTS: dict[str, Json] = {
    "input_text": {"text": "Look"},
    "output_text": {"text": "Well", "annotations": [{"type": "url_citation", "url": "https://example.com/",
                    "title": "A page", "start_index": 0, "end_index": 4}]},
    "refusal": {"refusal": "No."},
    "input_image": {"image_url": PIXEL, "detail": "high"},
    "input_file": {"file_data": PDF, "filename": "a.pdf"},
    "input_video": {"video_url": "data:video/mp4;base64,AAAA"},
    "input_audio": {"input_audio": {"data": "UklGRg==", "format": "wav"}},
}  # fmt: skip
# The same field in another way: one of several that exclude each other.
OTHER_WAYS: dict[str, Json] = {
    "input_image.file_id": {"file_id": "file-1"},
    "input_file.file_url": {"file_url": "https://example.com/a.pdf"},
    "input_file.file_id": {"file_id": "file-1"},
    "mcp.connector_id": {
        "server_label": "docs",
        "connector_id": "connector_dropbox",
        "require_approval": "never",
    },
}
ONE_OF = ("input_image.image_url", "input_file.file_data", "mcp.server_url")
OF_ASSISTANT = ("output_text", "refusal")
# Names of older drafts and of other lists for a text part.
ALIASES = ("text", "summary_text", "reasoning_text")

ITEMS: dict[str, Json] = {
    "message": {"id": "msg_x", "role": "assistant", "content": "Yes", "status": "completed", "phase": "final_answer"},
    "function_call": {**CALL, "id": "fc_x", "status": "completed", "namespace": "clock"},
    "custom_tool_call": {**CUSTOM_CALL, "id": "ctc_x", "status": "completed", "namespace": "shell"},
    "function_call_output": {"id": "fco_x", "call_id": "call_1", "output": "12:34", "status": "completed"},
    "custom_tool_call_output": {"id": "cto_x", "call_id": "call_1", "output": "12:34", "status": "completed"},
    "reasoning": {"id": "rs_x", "summary": [{"type": "summary_text", "text": "Hm"}], "status": "completed",
                  "content": [{"type": "reasoning_text", "text": "Hm"}], "encrypted_content": "STATE"},
}  # fmt: skip
TOOLS: dict[str, Json] = {
    "function": {**FUNCTION, "description": "Tells the time", "strict": True},
    "custom": {"name": "run", "description": "Runs it",
               "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}},
    "namespace": {"name": "clock", "description": "Clocks", "tools": [FUNCTION]},
    "mcp": {"server_label": "docs", "server_url": "https://example.com/mcp", "require_approval": "never",
            "server_description": "Docs", "authorization": "token", "headers": {"x-team": "blue"},
            "allowed_tools": ["find"]},
}  # fmt: skip
FORMAT: Json = {
    "type": "json_schema",
    "name": "place",
    "description": "A place",
    "schema": SCHEMA,
    "strict": True,
}

BOTH: list[Json] = [FUNCTION, {"type": "custom", "name": "run"}]
LIMIT: Json = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_time"}]}

# Each field of the body: the piece of a request that holds it, and the request beside it that does not.
TOP: dict[str, tuple[Json, Json]] = {
    "model": ({}, {"model": None}),
    "input": ({"input": "Hi"}, {"input": "Ho"}),
    "previous_response_id": ({"previous_response_id": "resp_" + "0" * 32}, {}),
    "conversation": ({"conversation": "conv_1"}, {}),
    "instructions": ({"instructions": "Be brief."}, {}),
    "include": ({"include": ["message.output_text.logprobs"]}, {}),
    "tools": ({"tools": [FUNCTION]}, {}),
    "tool_choice": ({"tools": [FUNCTION], "tool_choice": "none"}, {"tools": [FUNCTION]}),
    "tool_choice.name": (
        {"tools": BOTH, "tool_choice": {"type": "function", "name": "get_time"}},
        {"tools": BOTH},
    ),
    "tool_choice.mode": (
        {"tools": BOTH, "tool_choice": {**LIMIT, "mode": "required"}},
        {"tools": BOTH, "tool_choice": LIMIT},
    ),
    "tool_choice.tools": ({"tools": BOTH, "tool_choice": LIMIT}, {"tools": BOTH}),
    "parallel_tool_calls": ({"tools": [FUNCTION], "parallel_tool_calls": False}, {"tools": [FUNCTION]}),
    "max_tool_calls": ({"max_tool_calls": 3}, {}),
    "metadata": ({"metadata": {"a": "b"}}, {}),
    "text": ({"text": {"format": FORMAT}}, {}),
    "text.format": ({"text": {"format": {"type": "json_object"}}}, {}),
    "text.verbosity": ({"text": {"verbosity": "low"}}, {}),
    "reasoning": ({"reasoning": {"effort": "high"}}, {}),
    "reasoning.effort": ({"reasoning": {"effort": "high"}}, {}),
    "reasoning.summary": (
        {"reasoning": {"effort": "high", "summary": "auto"}},
        {"reasoning": {"effort": "high"}},
    ),
    "temperature": ({"temperature": 0.5}, {}),
    "top_p": ({"top_p": 0.5}, {}),
    "presence_penalty": ({"presence_penalty": 0.5}, {}),
    "frequency_penalty": ({"frequency_penalty": 0.5}, {}),
    "top_logprobs": ({"top_logprobs": 2}, {}),
    "max_output_tokens": ({"max_output_tokens": 100}, {}),
    "truncation": ({"truncation": "auto"}, {}),
    "stream": ({"stream": True}, {}),
    "stream_options": ({"stream_options": {"include_obfuscation": False}}, {}),
    "stream_options.include_obfuscation": ({"stream_options": {"include_obfuscation": False}}, {}),
    "background": ({"background": True}, {}),
    "generate": ({"generate": True}, {}),
    "store": ({"store": False}, {}),
    "service_tier": ({"service_tier": "flex"}, {}),
    "safety_identifier": ({"safety_identifier": "user-1"}, {}),
    "prompt_cache_key": ({"prompt_cache_key": "docs"}, {}),
    "prompt_cache_retention": ({"prompt_cache_retention": "24h"}, {}),
    "prompt": ({"prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}}}, {}),
    "prompt_cache_options": ({"prompt_cache_options": {"ttl": "30m"}}, {}),
    "context_management": ({"context_management": [{"type": "compaction", "compact_threshold": 9000}]}, {}),
    "moderation": ({"moderation": {"model": "omni-moderation-latest"}}, {}),
    "access_programs": ({"access_programs": {"cyber": "standard"}}, {}),
    "image": ({"image": {"context_compression": "disabled"}}, {}),
    "background_options": ({"background_options": {"completion_window": "2h"}}, {}),
    "user": ({"user": "user-1"}, {}),
    "reasoning.generate_summary": (
        {"reasoning": {"effort": "high", "generate_summary": "auto"}},
        {"reasoning": {"effort": "high"}},
    ),
    "reasoning.context": ({"reasoning": {"context": "all_turns"}}, {}),
    "reasoning.mode": ({"reasoning": {"mode": "pro"}}, {}),
}

# What is neither sent, nor refused, nor named as ignored, and why nothing is lost.
HANDLED = EXPLAINED | {f"input[].{kind}.{name}": why for kind in ITEMS for name, why in OF_ITEMS.items()}
# Where the provider cannot do all that is asked of an MCP server.
HANDLED |= {f"tools[].mcp.{name}": OF_MCP for name in ("server_label", *TOOLS["mcp"])}
# Kinds of items, parts and tools that have a table of their own.
ELSEWHERE = {*items.HOSTED_TOOLS, *items.OTHER_ITEMS, "item_reference", "compaction", "compaction_summary",
             "additional_tools", *ALIASES}  # fmt: skip


# --------------------------------------------------------------------------- the protocol's own fields


OBJECTS: dict[str, Any] = {
    "text": Text,
    "text.format": TextFormat,
    "reasoning": Reasoning,
    "tool_choice": ToolChoice,
    "stream_options": StreamOptions,
}
# Fields of the specification that are kept as they come.
UNCHECKED = {"content[].output_text.annotations": False}
UNIONS: tuple[tuple[str, dict[str, str], Any], ...] = (
    ("content[]", items.PART_TAGS, items.Part),
    ("input[]", items.ITEM_TAGS, items.Item),
    ("tools[]", items.TOOL_TAGS, items.Tool),
)


def known() -> dict[str, bool]:
    """Every field that the protocol checks, as `input[].message.role`, and whether it is required."""
    found = dict.fromkeys(get_type_hints(CreateResponse), False)
    for prefix, shape in OBJECTS.items():
        found |= {f"{prefix}.{name}": False for name in get_type_hints(shape) if name != "type"}
    for place, tags, union in UNIONS:
        shapes = dict(_tagged(union))
        for kind, tag in tags.items():
            if kind not in ELSEWHERE:
                hints = get_type_hints(shapes[tag], include_extras=True)
                found |= {
                    f"{place}.{kind}.{name}": "NotRequired" not in str(get_origin(hint))
                    for name, hint in hints.items()
                    if name != "type"
                }
    return found | UNCHECKED


def _tagged(union: Any) -> Iterator[tuple[str, Any]]:
    """(tag, TypedDict) of each member of a discriminated union."""
    if get_origin(union) is Annotated:
        inner, *notes = get_args(union)
        tags = [note.tag for note in notes if isinstance(note, Tag)]
        if tags and is_typeddict(inner):
            yield tags[0], inner
        else:
            yield from _tagged(inner)
    else:
        for member in get_args(union):
            yield from _tagged(member)


# --------------------------------------------------------------------------- asking the adapters


class Case(NamedTuple):
    """A field, the request with it, and the one without it (or, for a required field, without its whole object)."""

    field: str
    asked: Json
    beside: Json


def cases() -> Iterator[Case]:
    for field, required in known().items():
        yield Case(field, *_requests(field, required))


def _requests(field: str, required: bool) -> tuple[Json, Json]:
    if field in TOP:
        return TOP[field]
    place, kind, name = field.rsplit(".", 2)
    if (place, kind) == ("text", "format"):
        return {"text": {"format": FORMAT}}, {"text": {"format": _without(FORMAT, name)}}
    holder, samples = HOLDERS[place]
    sample = OTHER_WAYS.get(f"{kind}.{name}") or samples[kind]
    if not required and f"{kind}.{name}" not in {*OTHER_WAYS, *ONE_OF}:
        return holder(kind, sample), holder(kind, _without(sample, name))
    bare = {key: value for key, value in sample.items() if key not in OPTIONAL or key == name}
    return holder(kind, bare), holder(kind, None)


def _without(sample: Json, name: str) -> Json:
    """The sample without the field; without a name of its own kind, with another."""
    rest = {key: value for key, value in sample.items() if key != name}
    return {**rest, name: OTHER_VALUES[name]} if name in OTHER_VALUES else rest


# Fields that a sample can do without, and that may have an outcome of their own.
OPTIONAL = {"detail", "strict", "phase", "id", "status"}
# A field that cannot be left out has another value instead.
OTHER_VALUES: Json = {"schema": {**SCHEMA, "title": "Place"}, "name": "spot"}


def _in_message(kind: str, part: Json | None) -> Json:
    role = "assistant" if kind in OF_ASSISTANT else "user"
    text = {"type": "output_text" if role == "assistant" else "input_text", "text": "See:"}
    parts = [text] if part is None else [text, {"type": kind, **part}]
    return {"input": [SAID, {"role": role, "content": parts}, SAID]}


def _as_item(kind: str, item: Json | None) -> Json:
    made = [] if item is None else [{"type": kind, **item}]
    call = CUSTOM_CALL if kind.startswith("custom") else CALL
    output = {"type": f"{call['type']}_output", "call_id": "call_1", "output": "12:34"}
    if item is not None and kind.endswith("_output"):
        made = [call, *made]
    elif item is not None and kind.endswith("_call"):
        made = [*made, output]
    elif kind == "reasoning":
        made = [*made, {"role": "assistant", "content": "Hello"}]
    return {"tools": BOTH, "input": [SAID, *made, SAID]}


def _as_tool(kind: str, tool: Json | None) -> Json:
    return {"tools": [] if tool is None else [{"type": kind, **tool}]}


HOLDERS = {"content[]": (_in_message, PARTS), "input[]": (_as_item, ITEMS), "tools[]": (_as_tool, TOOLS)}


# Reasoning's state, as each provider gives it.
THINKING: Json = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
STATES: Json = {"openai": "opaque", "anthropic": {"blocks": [THINKING]},
                "gemini": {"on": "thought", "signature": "c2ln"}, "ollama": {"thinking": "Hm"},
                "vllm": {"reasoning_content": "Hm"}, "groq": {"reasoning_details": []},
                "bedrock": {"blocks": [{"reasoningText": {"text": "Hm", "signature": "c2ln"}}]}}  # fmt: skip


def built(router: Router, model: str, fragment: Json) -> UpstreamRequest:
    """The provider's request, as the engine would have it made. Raises ApiError where it is refused."""
    request = parse_request({"model": model, "input": TALK, **fragment})
    route = router.resolve(model)
    given = [
        _with_state(item, route.provider.name, route.model)
        for item in normalize_input(request["input"], "0" * 32)
    ]
    chosen = resolve_tools(request, given, HostedTools())
    turn = Turn(route.provider.name, route.model, route.profile, request, request.get("instructions"), given,
                chosen.tools, chosen.choice, chosen.allowed)  # fmt: skip
    return build(adapter_named(route.provider.adapter), turn)


def _with_state(item: Json, provider: str, model: str) -> Json:
    if item.get("encrypted_content") != "STATE":
        return item
    state = STATES[provider]
    payload = {**state, "model": model} if provider == "gemini" else state
    return {**item, "encrypted_content": seal(provider, payload)}


def outcome(router: Router, model: str, case: Case, handled: Container[str] = HANDLED) -> str:
    """The cell of a field; "" where it would be dropped in silence."""
    if case.field == "model":
        return "yes"  # it is what the whole request goes by
    try:
        if runs_here(router, model, case.asked):
            return "gateway"
        sent = built(router, model, case.asked)
    except ApiError as error:
        return "400" if error.param else ""
    plain = built(router, model, case.beside)
    if set(sent.ignored) - set(plain.ignored):
        return "ignored"
    if (sent.path, sent.body, sent.headers) != (plain.path, plain.body, plain.headers):
        return "yes"
    if case.field in handled:
        return "gateway"
    return "echoed" if _echoed(case, model) else ""


def _echoed(case: Case, model: str) -> bool:
    shown = [new_response("resp_1", parse_request({"model": model, "input": "Hi", **part}), 0)
             for part in (case.asked, case.beside) if "input" not in part]  # fmt: skip
    return len(shown) == 2 and shown[0] != shown[1]


def matrix() -> list[list[str]]:
    """A row for each field: its name, its cell for each provider, what the gateway does where a cell says so."""
    router = Router(Settings.load({}))
    rows = []
    for case in cases():
        cells = [outcome(router, model, case) for model in PROVIDERS.values()]
        rows.append([case.field, *cells, HANDLED.get(case.field, "") if "gateway" in cells else ""])
    return rows
