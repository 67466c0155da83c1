"""Requests that are nearly right: made from the gateway's own OpenAPI document, then damaged.

The document comes from the models that requests are checked with; what it cannot say, which kinds of items there are
and which values make a request go on further, stands in the tables here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from openresponses.http.openapi import OPERATIONS, document
from openresponses.protocol import items

from .dice import CANARY, ODD_TEXTS, damage, damaged_bytes, nonsense, text, written
from .gateway import Exchange

Json = dict[str, Any]

MODELS = (
    "echo", "echo", "echo", "openai/gpt-test", "anthropic/claude-sonnet-4-5", "anthropic/claude-test",
    "gemini/gemini-2.5-flash", "gemini/gemini-3-pro-preview", "ollama/llama-test", "vllm/test-model",
    "groq/m", "mistral/m", "deepseek/m", "xai/m",
    "together/a/b", "openrouter/a/b", "gpt-5", "o3", "claude-opus-4-6", "gemini-2.5-pro",
)  # fmt: skip
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def _kinds(tags: dict[str, str]) -> dict[str, list[str]]:
    by_tag: dict[str, list[str]] = {}
    for kind, tag in tags.items():
        by_tag.setdefault(tag, []).append(kind)
    return by_tag


# Schema → the values of its `type`, which the document leaves open.
TYPES: dict[str, list[str]] = {
    name: kinds[tag]
    for kinds, names in (
        (_kinds(items.PART_TAGS), {"TextPart": "<text>", "RefusalPart": "<refusal>", "ImagePart": "<image>",
                                   "FilePart": "<file>", "VideoPart": "<video>", "AudioPart": "<audio>"}),
        (_kinds(items.ITEM_TAGS), {"FunctionCallItem": "<function_call>", "CustomToolCallItem": "<custom_tool_call>",
                                   "ToolOutputItem": "<tool_output>", "ReasoningItem": "<reasoning>",
                                   "CompactionItem": "<compaction>", "AdditionalTools": "<additional_tools>",
                                   "McpListToolsItem": "<mcp_list_tools>", "McpCallItem": "<mcp_call>",
                                   "McpApprovalResponse": "<mcp_approval_response>",
                                   "ToolSearchOutput": "<tool_search_output>",
                                   "OtherItem": "<other>"}),
        (_kinds(items.TOOL_TAGS), {"FunctionTool": "<function>", "CustomTool": "<custom>",
                                   "NamespaceTool": "<namespace>", "McpTool": "<mcp>", "HostedTool": "<hosted>"}),
    )
    for name, tag in names.items()
}  # fmt: skip
TYPES["ToolChoice"] = ["function", "custom", "allowed_tools", "web_search", "mcp"]

SCHEMAS: tuple[Json, ...] = (
    {"type": "object", "properties": {}},
    {"type": "object", "properties": {"a": {"type": "string", "enum": ["x", None]}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/b"}]}},
     "$defs": {"b": {"type": ["object", "null"], "properties": {"c": {"$ref": "#/$defs/b"}}}}},
    {"type": "object", "allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["a"]}],
     "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "array", "items": {"oneOf": [{"type": "number"}, True]}}}},
    {"type": "object", "patternProperties": {"^x": {"format": "date"}}, "propertyNames": {"maxLength": 3}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}, {"$ref": "#"}, {"type": ["object"]},
    {"type": "object", "properties": {"a": {"if": {}, "then": {"not": {}}, "prefixItems": [{}], "minimum": 1e400}}},
)  # fmt: skip
# Field → what makes sense there, where its schema says "a string" or "an object".
POOLS: dict[str, tuple[Any, ...]] = {
    "model": MODELS,
    "call_id": ("call_1", "call_1", "call_2", "toolu_1"),
    "name": ("f", "f", "g", "a.b", "x" * 64),
    "arguments": ("{}", '{"a":1}', '{"a":"' + CANARY + '"}', "[1]", "not JSON", ""),
    "image_url": (
        PIXEL,
        "https://example.com/a.png",
        "data:image/png,x",
        PIXEL.replace("image/png", CANARY),
        "data:;base64,aGk=",
        "gs://b/o",
        "file:///etc/passwd",
    ),
    "file_url": ("https://example.com/a.pdf", "http://127.0.0.1/x"),
    "video_url": ("https://example.com/a.mp4", "https://www.youtube.com/watch?v=x"),
    "file_data": ("data:application/pdf;base64,JVBERi0=", "JVBERi0=", "data:text/plain;base64,aGk="),
    "filename": ("a.pdf", "b.txt", "x"),
    "data": ("aGk=",),
    "format": ("wav", "mp3"),
    "encrypted_content": ("or1.anthropic.eyJzaWduYXR1cmUiOiJzIn0=", "or1.x.!", "or2.sealed", "opaque"),
    "include": (
        "reasoning.encrypted_content",
        "message.output_text.logprobs",
        "web_search_call.action.sources",
    ),
    "service_tier": ("auto", "default", "priority"),
    "server_label": ("s",),
    "server_url": ("https://example.com/mcp",),
}
FORMS: dict[str, tuple[Json, ...]] = {"parameters": SCHEMAS, "schema": SCHEMAS}
# Of items of hosted tools only the kind is known; their other fields come as they are.
EXTRAS: dict[str, dict[str, tuple[Any, ...]]] = {
    "OtherItem": {
        "call_id": ("call_1", "call_2"), "name": ("f",), "arguments": ("{}",), "status": ("completed", "incomplete"),
        "output": ("done", [{"type": "input_text", "text": "done"}], [1], [{}], {"type": "computer_screenshot"}),
        "action": ({"type": "search", "query": "q"}, {"type": "screenshot"}, "x"), "approve": (True,),
        "approval_request_id": ("mcpr_1", {}), "tools": ([], [{}], [{"name": "f"}], "x"), "server_label": ("s", 1),
        "operation": ({"type": "create_file", "path": "a", "diff": "+a"}, []), "queries": (["q"], "q"),
        "results": ([], [{}]), "result": (None, "aGk="), "code": ("1", None), "container_id": ("c",),
        "outputs": ([], [{}]),
    },
}  # fmt: skip
NEEDED: dict[str, Json] = {  # what the document calls optional, though one of several must be there
    "ImagePart": {"image_url": PIXEL},
    "FilePart": {"file_data": "JVBERi0=", "filename": "a.pdf"},
    "ToolChoice": {"name": "f"},
}
# Fields that are left out more often than not: they end most requests early.
RARE = {
    "conversation",
    "previous_response_id",
    "background",
    "context_management",
    "generate",
    "moderation",
    "prompt",
    "prompt_cache_retention",
    "max_tool_calls",
}


@cache
def schemas() -> Json:
    found: Json = document()["components"]["schemas"]
    return found


class Maker:
    """Makes values of a schema. `ids` are those that exist."""

    def __init__(self, dice: Random, ids: list[str]) -> None:
        self.dice = dice
        self.ids = ids

    def named(self, name: str) -> Json:
        schema = schemas()[name]
        made = self._object(schema)
        for field, value in NEEDED.get(name, {}).items():
            made.setdefault(field, value)
        if name in TYPES:
            made["type"] = self.dice.choice(TYPES[name])
        for field, values in EXTRAS.get(name, {}).items():
            if self.dice.random() < 0.3:
                made[field] = copy.deepcopy(self.dice.choice(values))
        return made

    def value(self, schema: Any, field: str = "") -> Any:
        if not isinstance(schema, dict):
            return nonsense(self.dice)
        if reference := schema.get("$ref"):
            return self.named(reference.rpartition("/")[2])
        for union in ("anyOf", "oneOf"):
            if union in schema:
                choices = schema[union]
                if self.dice.random() < 0.9:
                    choices = [each for each in choices if each != {"type": "null"}] or choices
                return self.value(self.dice.choice(choices), field)
        if "enum" in schema:
            return self.dice.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        return self._plain(schema, field)

    def _plain(self, schema: Json, field: str) -> Any:
        match schema.get("type"):
            case "string":
                return self._text(field)
            case "integer" | "number":
                low, high = schema.get("minimum", 0), schema.get("maximum", 100)
                good = (low, high, low + (high - low) // 2)
                return self.dice.choice(good if self.dice.random() < 0.97 else (low - 1, high + 1, 0.5))
            case "boolean":
                return self.dice.random() < 0.5
            case "array":
                count = self.dice.choice((1, 1, 2, 3, schema.get("minItems", 0)))
                return [self.value(schema.get("items", {}), field) for _ in range(count)]
            case "object" if field in FORMS:
                return self._form(field)
            case "object":
                return self._object(schema)
        return nonsense(self.dice)

    def _text(self, field: str) -> str:
        if field in ("id", "previous_response_id", "conversation") and self.ids and self.dice.random() < 0.8:
            return self.dice.choice(self.ids)
        if field in POOLS and self.dice.random() < 0.95:
            return str(self.dice.choice(POOLS[field]))
        return text(self.dice)

    def _form(self, field: str) -> Json:
        made = copy.deepcopy(self.dice.choice(FORMS[field]))
        while self.dice.random() < 0.3:
            damage(self.dice, made)
        return made

    def _object(self, schema: Json) -> Json:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        made = {}
        for name, inner in properties.items():
            chance = (
                0.97 if name in required or name in ("role", "content") else 0.03 if name in RARE else 0.2
            )
            if self.dice.random() < chance:
                made[name] = self.value(inner, name)
        if "additionalProperties" in schema and self.dice.random() < 0.5:
            made[text(self.dice)[:64]] = self.value(schema["additionalProperties"])
        return made


# --------------------------------------------------------------------------- whole requests


def body_of(dice: Random, name: str, ids: list[str]) -> Json:
    """A body that is mostly right: of CreateResponse and its parts, or of a conversation."""
    make = Maker(dice, ids)
    made = make.named(name)
    if "model" in schemas()[name]["properties"]:
        made["model"] = dice.choice(MODELS)
        if dice.random() < 0.5 or "input" not in made:
            made["input"] = _conversation(dice, make) if dice.random() < 0.6 else text(dice) or "x"
        if dice.random() < 0.4:
            made["stream"] = True
    return made


def _conversation(dice: Random, make: Maker) -> list[Any]:
    """Items in an order that makes sense, more or less."""
    items: list[Any] = [{"role": "user", "content": text(dice) or "x"}]
    for n in range(dice.randrange(3)):
        call = {"call_id": f"call_{n}", "name": "f", "arguments": dice.choice(POOLS["arguments"])}
        items.append({"type": "function_call", **call})
        output = (
            text(dice)
            if dice.random() < 0.5
            else [make.named(dice.choice(("TextPart", "ImagePart", "FilePart")))]
        )
        items.append({"type": "function_call_output", "call_id": f"call_{n}", "output": output})
    for _ in range(dice.choice((0, 0, 1, 3))):
        items.append(make.named(dice.choice([name for name in TYPES if name.endswith(("Item", "Tools"))])))
    if dice.random() < 0.3:
        items.append({"role": "user", "content": [make.named("TextPart"), make.named("ImagePart")]})
    return items


BODIES: dict[str, str] = {
    operation[0]: schema["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    for path, methods in OPERATIONS.items()
    for method, operation in methods.items()
    if "requestBody" in (schema := document()["paths"][path][method])
}
ROUTES = [
    (method.upper(), path, *row) for path, methods in OPERATIONS.items() for method, row in methods.items()
]
CREATE = next(route for route in ROUTES if route[2] == "createResponse")
HEADERS: tuple[tuple[str, Callable[[Random], str]], ...] = (
    ("content-type", lambda dice: dice.choice(("text/plain", "application/json; charset=utf-16", "", "x"))),
    ("content-encoding", lambda dice: dice.choice(("gzip", "identity", "x\u00ff"))),
    ("content-length", lambda dice: dice.choice(("0", "-1", "\u00b2", "9" * 30, "9" * 5000, "x", "1, 1"))),
    ("idempotency-key", lambda dice: dice.choice(("a", "b", "", "x" * 300, "\u00ff", "a b"))),
    ("x-request-id", lambda dice: dice.choice(("a", "\u00ff", "x" * 5000))),
    ("x-tenant", lambda dice: "other"),
    ("accept", lambda dice: dice.choice(("text/event-stream", "*/*"))),
    ("authorization", lambda dice: dice.choice(("Bearer x", "Basic !", "Bearer", ""))),
    ("last-event-id", lambda dice: "1"),
)


def exchange(dice: Random, ids: list[str]) -> Exchange:
    """One request of any route; the body of most that have one is nearly right."""
    method, path, operation, _, parameters = CREATE if dice.random() < 0.75 else dice.choice(ROUTES)
    if dice.random() < 0.01:
        method = dice.choice(("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "x"))
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", _path_value(dice, parameter["name"], ids))
    asked = [each for each in parameters if each["in"] == "query" and dice.random() < 0.3]
    query = urlencode([(each["name"], _query_value(dice, each)) for each in asked])
    headers = tuple((name, make(dice)) for name, make in HEADERS if dice.random() < 0.02)
    return Exchange(method, path, query, _body(dice, operation, ids), headers)


def _body(dice: Random, operation: str, ids: list[str]) -> bytes:
    if operation not in BODIES:
        return b"" if dice.random() < 0.9 else written(nonsense(dice))
    made = body_of(dice, BODIES[operation], ids)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2, 4))):
        damage(dice, made)
    data = written(made)
    return damaged_bytes(dice, data) if dice.random() < 0.15 else data


def _path_value(dice: Random, name: str, ids: list[str]) -> str:
    if name == "model":
        return dice.choice((*MODELS, *ODD_TEXTS))
    prefix = {"response_id": "resp_", "conversation_id": "conv_", "item_id": ""}[name]
    fitting = [each for each in ids if each.startswith(prefix)]
    if fitting and dice.random() < 0.7:
        return dice.choice(fitting)
    return dice.choice((prefix + "0" * 32, prefix, *ODD_TEXTS)).replace("/", quote("/", safe="")) or "x"


def _query_value(dice: Random, parameter: Json) -> str:
    schema = parameter["schema"]
    good = [
        *schema.get("enum", ()),
        schema.get("minimum", 1),
        schema.get("maximum", 2),
        "true",
        "false",
        schema.get("default"),
    ]
    return str(dice.choice((*good, "reasoning.encrypted_content", *ODD_TEXTS)))
