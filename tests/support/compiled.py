"""JSON Schema as nested functions: the same verdict as `jsonschema`, fast enough for every event of every record.

Only the keywords that the specification's file uses; an unknown one is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Check = Callable[[Any], bool]

TYPES: dict[str, Check] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
# Keywords that say nothing about what is valid.
REMARKS = {"description", "title", "default", "example", "examples", "format", "discriminator", "components", "then",
           "else", "deprecated"}  # fmt: skip


class Compiler:
    """Compiles schemas that may refer to each other within one document."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.refs: dict[str, Check] = {}

    def compile(self, schema: Any) -> Check:
        if schema is True or schema == {}:
            return lambda value: True
        checks: list[Check] = []
        for keyword in schema:
            if keyword in REMARKS or keyword.startswith("x-"):
                continue
            checks.append(getattr(self, "_" + keyword.removeprefix("$"))(schema[keyword], schema))
        if len(checks) == 1:
            return checks[0]
        return lambda value: all(check(value) for check in checks)

    def _ref(self, ref: str, _: Json) -> Check:
        if ref not in self.refs:
            target: Any = self.document
            for step in ref.removeprefix("#/").split("/"):
                target = target[step]
            self.refs[ref] = lambda value: self.refs[ref](
                value
            )  # while it is compiled: a schema may contain itself
            self.refs[ref] = self.compile(target)
        return lambda value: self.refs[ref](value)

    def _type(self, kinds: str | list[str], _: Json) -> Check:
        if isinstance(kinds, str):
            return TYPES[kinds]
        checks = [TYPES[kind] for kind in kinds]
        return lambda value: any(check(value) for check in checks)

    def _enum(self, values: list[Any], _: Json) -> Check:
        return lambda value: value in values

    def _const(self, wanted: Any, _: Json) -> Check:
        return lambda value: bool(value == wanted)

    def _required(self, names: list[str], _: Json) -> Check:
        return lambda value: not isinstance(value, dict) or all(name in value for name in names)

    def _properties(self, properties: Json, _: Json) -> Check:
        checks = {name: self.compile(schema) for name, schema in properties.items()}

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            return all(name not in value or check(value[name]) for name, check in checks.items())

        return check

    def _additionalProperties(self, schema: Any, parent: Json) -> Check:
        check = self.compile(schema)
        known = set(parent.get("properties", ()))
        return lambda value: (
            not isinstance(value, dict)
            or all(check(part) for name, part in value.items() if name not in known)
        )

    def _items(self, schema: Json, _: Json) -> Check:
        check = self.compile(schema)
        return lambda value: not isinstance(value, list) or all(check(part) for part in value)

    def _allOf(self, schemas: list[Json], _: Json) -> Check:
        checks = [self.compile(schema) for schema in schemas]
        return lambda value: all(check(value) for check in checks)

    def _anyOf(self, schemas: list[Json], _: Json) -> Check:
        checks = [self.compile(schema) for schema in schemas]
        return lambda value: any(check(value) for check in checks)

    def _oneOf(self, schemas: list[Json], _: Json) -> Check:
        checks = [self.compile(schema) for schema in schemas]
        return lambda value: sum(check(value) for check in checks) == 1

    def _if(self, schema: Json, parent: Json) -> Check:
        condition = self.compile(schema)
        then, otherwise = self.compile(parent.get("then", True)), self.compile(parent.get("else", True))
        return lambda value: then(value) if condition(value) else otherwise(value)

    def _minimum(self, least: float, _: Json) -> Check:
        return lambda value: not TYPES["number"](value) or value >= least

    def _maximum(self, most: float, _: Json) -> Check:
        return lambda value: not TYPES["number"](value) or value <= most
