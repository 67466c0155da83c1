"""JSON Schemas in the making: references, and what must hold together as one schema. Used by `schema`, which rewrites.

A `$ref` with neighbours and an `allOf` are conditions that hold together; `flat` says them as one. Where two keywords
cannot be said as one, the first is kept and the result is no longer `exact`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from ..protocol.errors import ApiError, quoted

Json = dict[str, Any]
Schema = Json | bool

MAX_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """`constraints`: assertions taken as they are. `references`: `$ref` and `$defs` are. `formats`: of strings."""

    constraints: frozenset[str]
    formats: frozenset[str]
    references: bool


# --------------------------------------------------------------------------- what the keywords are

ANNOTATIONS = ("title", "description", "default")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
# Which assertions say something about a type; those of other types are void beside it.
ASSERTIONS: dict[str, tuple[str, ...]] = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType"),
    "array": ("prefixItems", "items", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains",
              "unevaluatedItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties",
               "propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"),
}  # fmt: skip
ASSERTIONS["integer"] = ASSERTIONS["number"]
STRUCTURE = frozenset({"properties", "required", "additionalProperties", "items", "prefixItems"})
# Assertions about any type that no dialect has a word for.
LOGIC = ("not", "if", "then", "else", "$dynamicRef")
LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "type", "enum", "const", *LOGIC}).union(
    *ASSERTIONS.values()
)


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if value == int(value) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def same(a: Any, b: Any) -> bool:
    """Equal as JSON values: True is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def types_of(schema: Json) -> list[str]:
    given = schema.get("type")
    return [given] if isinstance(given, str) else list(given or ())


def common_types(a: list[str], b: list[str]) -> list[str]:
    common = [kind for kind in a if kind in b]
    integers = ("integer" in a and "number" in b) or ("integer" in b and "number" in a)
    return [
        *common,
        *(["integer"] if integers and "integer" not in common and "number" not in common else []),
    ]


def without_const(schema: Json) -> Json:
    if "const" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "const"}
    if "enum" in rest:
        return {**rest, "enum": [value for value in rest["enum"] if same(value, schema["const"])]}
    return {**rest, "enum": [schema["const"]]}


class Contradiction(Exception):
    """A part of the schema accepts nothing: an alternative to leave out, else no schema that Gemini has a word for."""


