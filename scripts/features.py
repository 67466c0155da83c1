"""What each provider does with each feature of a request, found by asking its adapter to build the request.

A feature is a piece of a request. Its outcome is what a client would see: the provider is asked for it (`yes`), it is
left out and named in `x-openresponses-ignored` (`ignored`), the request is refused (`400`), the gateway does it
(`gateway`), or what is sent is the same with and without it (the feature's own word for that).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from openresponses.adapters.base import Turn, UpstreamRequest
from openresponses.adapters.openai_fields import build
from openresponses.adapters.registry import adapter_named
from openresponses.engine.context import normalize_input
from openresponses.engine.mcp.servers import split
from openresponses.protocol.errors import ApiError
from openresponses.protocol.request import parse_request
from openresponses.routing import Router
from openresponses.settings import Settings

Json = dict[str, Any]

# The model that stands for a provider: what it takes may differ from model to model.
MODELS = {
    "openai": "gpt-5.4",
    "anthropic": "claude-opus-4-6",
    "gemini": "gemini-3.5-flash",
    "ollama": "qwen3",
}
CHAT_MODELS = {
    "groq": "groq/openai/gpt-oss-120b",
    "mistral": "mistral/mistral-large-latest",
    "deepseek": "deepseek-chat",
    "xai": "grok-4",
    "together": "together/moonshotai/Kimi-K2",
    "openrouter": "openrouter/openai/gpt-5.4",
    "vllm": "vllm/Qwen/Qwen3-8B",
    "lmstudio": "lmstudio/qwen3-8b",
    "azure": "azure/gpt-5.4",
}

PIXEL = "data:image/png;base64,iVBORw0KGgo="
FUNCTION: Json = {
    "type": "function",
    "name": "get_time",
    "parameters": {
        "type": "object",
        "properties": {"timezone": {"type": "string"}},
        "required": ["timezone"],
        "additionalProperties": False,
    },
}
CUSTOM: Json = {"type": "custom", "name": "run"}
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OFFERED: Json = {"tools": [FUNCTION]}
CALL: Json = {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"}


class Feature(NamedTuple):
    """A row of the tables: its name, the piece of a request, whether the README shows it too.

    `beside` is the request that the piece changes: what is sent must differ from what is sent for that one. `same` is
    the cell where it does not.
    """

    name: str
    fragment: Json
    short: bool = False
    beside: Json | None = None
    same: str = "nothing"


def _said(*parts: Json) -> Json:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Look."}, *parts]}]}


def _middle(role: str) -> Json:
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    return {"input": [*talk, {"role": role, "content": "Be brief."}, {"role": "user", "content": "Go on"}]}


def _result(output: Any) -> Json:
    answer = {"type": "function_call_output", "call_id": "call_1", "output": output}
    return {"tools": [FUNCTION], "input": [{"role": "user", "content": "Time?"}, CALL, answer]}


def _schema(strict: bool) -> Json:
    return {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": strict}}}


INPUT = (
    Feature("text, `instructions`, earlier turns", {"instructions": "Be brief."}, True),
    Feature("system and developer messages in mid-conversation", _middle("developer")),
    Feature("images as data URLs", _said({"type": "input_image", "image_url": PIXEL}), True),
    Feature("images by URL", _said({"type": "input_image", "image_url": "https://example.com/a.png"}), True),
    Feature("images by `file_id`", _said({"type": "input_image", "file_id": "file-1"})),
    Feature(
        "PDFs as `file_data`",
        _said(
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0xLjQ=",
            }
        ),
        True,
    ),
    Feature(
        "text files as `file_data`",
        _said({"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="}),
    ),
    Feature("files by URL", _said({"type": "input_file", "file_url": "https://example.com/a.pdf"})),
    Feature(
        "audio", _said({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}), True
    ),
)
TOOLS = (
    Feature("function tools and their results", _result("12:34"), True),
    Feature(
        "images in a tool's result",
        _result([{"type": "input_text", "text": "Here."}, {"type": "input_image", "image_url": PIXEL}]),
    ),
    Feature("`strict` functions", {"tools": [{**FUNCTION, "strict": True}]}, beside=OFFERED),
    Feature("custom tools (free text)", {"tools": [CUSTOM]}, True),
    Feature(
        "custom tools with a grammar",
        {"tools": [{**CUSTOM, "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "a"'}}]},
    ),
    Feature(
        "tools in namespaces",
        {"tools": [{"type": "namespace", "name": "clock", "description": "Clock", "tools": [FUNCTION]}]},
    ),
    Feature("`tool_choice`: `none`", {"tools": [FUNCTION], "tool_choice": "none"}, beside=OFFERED),
    Feature("`tool_choice`: `required`", {"tools": [FUNCTION], "tool_choice": "required"}, True, OFFERED),
    Feature(
        "`tool_choice`: a named function",
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "get_time"}},
        True,
        OFFERED,
    ),
    Feature(
        "`tool_choice`: `allowed_tools`",
        {
            "tools": [FUNCTION, CUSTOM],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "get_time"}],
            },
        },
        True,
        {"tools": [FUNCTION, CUSTOM]},
        "gateway",
    ),
    Feature(
        "`parallel_tool_calls`: false",
        {"tools": [FUNCTION], "parallel_tool_calls": False},
        beside=OFFERED,
        same="gateway",
    ),
)
OUTPUT = (
    Feature("`text.format`: `json_schema`", _schema(True), True),
    Feature("`json_schema` beside tools", {**_schema(True), "tools": [FUNCTION]}, beside=OFFERED),
    Feature("`text.format`: `json_object`", {"text": {"format": {"type": "json_object"}}}),
    Feature("`reasoning.effort`", {"reasoning": {"effort": "high"}}, True),
    Feature(
        "`reasoning.summary`",
        {"reasoning": {"effort": "high", "summary": "auto"}},
        beside={"reasoning": {"effort": "high"}},
        same="always",
    ),
    Feature(
        "logprobs (`include`, `top_logprobs`)",
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        True,
    ),
)
KNOBS = (
    Feature("`temperature`", {"temperature": 0.5}),
    Feature("`top_p`", {"top_p": 0.5}),
    Feature("`presence_penalty`", {"presence_penalty": 0.5}),
    Feature("`frequency_penalty`", {"frequency_penalty": 0.5}),
    Feature("`max_output_tokens`", {"max_output_tokens": 100}),
    Feature("`text.verbosity`", {"text": {"verbosity": "low"}}),
    Feature("`service_tier`: `flex`", {"service_tier": "flex"}),
    Feature("`service_tier`: `priority`", {"service_tier": "priority"}),
    Feature("`prompt_cache_key`", {"prompt_cache_key": "docs"}),
    Feature("`safety_identifier`", {"safety_identifier": "user-1"}),
)
HOSTED = tuple(
    Feature(f"`{tool['type']}`", {"tools": [tool]}, tool["type"] in ("web_search", "code_interpreter", "mcp"))
    for tool in (
        {"type": "web_search"},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "image_generation"},
        {
            "type": "mcp",
            "server_label": "docs",
            "server_url": "https://example.com/mcp",
            "require_approval": "never",
        },
        {"type": "tool_search"},
        {"type": "computer_use_preview", "display_width": 800, "display_height": 600, "environment": "linux"},
        {"type": "shell"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
    )
)

TOLD, IGNORED, REFUSED, HERE = "yes", "ignored", "400", "gateway"


def built(router: Router, model: str, fragment: Json) -> UpstreamRequest:
    """The provider's request. Raises ApiError where the feature is refused."""
    request = parse_request({"model": model, "input": "Hi", **fragment})
    route = router.resolve(model)
    items = normalize_input(request["input"], "0" * 32)
    choice, allowed = _choice(request)
    turn = Turn(
        provider=route.provider.name,
        model=route.model,
        profile=route.profile,
        request=request,
        instructions=request.get("instructions"),
        input=items,
        tools=request.get("tools", []),
        tool_choice=choice,
        allowed=allowed,
    )
    return build(adapter_named(route.provider.adapter), turn)


