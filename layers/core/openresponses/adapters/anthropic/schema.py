"""JSON Schemas for Anthropic: what goes as it is, what is rewritten into an equal one, what must be wrapped.

A tool's `input_schema` must be a draft 2020-12 schema of an object, without a combinator at its top. Structured outputs
and strict tools take a small subset only. Nothing here weakens a schema: where Anthropic cannot enforce one, the caller
uses it unenforced (a tool without `strict`), as it is.
Source: Anthropic's pages "Define tools" and "Structured outputs" (sections on JSON Schema limitations).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

WRAPPER = "value"  # the one property of a wrapped schema
COMBINATORS = ("anyOf", "oneOf", "allOf")
DEFINITIONS = ("$defs", "definitions")
LITERALS = frozenset({"enum", "const", "default", "examples"})  # values, not schemas
# Objects of schemas by names of any kind.
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", *DEFINITIONS})
PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

# --------------------------------------------------------------------------- input_schema


def input_schema(parameters: Json | None) -> tuple[Json, bool]:
    """A function's parameters as `input_schema`, and whether its arguments travel wrapped in `{"value": ...}`."""
    schema = _modern(_inlined(parameters or {"properties": {}}))
    if any(key in schema for key in COMBINATORS) or "$ref" in schema:
        return wrapped(schema), True
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}  # arguments are an object, whatever else the schema would take
    return schema, False


def answer_schema(schema: Json) -> tuple[Json, bool]:
    """The schema of a structured answer as `input_schema`; wrapped where the answer may be no object."""
    modern = _modern(_inlined(schema))
    if modern.get("type") == "object" and not any(key in modern for key in COMBINATORS):
        return modern, False
    return wrapped(modern), True


def wrapped(schema: Json) -> Json:
    """The schema of `{"value": <instance of schema>}`; references into the schema still reach their target."""
    shared = {key: schema[key] for key in DEFINITIONS if key in schema}
    inner = {key: value for key, value in schema.items() if key not in DEFINITIONS and key != "$schema"}
    outer = {
        "type": "object",
        "properties": {WRAPPER: inner},
        "required": [WRAPPER],
        "additionalProperties": False,
        **shared,
    }
    moved: Json = _each(outer, _rebase)
    return moved


def bad_property(schema: Json) -> str | None:
    """A top-level property whose name Anthropic refuses, if there is one."""
    names = schema.get("properties")
    if not isinstance(names, dict):
        return None
    return next((name for name in names if not PROPERTY_NAME.fullmatch(name)), None)


def _inlined(schema: Json) -> Json:
    """`{"$ref": "#/$defs/X", "$defs": ...}`, which generators write for a named root, as X itself."""
    beside = schema.keys() - {"$ref", "$schema", "title", "description", *DEFINITIONS}
    target = _resolve(schema, schema["$ref"]) if isinstance(schema.get("$ref"), str) and not beside else None
    if not isinstance(target, dict) or "$ref" in target:
        return schema
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _resolve(root: Json, reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _rebase(schema: Json) -> Json:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    if reference.startswith(tuple(f"#/{key}/" for key in DEFINITIONS)):
        return schema
    return {**schema, "$ref": f"#/properties/{WRAPPER}{reference[1:]}"}


def _modern(schema: Json) -> Json:
    """The schema in the words of draft 2020-12, where older drafts' words would be refused."""
    modern: Json = _each(schema, _modern_keywords)
    return modern


def _modern_keywords(schema: Json) -> Json:
    if isinstance(schema.get("items"), list):
        schema = {**schema, "prefixItems": schema["items"]}
        del schema["items"]
        if "additionalItems" in schema:
            schema["items"] = schema.pop("additionalItems")
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            schema = dict(schema)
            if schema.pop(exclusive) and bound in schema:
                schema[exclusive] = schema.pop(bound)
    return schema


def _each(schema: Any, change: Any) -> Any:
    """The schema with `change` applied to every subschema; what did not change is not copied."""
    if isinstance(schema, list):
        items = [_each(item, change) for item in schema]
        return items if any(new is not old for new, old in zip(items, schema, strict=True)) else schema
    if not isinstance(schema, dict):
        return schema
    new = {
        key: value if key in LITERALS else _each_of(value, change) if key in NAMED else _each(value, change)
        for key, value in schema.items()
    }
    return change(new if any(new[key] is not schema[key] for key in new) else schema)


def _each_of(schemas: Any, change: Any) -> Any:
    """The same for every schema of an object that names them."""
    if not isinstance(schemas, dict):
        return schemas
    new = {name: _each(schema, change) for name, schema in schemas.items()}
    return new if any(new[name] is not schemas[name] for name in new) else schemas


# --------------------------------------------------------------------------- structured outputs

FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
ANNOTATIONS = frozenset({"title", "description", "default"})
KEYWORDS = ANNOTATIONS | {
    *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "allOf"),
    *("$ref", "$defs", "definitions", "format", "minItems", "pattern"),
}
HARD_PATTERN = re.compile(r"\(\?|\\[bB1-9]|\{")
MAX_OPTIONAL = 24
MAX_UNIONS = 16