class Merger:
    """`exact` is False once something could not be kept; `nodes` counts the work, which is limited."""

    def __init__(self, root: Json, dialect: Dialect, param: str | None) -> None:
        self.root = root
        self.dialect = dialect
        self.param = param
        self.exact = True
        self.nodes = 0

    @cached_property
    def anchors(self) -> dict[str, Json]:
        """The schemas that have a name of their own."""
        named = [node for node in objects_in(self.root) if isinstance(node.get("$anchor"), str)]
        return {node["$anchor"]: node for node in reversed(named)}

    def refuse(self, reason: str) -> ApiError:
        return ApiError(
            "unsupported_value", f"This JSON Schema cannot be given to Gemini: {reason}.", param=self.param
        )

    def count(self, nodes: int) -> None:
        """Limits the work: small schemas can stand for very large ones."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.refuse("with its references and combinations resolved it is too large")

    def resolve(self, place: Any) -> Schema:
        """What a reference within the document names."""
        document, _, fragment = place.partition("#") if isinstance(place, str) else ("?", "", "")
        if document and document != self.root.get("$id"):
            raise self.refuse(f"the reference {quoted(str(place))} leads out of it")
        if fragment and not fragment.startswith("/"):
            found = self.anchors.get(fragment)
        else:
            found = self.root
            for step in fragment.split("/")[1:]:
                step = unquote(step).replace("~1", "/").replace("~0", "~")
                if isinstance(found, list):
                    found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
                else:
                    found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, (dict, bool)):
            raise self.refuse(f"the reference {quoted(str(place))} names nothing")
        return found

    # ---------------------------------------------------------------- merging what must hold together

    def flat(self, schema: Json, depth: int) -> Json:
        """Without `allOf`, without a `$ref` that has neighbours, without `const`."""
        inlined: list[str] = []
        schema = without_const(schema)
        while "$ref" in schema or "allOf" in schema:
            own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
            parts = [own, *(schema.get("allOf") or ())]
            if "$ref" in schema:
                inlined.append(schema["$ref"])
                parts.append(self.resolve(schema["$ref"]))
            schema = {}
            for part in parts:
                schema = self.merge(schema, part)
            self.count(len(parts))
            if len(set(inlined)) < len(inlined):
                raise self.refuse("its references do not end")
        in_place = inlined and not self.dialect.references
        if in_place and any(node.get("$ref") in inlined for node in self.reachable(schema)):
            raise self.refuse(f"the reference {quoted(inlined[-1])} leads back to itself")
        return schema

    def reachable(self, schema: Json) -> Iterator[Json]:
        """Every object in a schema and in what it refers to."""
        seen: set[str] = set()
        stack: list[Any] = [schema]
        while stack:
            for node in objects_in(stack.pop()):
                yield node
                place = node.get("$ref")
                if isinstance(place, str) and place not in seen:
                    seen.add(place)
                    stack.append(self.resolve(place))

    def merge(self, a: Json, b: Schema) -> Json:
        """A schema that holds where both hold."""
        if b is True:
            return a
        if not isinstance(b, dict):
            raise Contradiction("a part of it accepts nothing")
        b = without_const(b)
        merged = {**b, **a}
        for key in a.keys() & b.keys():
            if key == "allOf":
                merged[key] = [*merged[key], *b[key]]
            elif key == "$ref" and a[key] != b[key]:
                merged["allOf"] = [*merged.get("allOf", ()), {"$ref": b[key]}]
            elif key in ("anyOf", "oneOf") and a[key] != b[key]:
                self.count(len(a[key]) * len(b[key]))
                merged[key] = [{"allOf": [left, right]} for left in a[key] for right in b[key]]
            elif key not in ("$ref", "anyOf", "oneOf"):
                merged[key] = self.merge_keyword(key, a[key], b[key])
        if "properties" in a or "properties" in b:
            self.merge_properties(merged, a, b)
        return merged

    def merge_keyword(self, key: str, a: Any, b: Any) -> Any:
        if key == "type":
            common = common_types(types_of({key: a}), types_of({key: b}))
            if not common:
                raise Contradiction("two of its types exclude each other")
            return common[0] if len(common) == 1 else common
        if key == "enum":
            return [value for value in a if any(same(value, other) for other in b)]
        if key == "required":
            return [*a, *(name for name in b if name not in a)]
        if key in LOWER_BOUNDS or key in UPPER_BOUNDS:
            return max(a, b) if key in LOWER_BOUNDS else min(a, b)
        if key in ("items", "additionalProperties"):
            return False if a is False or b is False else {"allOf": [a, b]}
        if key not in ANNOTATIONS and key in COMBINED and key != "properties" and a != b:
            self.exact = False
        return a

    def merge_properties(self, merged: Json, a: Json, b: Json) -> None:
        """A property that only one side names is, for the other side, an additional one."""
        left, right = a.get("properties") or {}, b.get("properties") or {}
        others = {name: b.get("additionalProperties", True) for name in left if name not in right}
        others |= {name: a.get("additionalProperties", True) for name in right if name not in left}
        merged["properties"] = {}
        for name, own in {**left, **right}.items():
            other = right[name] if name in left and name in right else others.get(name, True)
            own = left.get(name, own)
            if own is False or other is False:
                merged["properties"][name] = False
            else:
                merged["properties"][name] = own if other is True or other == own else {"allOf": [own, other]}


def _values_in(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from schema.values()
    elif isinstance(schema, list):
        yield from schema


def objects_in(schema: Any) -> Iterable[Json]:
    """Every JSON object in a document, whatever it means."""
    stack = [schema]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            yield found
        stack.extend(_values_in(found))
