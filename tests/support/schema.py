"""Is it what the official schema says? Every response and every event is checked against the specification's file.

The file is test data beside the checkout; where it is absent, only the shapes listed here are checked. What OpenAI's
API has beyond the specification is exempt by the tables below alone, each with the shape that clients rely on.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from .compiled import Compiler

Json = dict[str, Any]

SPEC = Path(__file__).parents[3] / "shared/spec/openapi-2026-04-24.json"
REF = "#/components/schemas/"

STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
ARRAY: Json = {"type": "array"}
NULLABLE_STRING: Json = {"type": ["string", "null"]}
STATUS: Json = {"type": "string"}


def shape(**fields: Any) -> Json:
    """An object that has at least these fields."""
    return {"type": "object", "required": list(fields), "properties": fields}


def item(**fields: Any) -> Json:
    return shape(id=STRING, status=STATUS, **fields)


# Items that OpenAI has and the specification has not. All keep OpenAI's names.
ITEMS: dict[str, Json] = {
    "custom_tool_call": item(call_id=STRING, name=STRING, input=STRING),
    "custom_tool_call_output": item(call_id=STRING, output={"type": ["string", "array"]}),
    "web_search_call": item(),
    "file_search_call": item(queries=ARRAY),
    "code_interpreter_call": item(code=NULLABLE_STRING, container_id=NULLABLE_STRING),
    "image_generation_call": item(result=NULLABLE_STRING),
    "local_shell_call": item(call_id=STRING, action={"type": "object"}),
    "shell_call": item(call_id=STRING, action={"type": "object"}),
    "shell_call_output": item(call_id=STRING, output=ARRAY),
    "apply_patch_call": item(call_id=STRING, operation={"type": "object"}),
    "tool_search_call": item(),
    "tool_search_output": item(tools=ARRAY),
    "mcp_call": item(server_label=STRING, name=STRING, arguments=STRING),
    "mcp_list_tools": item(server_label=STRING, tools=ARRAY),
    "mcp_approval_request": item(server_label=STRING, name=STRING, arguments=STRING),
    "program": item(call_id=STRING, code=STRING, fingerprint=STRING),
    "program_output": item(call_id=STRING, result=STRING),
}

ANNOTATIONS: dict[str, Json] = {
    "file_citation": shape(file_id=STRING, index=INTEGER),
    "container_file_citation": shape(
        container_id=STRING, file_id=STRING, start_index=INTEGER, end_index=INTEGER
    ),
    "file_path": shape(file_id=STRING, index=INTEGER),
}

# Those of the specification.
OWN_ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning", "compaction"})
OWN_ANNOTATIONS = frozenset({"url_citation"})

# Tools as a response echoes them: what the client sent, so only the kind is known.
TOOLS: dict[str, Json] = {
    kind: shape()
    for kind in (
        "web_search", "web_search_preview", "web_search_preview_2025_03_11", "web_search_2025_08_26", "file_search",
        "code_interpreter", "image_generation", "mcp", "local_shell", "shell", "apply_patch", "tool_search",
        "computer", "computer_use", "computer_use_preview", "programmatic_tool_calling",
    )
}  # fmt: skip
TOOLS["custom"] = shape(name=STRING)
TOOLS["namespace"] = shape(name=STRING, tools=ARRAY)

OF_ITEM: Json = shape(sequence_number=INTEGER, item_id=STRING, output_index=INTEGER)


def of_item(**fields: Any) -> Json:
    return {"allOf": [OF_ITEM, shape(**fields)]}


# Events of those items.
EVENTS: dict[str, Json] = {
    "response.custom_tool_call_input.delta": of_item(delta=STRING),
    "response.custom_tool_call_input.done": of_item(input=STRING),
    "response.code_interpreter_call_code.delta": of_item(delta=STRING),
    "response.code_interpreter_call_code.done": of_item(code=STRING),
    "response.image_generation_call.partial_image": of_item(
        partial_image_b64=STRING, partial_image_index=INTEGER
    ),
    "response.mcp_call_arguments.delta": of_item(delta=STRING),
    "response.mcp_call_arguments.done": of_item(arguments=STRING),
    "response.apply_patch_call_operation_diff.delta": of_item(delta=STRING),
    "response.apply_patch_call_operation_diff.done": of_item(diff=STRING),
    # OpenAI sends these without an item_id
    "response.shell_call_command.added": shape(sequence_number=INTEGER, output_index=INTEGER),
    "response.shell_call_command.delta": shape(sequence_number=INTEGER, output_index=INTEGER),
    "response.shell_call_command.done": shape(sequence_number=INTEGER, output_index=INTEGER),
    "response.shell_call_output_content.delta": shape(sequence_number=INTEGER, output_index=INTEGER),
    "response.shell_call_output_content.done": shape(sequence_number=INTEGER, output_index=INTEGER),
    **{
        f"response.{kind}.{phase}": OF_ITEM
        for kind, phases in {
            "compaction": ("compacting",),
            "web_search_call": ("in_progress", "searching", "completed"),
            "file_search_call": ("in_progress", "searching", "completed"),
            "code_interpreter_call": ("in_progress", "interpreting", "completed"),
            "image_generation_call": ("in_progress", "generating", "completed"),
            "mcp_call": ("in_progress", "completed", "failed"),
            "mcp_list_tools": ("in_progress", "completed", "failed"),
        }.items()
        for phase in phases
    },
}

# Where the published file contradicts what it describes, or OpenAI's values go further.
OBJECT_OR_NULL: Json = {"type": ["object", "null"]}
CORRECTIONS: dict[tuple[str, ...], Json] = {
    # generated as "null only"; the request's own schema is an object
    ("JsonSchemaResponseFormat", "properties", "schema"): OBJECT_OR_NULL,
    ("ReasoningEffortEnum",): {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max"]},
}

# Where the gateway promises more than the file asks for.
PROMISED = {
    "ReasoningBody": "status",
    "CompactionBody": "status",
    "OutputTextContent": "logprobs",
    "Error": "type",
}


@cache
def spec() -> Json | None:
    """The specification's components, made precise: unions are told apart by their discriminator."""
    if not SPEC.exists():
        return None
    schemas: Json = json.loads(SPEC.read_text())["components"]["schemas"]
    for path, replacement in CORRECTIONS.items():
        node = schemas
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = replacement
    for name, field in PROMISED.items():
        schemas[name]["required"].append(field)
    extend(schemas["ItemField"], ITEMS)
    extend(schemas["Annotation"], ANNOTATIONS)
    extend(schemas["Tool"], TOOLS)
    choices = schemas["ResponseResource"]["properties"]["tool_choice"]
    schemas["ResponseResource"]["properties"]["tool_choice"] = {
        "if": {"required": ["type"], "properties": {"type": {"enum": list(TOOLS)}}, "type": "object"},
        "then": {},
        "else": choices,
    }
    extend(schemas["AllowedToolChoice"]["properties"]["tools"]["items"], TOOLS)
    return {
        "components": {"schemas": {name: told_apart(schema, schemas) for name, schema in schemas.items()}}
    }


