"""JSON Schema (draft 2020-12) rewritten to what Gemini takes: never its 400, never silently weaker.

Gemini takes two dialects. `JSON` is the documented list of `responseJsonSchema` and `parametersJsonSchema`; `OPENAPI`
is the older `Schema` object of `responseSchema` and `parameters`. A keyword that the dialect has no word for is said
with those it has (`const` as an `enum`, `allOf` merged, `exclusiveMinimum: 0` of an integer as `minimum: 1`); where
there is no other word, it is told to the model in the description, and the result is no longer `exact`. What must hold
together (`allOf`, a `$ref` with neighbours) is made one schema first: `schema_merge`.

Sources: https://ai.google.dev/api/generate-content (GenerationConfig), https://ai.google.dev/api/caching#Schema.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from ..protocol.errors import quoted
from .schema_merge import (
    ANNOTATIONS,
    ASSERTIONS,
    COMBINED,
    LOGIC,
    MAX_NODES,
    STRUCTURE,
    TYPES,
    Contradiction,
    Dialect,
    Json,
    Merger,
    Schema,
    same,
    type_of,
    types_of,
)

MAX_DEPTH = 64
# What a walk through a schema raises where a keyword holds something else than the walk may rely on.
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)

JSON = Dialect(
    constraints=frozenset({"minimum", "maximum", "minItems", "maxItems"}),
    formats=frozenset({"date-time", "date", "time"}),
    references=True,
)
OPENAPI = Dialect(
    constraints=JSON.constraints | {"minLength", "maxLength", "pattern", "minProperties", "maxProperties"},
    formats=frozenset({"date-time", "enum"}),
    references=False,
)


class Rewritten(NamedTuple):
    """`exact`: the rewritten schema accepts the same instances, not merely more of them."""

    schema: Json
    exact: bool


def rewrite(schema: Json, dialect: Dialect = JSON, param: str | None = None) -> Rewritten:
    """The schema in Gemini's dialect. Raises ApiError, naming `param`, where it cannot be said at all."""
    return _Rewriter(schema, dialect, param).run()


def _together(schema: Json, about: Json) -> Json:
    """A schema and annotations about it; both descriptions are kept."""
    told = [text for text in (about.get("description"), schema.get("description")) if text]
    return {**schema, **about, **({"description": " ".join(told)} if told else {})}


# --------------------------------------------------------------------------- the rewriter


