"""A small instance of a JSON Schema (draft 2020-12), for the echo provider's tool calls and structured answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .base import Json

MAX_DEPTH = 12
MAX_VALUES = 1000  # in one instance; what a schema asks for beyond them is left out
MAX_LENGTH = 10_000  # characters of a string
NAMES = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
    "duration": "PT1S",
}


def example(schema: Json, text: str) -> Any:
    """An instance that satisfies the schema: required properties only, the shortest arrays, the first alternatives.

    Strings without a prescribed value take a name out of `text`, if it has one ("… in San Francisco?"). Keywords that
    make the instance hard to find (`pattern`, `not`, `if`) are not looked at.
    """
    found = NAMES.search(text)
    try:
        return _Maker(schema, found.group() if found else "").value(schema, "example", 0)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return {}  # a keyword holds something else than JSON Schema says


class _Maker:
    def __init__(self, root: Json, name: str) -> None:
        self.root = root
        self.name = name
        self.values = 0
        self.makers: dict[str, Callable[[Json, str, int], Any]] = {
            "object": self.object,
            "array": self.array,
            "string": self.string,
            "integer": self.number,
            "number": self.number,
            "boolean": lambda schema, key, depth: True,
            "null": lambda schema, key, depth: None,
        }

    def value(self, schema: Any, key: str, depth: int) -> Any:
        """An instance of `schema`; `key` is the property that it is for."""
        self.values += 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self.values > MAX_VALUES:
            return None
        if "$ref" in schema:
            return self.value(self.resolve(schema["$ref"]), key, depth + 1)
        if "const" in schema:
            return schema["const"]
        for keyword in ("enum", "examples"):
            if schema.get(keyword):
                return schema[keyword][0]
        if "default" in schema:
            return schema["default"]
        if parts := schema.get("allOf"):
            return self.value(self.joined(schema, parts), key, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                rest = {name: value for name, value in schema.items() if name != keyword}
                return self.value(self.joined(rest, [self.shallowest(schema[keyword])]), key, depth + 1)
        return self.makers.get(self.kind(schema), self.string)(schema, key, depth)

    def kind(self, schema: Json) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        if isinstance(kind, str):
            return kind
        return "object" if "properties" in schema else "array" if "items" in schema else "string"

    def shallowest(self, schemas: list[Any]) -> Any:
        """An alternative that does not lead on, where there is one: it ends recursive schemas."""
        plain = [s for s in schemas if isinstance(s, dict) and "$ref" not in s and self.kind(s) != "object"]
        return next((s for s in plain if s.get("type") != "null"), schemas[0] if not plain else plain[0])

    def joined(self, schema: Json, parts: list[Any]) -> Json:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            part = self.resolve(part["$ref"]) if isinstance(part, dict) and "$ref" in part else part
            for key, value in (part if isinstance(part, dict) else {}).items():
                old = merged.get(key)
                if isinstance(old, dict) and isinstance(value, dict):
                    merged[key] = {**old, **value}
                elif isinstance(old, list) and isinstance(value, list) and key == "required":
                    merged[key] = [*old, *value]
                else:
                    merged[key] = value
        return merged

    def resolve(self, reference: str) -> Any:
        """What a `$ref` within the schema points to."""
        found: Any = self.root
        for step in reference.removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def object(self, schema: Json, key: str, depth: int) -> Json:
        properties = schema.get("properties") or {}
        return {
            name: self.value(properties.get(name, {}), name, depth + 1)
            for name in schema.get("required") or ()
        }

    def array(self, schema: Json, key: str, depth: int) -> list[Any]:
        first = [self.value(each, key, depth + 1) for each in schema.get("prefixItems") or ()]
        missing = min(schema.get("minItems", 0), MAX_VALUES - self.values) - len(first)
        return first + [self.value(schema.get("items", {}), key, depth + 1) for _ in range(missing)]

    def string(self, schema: Json, key: str, depth: int) -> str:
        text = FORMATS.get(schema.get("format", ""), self.name or key)
        return text.ljust(min(schema.get("minLength", 0), MAX_LENGTH), ".")[: schema.get("maxLength")]

    def number(self, schema: Json, key: str, depth: int) -> int | float:
        """The multiple of `multipleOf` that is nearest to 0 within the limits."""
        step = schema.get("multipleOf", 1)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is not None and (low > 0 or low == schema.get("exclusiveMinimum") == 0):
            value: int | float = -(-low // step) * step
            return value + step if value == schema.get("exclusiveMinimum") else value
        if high is not None and (high < 0 or high == schema.get("exclusiveMaximum") == 0):
            value = high // step * step
            return value - step if value == schema.get("exclusiveMaximum") else value
        return 0
