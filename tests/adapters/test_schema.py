"""JSON Schema in Gemini's dialects: what is said otherwise, what is told in words, what accepts the same instances."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openresponses.adapters.schema import JSON, OPENAPI, rewrite
from openresponses.adapters.schema_merge import Dialect
from openresponses.protocol.errors import ApiError

Json = dict[str, Any]

LISTED = {"$defs", "$ref", "type", "format", "title", "description", "default", "enum", "items", "prefixItems",
          "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties",
          "required"}  # fmt: skip
OPENAPI_LISTED = LISTED - {"$defs", "$ref", "oneOf", "prefixItems", "additionalProperties"}
OPENAPI_LISTED |= {"nullable", "minLength", "maxLength", "pattern", "minProperties", "maxProperties"}


def obj(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


# A cannot be; B, made on the way to it, names it.
DOOMED = {
    "anyOf": [{"$ref": "#/$defs/A"}, {"type": "array", "items": {"$ref": "#/$defs/B"}}],
    "$defs": {
        "A": {**obj(b={"$ref": "#/$defs/B"}, no={"enum": [1], "type": "string"}), "required": ["no"]},
        "B": obj(a={"$ref": "#/$defs/A"}, n={"type": "null"}),
    },
}

SAID_OTHERWISE = [
    ("const", {"const": "a"}, {"type": "string", "enum": ["a"]}),
    ("const of a type", {"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}),
    ("const null", {"const": None}, {"type": "null"}),
    ("numeric enum", {"enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
    ("both booleans", {"enum": [True, False]}, {"type": "boolean"}),
    ("mixed enum", {"enum": ["a", None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
    ("enum within its type", {"type": "string", "enum": ["a", 1]}, {"type": "string", "enum": ["a"]}),
    ("exclusive bound", {"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
    ("exclusive fraction", {"type": "integer", "exclusiveMaximum": 2.5}, {"type": "integer", "maximum": 2}),
    ("two bounds", {"type": "integer", "minimum": 5, "exclusiveMinimum": 0}, {"type": "integer", "minimum": 5}),
    ("type array", {"type": ["string", "null"]}, {"type": ["string", "null"]}),
    ("no items", {"type": "array", "items": False}, {"type": "array", "maxItems": 0}),
    ("tuple", {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
     {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1}),
    ("items that nothing can be", {"type": "array", "items": {"allOf": [{"type": "string"}, {"type": "integer"}]}},
     {"type": "array", "maxItems": 0}),
    ("a tuple that must end", {"type": "array", "prefixItems": [{"type": "string"}, False, {"type": "null"}]},
     {"type": "array", "prefixItems": [{"type": "string"}], "maxItems": 1}),
    ("more properties that nothing can be", {**obj(), "additionalProperties": {"enum": [1], "type": "string"}},
     {**obj(), "additionalProperties": False}),
    ("definitions of what cannot be", DOOMED, {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/B"}}],
     "$defs": {"B": {**obj(n={"type": "null"}), "description": 'properties: {"a":false}'}}}),
    ("anything", obj(x=True), {"type": "object", "properties": {"x": {}}}),
    ("$schema", {"$schema": "https://json-schema.org/draft/2020-12/schema", **obj()}, obj()),
    ("allOf", {"allOf": [obj(a={"type": "string"}), {"required": ["a"]}]},
     {**obj(a={"type": "string"}), "required": ["a"]}),
    ("allOf of one property", {"allOf": [obj(a={"type": "integer", "minimum": 1}), obj(a={"maximum": 3})]},
     obj(a={"type": "integer", "minimum": 1, "maximum": 3})),
    ("closed object of two", {"allOf": [{**obj(a={"type": "string"}), "additionalProperties": {"type": "integer"}},
                                        obj(b={"minimum": 2})]},
     {**obj(a={"type": "string"}, b={"type": "integer", "minimum": 2}), "additionalProperties": {"type": "integer"}}),
    ("beside anyOf", {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, True]},
     {"anyOf": [{**obj(a={"type": "string"}), "required": ["a"]}, obj(a={"type": "string"})]}),
    ("an alternative that cannot be", {"type": "string", "anyOf": [{"type": "integer"}, {"enum": ["a"]}]},
     {"anyOf": [{"type": "string", "enum": ["a"]}]}),
    ("$ref with words", {**obj(a={"$ref": "#/$defs/A", "description": "an A"}), "$defs": {"A": {"type": "string"}}},
     {**obj(a={"description": "an A", "anyOf": [{"$ref": "#/$defs/A"}]}), "$defs": {"A": {"type": "string"}}}),
    ("$ref with assertions", {**obj(a={"$ref": "#/$defs/A", "minimum": 2}), "$defs": {"A": {"type": "integer"}}},
     obj(a={"type": "integer", "minimum": 2})),
    ("definitions", {**obj(a={"$ref": "#/definitions/A"}), "definitions": {"A": {"const": 1}}},
     {**obj(a={"$ref": "#/$defs/A"}), "$defs": {"A": {"type": "integer", "enum": [1]}}}),
    ("$anchor", {**obj(a={"$ref": "#x"}), "$defs": {"A": {"$anchor": "x", "type": "string"}}},
     {**obj(a={"$ref": "#/$defs/x"}), "$defs": {"x": {"type": "string"}}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected"), [case[1:] for case in SAID_OTHERWISE], ids=[case[0] for case in SAID_OTHERWISE]
)
def test_said_otherwise(schema: Json, expected: Json) -> None:
    before = copy.deepcopy(schema)
    assert rewrite(schema).schema == expected
    assert schema == before


TOLD = [
    ("pattern", {"type": "string", "pattern": "^a"}, {"type": "string", "description": 'pattern: "^a"'}),
    ("beside a description", {"type": "string", "description": "A name.", "minLength": 2},
     {"type": "string", "description": "A name. (minLength: 2)"}),
    ("unknown format", {"type": "string", "format": "uri"}, {"type": "string", "description": 'format: "uri"'}),
    ("exclusive bound of a number", {"type": "number", "exclusiveMinimum": 0},
     {"type": "number", "minimum": 0, "description": "exclusiveMinimum: 0"}),
    ("not", {"type": "string", "not": {"const": "x"}}, {"type": "string", "description": 'not: {"const":"x"}'}),
    ("pattern properties", {"type": "object", "patternProperties": {"^x": {"type": "string"}}},
     {"type": "object", "description": 'patternProperties: {"^x":{"type":"string"}}'}),
    ("a forbidden property", obj(a=False, b={"type": "string"}),
     {**obj(b={"type": "string"}), "description": 'properties: {"a":false}'}),
    ("one boolean", {"const": True}, {"type": "boolean", "description": "enum: [true]"}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), [case[1:] for case in TOLD], ids=[case[0] for case in TOLD])
def test_told_in_the_description(schema: Json, expected: Json) -> None:
    assert rewrite(schema).schema == expected


OLDER = [
    ("nullable", {"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    ("anyOf null", {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "n"},
     {"type": "integer", "description": "n", "nullable": True}),
    ("two types", {"type": ["string", "integer"], "minimum": 1},
     {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1}]}),
    ("numeric const", {"const": 7}, {"type": "integer", "minimum": 7, "maximum": 7}),
    ("numeric enum", {"type": "integer", "enum": [1, 2]},
     {"anyOf": [{"type": "integer", "minimum": n, "maximum": n} for n in (1, 2)]}),
    ("$ref", {**obj(a={"$ref": "#/$defs/A"}), "$defs": {"A": {"type": "string", "pattern": "^a"}}},
     obj(a={"type": "string", "pattern": "^a"})),
    ("closed", {**obj(a={"type": "string"}), "additionalProperties": False}, obj(a={"type": "string"})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected"), [case[1:] for case in OLDER], ids=[case[0] for case in OLDER]
)
def test_older_dialect(schema: Json, expected: Json) -> None:
    assert rewrite(schema, OPENAPI).schema == expected


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "value": {"type": "string"}}}


def test_recursion_is_kept_behind_optional_properties() -> None:
    schema = {**obj(head={"$ref": "#/$defs/Node"}), "required": ["head"], "$defs": {"Node": NODE}}
    assert rewrite(schema) == (schema, True)


def test_a_required_cycle_becomes_optional_and_is_told() -> None:
    schema = {
        **obj(head={"$ref": "#/$defs/Node"}),
        "$defs": {"Node": {**NODE, "required": ["next", "value"]}},
    }
    node = rewrite(schema).schema["$defs"]["Node"]
    assert node["required"] == ["value"]
    assert node["description"] == 'required: ["next"]'


def test_a_reference_to_the_root() -> None:
    schema = obj(child={"$ref": "#"}, name={"type": "string"})
    made = rewrite(schema).schema
    assert made["properties"]["child"] == {"$ref": "#/$defs/root"}
    assert made["$defs"]["root"] == {
        **schema,
        "properties": {**schema["properties"], "child": {"$ref": "#/$defs/root"}},
    }


REFUSED: list[tuple[str, Json, Dialect]] = [
    ("remote reference", obj(a={"$ref": "https://example.com/schema.json"}), JSON),
    ("reference to nothing", obj(a={"$ref": "#/$defs/Nowhere"}), JSON),
    (
        "reference to itself",
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A", "minimum": 1}}, "minimum": 0},
        JSON,
    ),
    ("recursion in the older dialect", {**obj(a={"$ref": "#/$defs/Node"}), "$defs": {"Node": NODE}}, OPENAPI),
    ("types that exclude each other", {"allOf": [{"type": "string"}, {"type": "integer"}]}, JSON),
    ("required and forbidden", {**obj(a=False), "required": ["a"]}, JSON),
    ("unknown type", obj(a={"type": "file"}), JSON),
]


@pytest.mark.parametrize(
    ("schema", "dialect"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_by_name(schema: Json, dialect: Dialect) -> None:
    with pytest.raises(ApiError) as caught:
        rewrite(schema, dialect, "tools[0].parameters")
    assert (caught.value.status, caught.value.param) == (400, "tools[0].parameters")


def test_deep_and_exploding_schemas_are_refused() -> None:
    deep: Json = {"type": "string"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    doubling = {"A0": {"type": "string"}}
    for n in range(1, 40):
        doubling[f"A{n}"] = obj(**{key: {"$ref": f"#/$defs/A{n - 1}"} for key in "ab"})
    for schema, dialect in ((deep, JSON), ({"$ref": "#/$defs/A39", "$defs": doubling}, OPENAPI)):
        with pytest.raises(ApiError, match=r"too deeply|too large"):
            rewrite(schema, dialect)


# --------------------------------------------------------------------------- properties

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.none() | st.booleans() | st.integers(-4, 4) | st.sampled_from(["", "a", "b", "ab", 0.5, 2.5])
INSTANCES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
SMALL = st.integers(-3, 3)
SIZES = st.integers(0, 2)


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=keywords)


def typed(kind: str, **keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return some(**keywords).map(lambda made: {"type": kind, **made})


LEAVES = st.one_of(
    typed("integer", minimum=SMALL, maximum=SMALL, exclusiveMinimum=SMALL, exclusiveMaximum=SMALL,
          multipleOf=st.just(2)),
    typed("number", minimum=SMALL, maximum=SMALL, exclusiveMinimum=SMALL),
    typed("string", minLength=SIZES, maxLength=SIZES, pattern=st.just("a"), format=st.sampled_from(["date", "uri"])),
    typed("boolean"),
    typed("null"),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    st.lists(st.sampled_from(["string", "integer", "null", "boolean"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}),
    st.sampled_from([{"$ref": "#/$defs/D"}, {"$ref": "#/$defs/D", "description": "d"},
                     {"$ref": "#/$defs/D", "minimum": 0}]),
    st.just({}),
)  # fmt: skip


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    properties = st.dictionaries(NAMES, inner | st.booleans(), max_size=3)
    return st.one_of(
        typed("object", properties=properties, required=st.lists(NAMES, unique=True, max_size=2),
              additionalProperties=st.booleans() | inner, maxProperties=SIZES,
              patternProperties=st.dictionaries(st.just("^a"), inner, max_size=1)),
        typed("array", items=inner | st.booleans(), prefixItems=several, minItems=SIZES, maxItems=SIZES,
              uniqueItems=st.booleans()),
        several.map(lambda branches: {"anyOf": branches}),
        several.map(lambda branches: {"oneOf": branches}),
        several.map(lambda branches: {"allOf": branches}),
        st.tuples(inner, several).map(lambda two: {**two[0], "anyOf": two[1]}),
        st.tuples(inner, inner).map(lambda two: {**two[0], "not": two[1]}),
    )  # fmt: skip


SCHEMAS = st.tuples(
    st.recursive(LEAVES, compound, max_leaves=8), LEAVES.filter(lambda leaf: "$ref" not in leaf)
).map(lambda two: {**two[0], "$defs": {"D": two[1]}})


def untyped(schema: Json) -> bool:
    """Whether a keyword may stand without a type, where D gives none: it is taken for the type that it is about."""
    return any(node.keys() >= {"$ref", "minimum"} for node in schema_nodes(schema))


def nodes(schema: Any) -> Any:
    """Every schema within a schema."""
    yield schema
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            for sub in value.values():
                yield from nodes(sub)
        elif key in ("anyOf", "oneOf", "prefixItems"):
            for sub in value:
                yield from nodes(sub)
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            yield from nodes(value)


def schema_nodes(schema: Any) -> Any:
    """Every object in a document."""
    if isinstance(schema, dict):
        yield schema
    for sub in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from schema_nodes(sub)


def plain(schema: Any) -> Any:
    """OpenAPI's `nullable` as JSON Schema."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


@pytest.mark.parametrize("dialect", [JSON, OPENAPI], ids=["json", "openapi"])
@given(schema=SCHEMAS, instances=st.lists(INSTANCES, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_rewritten_schema_accepts_the_same(dialect: Dialect, schema: Json, instances: list[Any]) -> None:
    """Only what Gemini lists; what was valid still is; and where it is `exact`, nothing else became so."""
    try:
        made, exact = rewrite(schema, dialect)
    except ApiError as error:
        assert error.status == 400
        assert "cannot be given to Gemini" in error.message
        return
    listed = LISTED if dialect is JSON else OPENAPI_LISTED
    assert all(node.keys() <= listed for node in nodes(made))
    assert all(
        "anyOf" not in node or not node.keys() & {"type", "properties", "items", "enum"}
        for node in nodes(made)
    )
    before, after = Draft202012Validator(schema), Draft202012Validator(plain(made))
    for instance in instances:
        if dialect is JSON and not untyped(schema) and before.is_valid(instance):
            assert after.is_valid(instance), (made, instance)
        if exact:
            assert after.is_valid(instance) == before.is_valid(instance), (made, instance)