def extend(union: Json, kinds: dict[str, Json]) -> None:
    union.setdefault("discriminator", {"propertyName": "type"})
    union["oneOf"] += [{**schema, "properties": {**schema["properties"], "type": {"enum": [kind]}}}
                       for kind, schema in kinds.items()]  # fmt: skip


def told_apart(schema: Any, schemas: Json) -> Any:
    """The schema with each discriminated oneOf as a choice by `type`: one error that matters, not one a branch."""
    if isinstance(schema, list):
        return [told_apart(part, schemas) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: told_apart(part, schemas) for key, part in schema.items()}
    if "discriminator" not in schema or "oneOf" not in schema:
        return schema
    branches = {}
    for branch in schema["oneOf"]:
        target = schemas[branch["$ref"].removeprefix(REF)] if "$ref" in branch else branch
        kind = target["properties"]["type"]
        if "enum" not in kind:  # of the request's unions, which are not checked here
            return schema
        branches[kind["enum"][0]] = branch
    schema.pop("oneOf")
    schema.pop("discriminator")
    schema.update(shape(type={"enum": list(branches)}))
    schema["allOf"] = [
        {"if": {"properties": {"type": {"const": kind}}}, "then": branch} for kind, branch in branches.items()
    ]
    return schema


class Validator:
    """A schema's verdict by the compiled form, its explanation by `jsonschema`."""

    def __init__(self, schema: Json) -> None:
        document = spec() or {}
        self.passes = Compiler(document).compile(schema)
        self.slow = Draft202012Validator({**document, **schema})

    def check(self, value: Any) -> None:
        """Raises AssertionError, naming the place that is wrong."""
        if self.passes(value):
            return
        error = best_match(self.slow.iter_errors(value))
        assert error, f"only the compiled form of the schema refuses {json.dumps(value)[:600]}"
        where = "/".join(map(str, error.absolute_path)) or "(top)"
        raise AssertionError(f"schema: {where}: {error.message[:300]}; in {json.dumps(value)[:600]}")


@cache
def validator(name: str) -> Validator:
    return Validator({"$ref": REF + name} if spec() else {})


@cache
def event_validators() -> dict[str, Validator]:
    """Event type → its validator: the specification's and those of EVENTS."""
    validators = {kind: Validator(schema) for kind, schema in EVENTS.items()}
    for name, schema in (spec() or {"components": {"schemas": {}}})["components"]["schemas"].items():
        if name.endswith("StreamingEvent"):
            validators[schema["properties"]["type"]["enum"][0]] = validator(name)
    return validators


def check(name: str, value: Any) -> None:
    """Raises AssertionError if `value` is not a `name` of the specification."""
    validator(name).check(value)


def check_response(response: Json) -> None:
    check("ResponseResource", response)


def has_new_kinds(response: Json) -> bool:
    """Whether it holds items or annotations of kinds that nobody knows: OpenAI's are told as they come."""
    for item in response.get("output", ()):
        if item["type"] not in OWN_ITEMS and item["type"] not in ITEMS:
            return True
        parts = item.get("content") if item["type"] == "message" else ()
        told = (annotation["type"] for part in parts or () for annotation in part.get("annotations", ()))
        if any(kind not in OWN_ANNOTATIONS and kind not in ANNOTATIONS for kind in told):
            return True
    return False


def check_item(item: Json) -> None:
    check("ItemField", item)


def check_event(event: Json) -> None:
    kind = event.get("type")
    validators = event_validators()
    if spec() is None and kind not in EVENTS:
        return
    assert kind in validators, f"unknown event type {kind!r}"
    validators[kind].check(event)


def check_error(body: Json) -> None:
    """An HTTP error's body."""
    assert set(body) == {"error"}, body
    check("ErrorPayload", body["error"])