def enforceable(schema: Json) -> Json | None:
    """The schema, if Anthropic's structured outputs can enforce all of it; else None."""
    root = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        return root if root.get("type") == "object" and _enforceable(root) else None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):  # no JSON Schema
        return None


def _enforceable(root: Json) -> bool:
    seen = list(_subschemas(root))
    if not all(isinstance(each, dict) and _plain(each) for each in seen) or _recursive(root):
        return False
    optional = sum(len(each.get("properties", {}).keys() - set(each.get("required", ()))) for each in seen)
    unions = sum("anyOf" in each or isinstance(each.get("type"), list) for each in seen)
    return optional <= MAX_OPTIONAL and unions <= MAX_UNIONS


def _subschemas(schema: Any) -> Iterator[Any]:
    yield schema
    if not isinstance(schema, dict):
        return
    for key in ("properties", *DEFINITIONS):
        inner = schema.get(key)
        for each in inner.values() if isinstance(inner, dict) else ():
            yield from _subschemas(each)
    for key in ("anyOf", "allOf"):
        inner = schema.get(key)
        for each in inner if isinstance(inner, list) else ():
            yield from _subschemas(each)
    if "items" in schema:
        yield from _subschemas(schema["items"])


def _plain(schema: Json) -> bool:
    """Whether this subschema, without those below it, is in the subset."""
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    values = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]
    reference = schema.get("$ref", "#/")
    return (
        schema.keys() <= KEYWORDS
        and TYPES.issuperset(types)
        and ("object" not in types or schema.get("additionalProperties") is False)
        and isinstance(schema.get("properties", {}), dict)
        and not any(isinstance(value, (dict, list)) for value in values)
        and schema.get("format", "uuid") in FORMATS
        and schema.get("minItems", 0) in (0, 1)
        and not HARD_PATTERN.search(schema.get("pattern", ""))
        and isinstance(reference, str)
        and reference.startswith("#/")
        and not any("$ref" in each for each in schema.get("allOf", ()) if isinstance(each, dict))
    )


def _recursive(root: Json) -> bool:
    """Whether some definition reaches itself, or a reference leads nowhere."""

    def targets(schema: Any) -> set[str]:
        found = (each.get("$ref") for each in _subschemas(schema) if isinstance(each, dict))
        return {reference for reference in found if reference}

    ends: set[str] = set()  # references that are known to reach an end

    def reaches_itself(reference: str, path: frozenset[str]) -> bool:
        target = _resolve(root, reference)
        if reference in path or not isinstance(target, dict):
            return True
        found = any(reaches_itself(each, path | {reference}) for each in targets(target) - ends)
        ends.add(reference)
        return found

    return any(reaches_itself(reference, frozenset()) for reference in targets(root))