class _Rewriter(Merger):
    def __init__(self, root: Json, dialect: Dialect, param: str | None) -> None:
        super().__init__(root, dialect, param)
        self.names: dict[str, str] = {}  # reference -> its name in $defs
        self.defs: Json = {}
        self.path: list[str] = ["#"]  # the references we are inside of

    def run(self) -> Rewritten:
        try:
            schema = self.node(self.root, 0)
        except Contradiction as reason:
            raise self.refuse(str(reason)) from None
        except MALFORMED:
            raise self.refuse("a keyword in it has a value of the wrong type") from None
        if self.defs:
            schema = {**schema, "$defs": self.defs}
        return Rewritten(schema, self.exact)

    def node(self, schema: Schema, depth: int) -> Json:
        """One schema, rewritten. Raises Contradiction where nothing could be valid."""
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise self.refuse("it is nested too deeply or, with its references resolved, too large")
        if schema is True:
            return {} if self.dialect.references else self.untyped({}, depth)
        if not isinstance(schema, dict):
            raise Contradiction(
                "a part of it accepts nothing" if schema is False else "a part of it is not a schema"
            )
        if "$ref" in schema and self.dialect.references and not COMBINED & schema.keys() - {"$ref"}:
            return self.reference(schema, depth)
        schema = self.flat(schema, depth)
        for kind in ("anyOf", "oneOf"):
            if kind in schema:
                return self.union(schema, kind, depth)
        if "enum" in schema:
            return self.enumeration(schema, depth)
        return self.typed(schema, depth)

    def attempt(self, schema: Schema, depth: int) -> Json | None:
        """A schema within another, rewritten; None where nothing could be valid, as `false` says it."""
        if schema is False:
            return None
        names, defs, path, exact = dict(self.names), dict(self.defs), len(self.path), self.exact
        try:
            return self.node(schema, depth)
        except Contradiction:
            # Definitions made on the way may name one that came to nothing.
            self.names, self.defs, self.exact = names, defs, exact
            del self.path[path:]
            return None

    # ---------------------------------------------------------------- references

    def reference(self, schema: Json, depth: int) -> Json:
        """A `$ref` into `$defs`. Annotations beside it move to a node around it: Gemini allows it no neighbours."""
        place = schema["$ref"]
        if place not in self.names:
            self.names[place] = name = self.name_for(place)
            self.defs[name] = {}
            self.path.append(place)
            self.defs[name] = self.node(self.resolve(place), depth + 1)
            self.path.pop()
        target = {"$ref": f"#/$defs/{self.names[place]}"}
        about = self.annotations(schema)
        return {**about, "anyOf": [target]} if about else target

    def name_for(self, place: str) -> str:
        base = (
            "".join(char if char.isalnum() else "_" for char in place.rsplit("/", 1)[-1].lstrip("#"))
            or "root"
        )
        name, number = base, 2
        while name in self.defs:
            name, number = f"{base}_{number}", number + 1
        return name

    def closes_cycle(self, schema: Schema, seen: set[str]) -> bool:
        """Whether `schema` needs a schema that we are in: Gemini takes a cycle only behind an optional property."""
        if not isinstance(schema, dict):
            return False
        place = schema.get("$ref")
        if isinstance(place, str) and place not in seen:
            if place in self.path:
                return True
            seen.add(place)
            if self.closes_cycle(self.resolve(place), seen):
                return True
        required = schema.get("required") or ()
        parts = [sub for name, sub in (schema.get("properties") or {}).items() if name in required]
        parts += [schema[key] for key in ("items", "additionalProperties") if key in schema]
        parts += [sub for key in ("allOf", "anyOf", "oneOf", "prefixItems") for sub in schema.get(key) or ()]
        return any(self.closes_cycle(part, seen) for part in parts)

    # ---------------------------------------------------------------- alternatives

    def union(self, schema: Json, kind: str, depth: int) -> Json:
        """`anyOf` or `oneOf`: what stands beside it moves into every branch, but for annotations."""
        about = self.annotations(schema)
        beside = {key: value for key, value in schema.items() if key != kind and key in COMBINED}
        whole = [{"allOf": [branch, beside]} if beside else branch for branch in schema[kind]]
        branches = [made for branch in whole if (made := self.attempt(branch, depth + 1)) is not None]
        if not branches:
            raise Contradiction("none of its alternatives can hold")
        if kind == "oneOf" and len(branches) > 1:
            if self.dialect.references and self.exact:
                return {**about, "oneOf": branches}
            # A branch that accepts more would make `oneOf` accept less. Gemini reads it as `anyOf` anyway.
            self.exact = False
            about = self.described(about, {"oneOf": "exactly one of these, not several"})
        return {**about, "anyOf": branches} if self.dialect.references else self.any_of(about, branches)

    def any_of(self, about: Json, branches: list[Json]) -> Json:
        """Alternatives in the dialect without a null type: `nullable` takes its place."""
        null = [branch for branch in branches if branch.get("type") == "null"]
        others = [branch for branch in branches if branch.get("type") != "null"]
        if not others:
            return {**null[0], **about}
        merged = _together(others[0], about) if len(others) == 1 else {**about, "anyOf": others}
        return {**merged, "nullable": True} if null else merged

    # ---------------------------------------------------------------- values

    def enumeration(self, schema: Json, depth: int) -> Json:
        """An `enum`: strings and numbers as such, one branch for each kind of value."""
        kinds = types_of(schema)
        groups: dict[str, list[Any]] = {}
        for value in schema["enum"]:
            kind = type_of(value)
            if not kinds or kind in kinds or (kind == "integer" and "number" in kinds):
                group = "number" if kind == "integer" else kind
                if not any(same(value, known) for known in groups.setdefault(group, [])):
                    groups[group].append(value)
        if not groups:
            raise Contradiction("one of its enums has no value of its type")
        about = self.annotations(schema)
        rest = {key: value for key, value in schema.items() if key in COMBINED - {"type", "enum"}}
        branches = [self.values(kind, values, rest) for kind, values in groups.items()]
        if not self.dialect.references:
            return self.any_of(about, branches)
        return _together(branches[0], about) if len(branches) == 1 else {**about, "anyOf": branches}

    def values(self, kind: str, values: list[Any], rest: Json) -> Json:
        """The branch for the values of one kind."""
        beside = {key: rest[key] for key in (*ASSERTIONS.get(kind, ()), *LOGIC) if key in rest}
        if beside:
            self.exact = False
        if kind == "null":
            return {"type": "null"}
        if kind == "string":
            return self.described({"type": kind, "enum": values}, beside)
        if kind == "number":
            kind = "integer" if all(type_of(value) == "integer" for value in values) else "number"
            if self.dialect.references:
                return self.described({"type": kind, "enum": values}, beside)
            ranges = [{"type": kind, "minimum": value, "maximum": value} for value in values]
            return ranges[0] if len(ranges) == 1 else self.described({"anyOf": ranges}, beside)
        if kind == "boolean" and len(values) == 2:
            return {"type": kind}
        self.exact = False
        schema: Json = {"type": kind, **({"items": {}} if kind == "array" else {})}
        return self.described(schema, {"enum": values, **beside})

    # ---------------------------------------------------------------- types

    def typed(self, schema: Json, depth: int) -> Json:
        kinds = types_of(schema)
        unknown = [kind for kind in kinds if kind not in TYPES]
        if unknown:
            raise self.refuse(f"it has the unknown type {quoted(str(unknown[0]))}")
        if not kinds:
            return self.untyped(schema, depth)
        if len(kinds) == 1:
            return self.single(kinds[0], schema, depth)
        plain = not any(key in schema for kind in kinds for key in ASSERTIONS.get(kind, ()))
        if self.dialect.references and plain and not any(key in schema for key in LOGIC):
            return {"type": kinds, **self.annotations(schema), **self.format(schema, kinds)}
        beside = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        branches = [self.single(kind, beside, depth + 1) for kind in kinds]
        if self.dialect.references:
            return {**self.annotations(schema), "anyOf": branches}
        return self.any_of(self.annotations(schema), branches)

    def untyped(self, schema: Json, depth: int) -> Json:
        """A schema without a type: of the type that its keywords are about, if they are about one."""
        kinds = ("object", "array", "string", "number")
        about = [kind for kind in kinds if any(key in schema for key in ASSERTIONS[kind])]
        if len(about) == 1:
            self.exact = False
            return self.single(about[0], schema, depth)
        if self.dialect.references and not about:
            lost = {key: schema[key] for key in LOGIC if key in schema}
            self.exact = self.exact and not lost
            return self.described({**self.annotations(schema), **self.format(schema, ["string"])}, lost)
        self.exact = False
        branches = [
            self.single(kind, schema, depth + 1)
            for kind in about or ("string", "number", "boolean", "object")
        ]
        return {"anyOf": branches} if self.dialect.references else {"anyOf": branches, "nullable": True}

    def single(self, kind: str, schema: Json, depth: int) -> Json:
        """A schema of one type: its own assertions taken, said otherwise, or told in the description."""
        made: Json = {"type": kind, **self.annotations(schema), **self.format(schema, [kind])}
        lost: Json = {key: schema[key] for key in LOGIC if key in schema}
        for key in ASSERTIONS.get(kind, ()):
            if key in schema and key not in STRUCTURE:
                if key in self.dialect.constraints:
                    made[key] = schema[key]
                else:
                    lost[key] = schema[key]
        if kind in ("integer", "number"):
            self.bounds(kind, schema, made, lost)
        elif kind == "array":
            self.array(schema, made, lost, depth)
        elif kind == "object":
            self.object(schema, made, lost, depth)
        if lost:
            self.exact = False
        return self.described(made, lost)

    def bounds(self, kind: str, schema: Json, made: Json, lost: Json) -> None:
        """An exclusive bound of an integer is the next integer; of a number, the inclusive one and a word about it."""
        for key, bound, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            if key not in schema:
                continue
            limit = schema[key]
            if kind == "integer":
                limit = (limit // 1) + 1 if step == 1 else -((-limit) // 1) - 1
                limit = int(limit)
                del lost[key]
            made[bound] = (
                max(limit, made.get(bound, limit)) if step == 1 else min(limit, made.get(bound, limit))
            )

    def array(self, schema: Json, made: Json, lost: Json, depth: int) -> None:
        """An array ends before an item that nothing can be: `maxItems` says where."""
        items: Json | bool | None = schema.get("items", True)
        prefix: list[Json] = []
        for item in schema.get("prefixItems") or ():
            if (told := self.attempt(item, depth + 1)) is None:
                items = None
                break
            prefix.append(told)
        if items is not True and items is not None:
            items = self.attempt(items, depth + 1)
        if items is None:
            made["maxItems"] = min(len(prefix), made.get("maxItems", len(prefix)))
        more = [items] if isinstance(items, dict) else []
        if self.dialect.references:
            made |= {"items": items} if more else {}
            made |= {"prefixItems": prefix} if prefix else {}
            return
        if prefix:
            lost["prefixItems"] = schema["prefixItems"]
        branches = [*prefix, *more]
        made["items"] = (
            self.any_of({}, branches) if branches and items is not True else self.untyped({}, depth + 1)
        )

    def object(self, schema: Json, made: Json, lost: Json, depth: int) -> None:
        required = list(schema.get("required") or ())
        properties: Json = {}
        for name, sub in (schema.get("properties") or {}).items():
            if (told := self.attempt(sub, depth + 1)) is None:
                if name in required:
                    raise Contradiction(
                        f"its property {quoted(name)} is required, and nothing can be its value"
                    )
                lost.setdefault("properties", {})[name] = False
                continue
            if self.dialect.references and name in required and self.closes_cycle(sub, set()):
                required.remove(name)
                lost.setdefault("required", []).append(name)
            properties[name] = told
        if "properties" in schema:
            made["properties"] = properties
        if ordering := schema.get("propertyOrdering"):  # Gemini's own keyword
            made["propertyOrdering"] = ordering
        self.require(required, properties, made, lost)
        more = schema.get("additionalProperties", True)
        if self.dialect.references:
            if "additionalProperties" in schema:
                kept = more if isinstance(more, bool) else self.attempt(more, depth + 1)
                made["additionalProperties"] = False if kept is None else kept
        elif more is False:
            self.exact = False  # without words: Gemini writes no property that is not declared
        elif more is not True:
            lost["additionalProperties"] = more

    def require(self, required: list[str], properties: Json, made: Json, lost: Json) -> None:
        """Only declared properties may be required; one that is not declared is declared as anything."""
        for name in required:
            if name not in properties:
                made.setdefault("properties", {})[name] = (
                    {} if self.dialect.references else self.untyped({}, 0)
                )
                self.exact = False
        if required:
            made["required"] = required

    # ---------------------------------------------------------------- words about it

    def annotations(self, schema: Json) -> Json:
        kept = {key: schema[key] for key in ANNOTATIONS if key in schema}
        return self.described(kept, {"examples": schema["examples"]}) if schema.get("examples") else kept

    def format(self, schema: Json, kinds: list[str]) -> Json:
        """`format` is an annotation; an unknown one of a string is refused by Gemini, so it becomes a word."""
        given = schema.get("format")
        if not isinstance(given, str) or given == "":
            return {}
        numbers = any(kind in ("integer", "number") for kind in kinds)
        if given in self.dialect.formats or (numbers and given in ("float", "double", "int32", "int64")):
            return {"format": given} if numbers or "string" in kinds else {}
        return self.described(self.annotations(schema), {"format": given}) if "string" in kinds else {}

    def described(self, schema: Json, lost: Json) -> Json:
        """The schema with what it cannot say in its description."""
        lost = {key: value for key, value in lost.items() if key != "type" and key not in ANNOTATIONS}
        if not lost:
            return schema
        told = "; ".join(f"{key}: {orjson.dumps(value).decode()}" for key, value in lost.items())
        before = schema.get("description")
        return {**schema, "description": f"{before} ({told})" if before else told}
