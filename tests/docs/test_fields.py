"""Every field of a request has its outcome with every provider; none is dropped in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses import (
    ResponseInputItemParam,
    ResponseTextConfigParam,
    ToolParam,
    response_create_params,
)
from openai.types.shared_params import Reasoning
from openresponses.protocol import items
from openresponses.routing import Router
from openresponses.settings import Settings

from scripts import fields, hosted
from scripts.features import MODELS
from tests.support.gateway import Gateway
from tests.support.speech import says

Json = dict[str, Any]

SPEC = Path(__file__).parents[3] / "shared/spec/openapi-2026-04-24.json"
DIALECTS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "ollama": "ollama",
    "vllm": "chat",
}
CASES = list(fields.cases())
TABLES = {"content[]": items.PART_TAGS, "input[]": items.ITEM_TAGS, "tools[]": items.TOOL_TAGS}


@pytest.mark.parametrize("provider", fields.PROVIDERS)
def test_no_field_is_dropped_in_silence(provider: str) -> None:
    router = Router(Settings.load({}))
    model = fields.PROVIDERS[provider]
    silent = [case.field for case in CASES if not fields.outcome(router, model, case)]
    assert not silent, f"neither sent, echoed, refused, named as ignored nor in HANDLED: {silent}"


def test_every_handled_field_is_one() -> None:
    known = fields.known()
    assert [name for name in fields.HANDLED if name not in known] == []
    assert {kind for tags in TABLES.values() for kind in tags} >= fields.ELSEWHERE


@pytest.mark.skipif(not SPEC.exists(), reason="the specification is not there")
def test_the_fields_of_the_specification_are_all_known() -> None:
    schemas = json.loads(SPEC.read_text())["components"]["schemas"]
    found = set(spec_fields(schemas, schemas["CreateResponseBody"], "", set()))
    assert len(found) > 50
    assert found - set(fields.known()) == set()


def test_the_fields_of_the_openai_sdk_are_all_known() -> None:
    """A field that a new release brings fails here until it has its row."""
    places = {
        "": response_create_params.ResponseCreateParamsBase,
        "reasoning.": Reasoning,
        "text.": ResponseTextConfigParam,
    }
    found = {f"{place}{name}" for place, shape in places.items() for name in shape.__annotations__}
    assert len(found) > 35
    assert found - set(fields.known()) == set()


@pytest.mark.parametrize(
    ("union", "tags"), [(ResponseInputItemParam, items.ITEM_TAGS), (ToolParam, items.TOOL_TAGS)]
)
def test_the_kinds_of_the_openai_sdk_are_all_known(union: Any, tags: Json) -> None:
    kinds = {
        kind
        for shape in get_args(union)
        for kind in get_args(get_type_hints(shape)["type"])
        if isinstance(kind, str)
    }
    assert len(kinds) > 12
    assert kinds - set(tags) == set()


def spec_fields(schemas: Json, schema: Json, place: str, seen: set[str]) -> Iterator[str]:
    """Fields in the notation of `scripts.fields`; those of annotations and of the choice's tools are not told apart."""
    if ref := schema.get("$ref"):
        name = ref.rsplit("/", 1)[-1]
        if name not in seen:
            yield from spec_fields(schemas, schemas[name], place, seen | {name})
        return
    for union in ("anyOf", "oneOf", "allOf"):
        for member in schema.get(union, ()):
            yield from spec_fields(schemas, member, place, seen)
    if "items" in schema:
        yield from spec_fields(schemas, schema["items"], place, seen)
    kinds = (schema.get("properties") or {}).get("type", {}).get("enum") or [None]
    for name, inner in (schema.get("properties") or {}).items():
        if name == "type":
            continue
        field = named(place, kinds[0], name)
        if field:
            yield field
            yield from spec_fields(schemas, inner, place_of(field), seen)


def named(place: str, kind: str | None, name: str) -> str | None:
    if place in ("", "text", "reasoning", "stream_options", "tool_choice", "text.format"):
        return f"{place}.{name}".lstrip(".")
    known_kind = next((table for table, tags in TABLES.items() if kind in tags and table != "tools[]"), place)
    return (
        f"{known_kind}.{kind}.{name}"
        if kind and kind not in fields.ELSEWHERE and "[]" in known_kind
        else None
    )


def place_of(field: str) -> str:
    if field.endswith(".annotations"):
        return "none"
    places = {"tools": "tools[]", "input": "input[]", "metadata": "none", "tool_choice.tools": "none"}
    return places.get(field, field)


@pytest.mark.parametrize("field", fields.TOP)
def test_the_gateway_does_what_the_table_says(gateway: Gateway, field: str) -> None:
    """The same outcomes through the HTTP server: the status, the header of what is ignored, the echo."""
    if field in ("previous_response_id", "conversation", "background", "model"):
        pytest.skip("the state it names is the store's; see tests of history")
    router = Router(Settings.load({}))
    case = next(case for case in CASES if case.field == field)
    for provider, dialect in DIALECTS.items():
        model = fields.PROVIDERS.get(provider) or MODELS[provider]
        route = router.resolve(model)
        scenario = gateway.scenario(says(dialect, "{}"))
        told = gateway.ask(
            {"model": f"{route.provider.name}/{route.model}", "input": fields.TALK, **case.asked}
        )
        expected = fields.outcome(router, model, case)
        if expected == "400":
            assert told.status == 400 and told.error["param"], provider
            assert not scenario.requests
            continue
        assert told.status == 200, (provider, told.error)
        ignored = told.headers.get("x-openresponses-ignored", "")
        assert (expected == "ignored") <= bool(ignored), provider
        if expected == "echoed":
            assert told.response[field] == case.asked[field]


def test_no_option_and_no_item_of_a_hosted_tool_is_dropped_in_silence() -> None:
    assert [name for name, *cells in hosted.options() if hosted.SILENT in cells] == []
    assert [name for name, *cells in hosted.items() if hosted.SILENT in cells] == []


def test_every_hosted_tool_and_item_stands_in_the_tables() -> None:
    kinds = {name.partition(" ")[0] for name in hosted.TOOLS}
    variants = {kind for kind in items.HOSTED_TOOLS if kind.startswith(("web_search", "computer"))}
    assert set(items.HOSTED_TOOLS) - variants | {"mcp"} <= kinds
    assert {f"{kind}_output" for kind in hosted.OUTPUTS} | set(hosted.ITEMS) == set(items.OTHER_ITEMS)