def _choice(request: Json) -> tuple[str | Json, frozenset[str] | None]:
    """`tool_choice` and `allowed` of a Turn, for the choices of TOOLS."""
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, str):
        return choice, frozenset() if choice == "none" else None
    if choice["type"] == "allowed_tools":
        return choice["mode"], frozenset(tool["name"] for tool in choice["tools"])
    return choice, frozenset([choice["name"]])


def runs_here(router: Router, model: str, fragment: Json) -> bool:
    """Whether the gateway itself speaks to an MCP server of the request. Raises ApiError where nobody can."""
    adapters = [adapter_named(router.resolve(model).provider.adapter)]
    _, servers = split(fragment.get("tools", []), (), adapters, Settings.load({}))
    return bool(servers)


def outcome(router: Router, model: str, feature: Feature) -> str:
    """What becomes of a feature with a model."""
    try:
        if runs_here(router, model, feature.fragment):
            return HERE
        request = built(router, model, feature.fragment)
    except ApiError:
        return REFUSED
    if request.ignored:
        return IGNORED
    plain = built(router, model, feature.beside or {})
    return feature.same if (request.body, request.headers) == (plain.body, plain.headers) else TOLD


def matrix(features: tuple[Feature, ...], models: dict[str, str]) -> list[list[str]]:
    """A row of cells for each feature: its name, then what each provider does with it."""
    router = Router(Settings.load({}))
    return [[f.name, *(outcome(router, model, f) for model in models.values())] for f in features]
