"""Any JSON Schema as Anthropic takes it: the same instances, in a form that its rules allow."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openresponses.adapters.anthropic import schema

from .test_schema import INSTANCES, NAMES, SCHEMAS

Json = dict[str, Any]

OBJECTS = st.dictionaries(NAMES, INSTANCES, max_size=3)
COMBINATORS = ("anyOf", "oneOf", "allOf", "$ref")


def accepts(given: Json, instance: Any) -> bool:
    return bool(Draft202012Validator(given).is_valid(instance))


@given(parameters=SCHEMAS, instances=st.lists(OBJECTS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_an_input_schema_accepts_the_same_arguments(parameters: Json, instances: list[Json]) -> None:
    assume(is_object(parameters))  # the gateway refuses others: arguments are an object
    made, wrapped = schema.input_schema(parameters)
    assert made["type"] == "object" and not any(key in made for key in COMBINATORS)
    Draft202012Validator.check_schema(made)
    for instance in instances:
        sent = {schema.WRAPPER: instance} if wrapped else instance
        if parameters.get("type", "object") == "object" or wrapped:
            assert accepts(made, sent) == accepts(parameters, instance), (made, instance)


@given(answer=SCHEMAS, instances=st.lists(INSTANCES | OBJECTS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_an_answers_schema_accepts_the_same_answers(answer: Json, instances: list[Any]) -> None:
    made, wrapped = schema.answer_schema(answer)
    assert made["type"] == "object" and not any(key in made for key in COMBINATORS)
    for instance in instances:
        sent = {schema.WRAPPER: instance} if wrapped else instance
        assert accepts(made, sent) == accepts(answer, instance), (made, instance)


def test_properties_named_as_keywords_are_schemas() -> None:
    parameters = {
        "anyOf": [{"required": ["default"]}],
        "properties": {"n": {"type": "integer"}, "default": {"$ref": "#/properties/n"}},
    }
    made, wrapped = schema.input_schema(parameters)
    assert (
        wrapped
        and accepts(made, {"value": {"default": 1}})
        and not accepts(made, {"value": {"default": "a"}})
    )


def is_object(parameters: Json) -> bool:
    """Whether the root, or what it refers to, may be an object."""
    root = parameters
    for _ in range(5):
        if "$ref" not in root:
            break
        root = parameters.get("$defs", {}).get(root["$ref"].rpartition("/")[2], {})
    return bool(root.get("type", "object") == "object")


def closed(answer: Json) -> Json:
    """The schema with all of its objects closed, as structured outputs want it: more of them can then be enforced."""
    if not isinstance(answer, dict):
        return answer
    made = {key: closed(value) if isinstance(value, dict) else value for key, value in answer.items()}
    if made.get("type") == "object":
        made = {"type": "object", "properties": made.get("properties", {}), "additionalProperties": False}
    return made


@given(answer=SCHEMAS.map(closed), instances=st.lists(OBJECTS, min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_what_is_enforced_is_the_schema_itself(answer: Json, instances: list[Any]) -> None:
    made = schema.enforceable(answer)
    if made is None:
        return
    for found in walk(made):
        assert found.keys() <= schema.KEYWORDS
        assert found.get("type") != "object" or found["additionalProperties"] is False
    for instance in instances:
        assert accepts(made, instance) == accepts(answer, instance)


def walk(node: Any) -> Any:
    """Every schema within a schema of the subset."""
    if not isinstance(node, dict):
        return
    yield node
    for key in ("properties", "$defs", "definitions"):
        for each in node.get(key, {}).values():
            yield from walk(each)
    for key in ("anyOf", "allOf"):
        for each in node.get(key, ()):
            yield from walk(each)
    yield from walk(node.get("items"))
