"""A sample of `make fuzz`, with a fixed seed; and Hypothesis with the same generators, which shrinks what fails."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openresponses.adapters.anthropic.schema import answer_schema, enforceable, input_schema
from openresponses.adapters.echo_schema import example
from openresponses.adapters.schema import JSON, OPENAPI, rewrite
from openresponses.protocol.errors import ApiError

from . import requests, streams
from .checks import check_reply, check_turn
from .dice import damage
from .gateway import Exchange, Reply
from .run import player, run

Json = dict[str, Any]
SEED = "make test"


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("requests", 250),
        ("streams", 100),
        pytest.param("requests", 20_000, marks=pytest.mark.slow),
        pytest.param("streams", 20_000, marks=pytest.mark.slow),
    ],
)
def test_a_sample(kind: str, count: int) -> None:
    outcome = run(kind, SEED, range(count))
    assert not outcome.failures, outcome.failures
    assert outcome.played == count and outcome.statuses[200] > count / 10 and len(outcome.statuses) > 3


@pytest.fixture(scope="module", params=["requests", "streams"])
def one(request: pytest.FixtureRequest) -> Iterator[Callable[[Random], int]]:
    """Plays one case of a kind in a gateway that lives as long as this module's tests."""
    with asyncio.Runner() as runner:
        context = player(request.param)
        play = runner.run(context.__aenter__())
        yield lambda dice: runner.run(play(dice))
        runner.run(context.__aexit__(None, None, None))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(dice=st.randoms(use_true_random=False))
def test_cases_that_hypothesis_chooses(one: Callable[[Random], int], dice: Random) -> None:
    one(dice)


# --------------------------------------------------------------------------- the fuzzer can fail

SERVER_ERROR = b'{"error":{"type":"server_error","code":"server_error","message":"x","param":null}}'
BAD_REPLIES = {
    "a 500": Reply(500, {"x-request-id": "r", "content-type": "application/json"}, SERVER_ERROR),
    "no request id": Reply(400, {"content-type": "application/json"}, SERVER_ERROR),
    "no param": Reply(
        400,
        {"x-request-id": "r", "content-type": "application/json"},
        b'{"error":{"type":"invalid_request","code":"invalid_value","message":"x","param":null}}',
    ),
    "content in an error": Reply(
        400,
        {"x-request-id": "r", "content-type": "application/json"},
        b'{"error":{"type":"invalid_request","code":"invalid_value","message":"canary-of-the-fuzzer","param":"x"}}',
    ),
    "a split header": Reply(
        200, {"x-request-id": "r\r\nset-cookie: a", "content-type": "application/json"}, b"{}"
    ),
    "half a stream": Reply(
        200,
        {"x-request-id": "r", "content-type": "text/event-stream"},
        b'event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{}}\n\n',
    ),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_what_is_wrong_is_found(name: str) -> None:
    with pytest.raises(AssertionError):
        check_reply(Exchange("POST", "/v1/responses"), BAD_REPLIES[name])


def test_a_fault_of_the_gateway_is_found_in_a_turn() -> None:
    played = next(found for n in range(100) if (found := streams.case(Random(n))).ours)
    with pytest.raises(AssertionError):
        check_turn(played, BAD_REPLIES["a 500"], None)


def test_the_generators_know_every_schema() -> None:
    """A new kind of item, part or tool must get its types here, or nothing of it is generated."""
    plain = {
        "CreateResponse",
        "CompactResponse",
        "CountInputTokens",
        "CreateConversation",
        "AddItems",
        "Error",
    }
    for name, schema in requests.schemas().items():
        kind = schema.get("properties", {}).get("type", {})
        if (
            name not in plain
            and kind.get("type") == "string"
            and not kind.get("enum")
            and not kind.get("const")
        ):
            assert name in requests.TYPES, name


# --------------------------------------------------------------------------- JSON Schemas

REWRITERS: dict[str, Callable[[Json], Any]] = {
    "gemini": lambda schema: rewrite(schema, JSON, "tools[0].parameters"),
    "gemini, older": lambda schema: rewrite(schema, OPENAPI, "tools[0].parameters"),
    "anthropic": input_schema,
    "anthropic, answer": answer_schema,
    "anthropic, enforced": enforceable,
    "echo": lambda schema: example(schema, "A text."),
}


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_schemas_are_rewritten_or_refused(count: int) -> None:
    for number in range(count):
        dice = Random(f"{SEED} {number}")
        chosen = copy.deepcopy(dice.choices(requests.SCHEMAS, k=3))
        schema = {"type": "object", "properties": {"a": chosen[0], "b": chosen[1]}, "allOf": [chosen[2]]}
        for _ in range(dice.randrange(5)):
            damage(dice, schema)
        for rewriter in REWRITERS.values():
            try:
                rewriter(schema)
            except ApiError as refused:
                assert (refused.status, refused.param) == (400, "tools[0].parameters")
            except RecursionError:  # the engine's: "nested too deeply"
                pass


def obj(**properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


ANY_OF: Json = {"anyOf": [{"properties": {f"p{n}": {}}} for n in range(12)]}
BOMBS: dict[str, Json] = {
    "two ways at each of 40 steps": {
        **obj(a=ref("a0")),
        "$defs": {f"{k}{n}": obj(a=ref(f"a{n + 1}"), b=ref(f"b{n + 1}")) for n in range(40) for k in "ab"}
        | {"a40": obj(), "b40": obj()},
    },
    "itself 60 times": {**obj(a=ref("a")), "$defs": {"a": obj(**{f"p{n}": ref("a") for n in range(60)})}},
    "a product of alternatives": {"type": "object", "allOf": [{**ANY_OF, "title": str(n)} for n in range(12)]},
    "endless values": obj(
        a={"type": "array", "minItems": 10**9, "items": {"type": "string", "minLength": 10**9}},
        b={"type": "string", "minLength": 10**10},
    ),
    "references in a row": {**obj(a=ref("a0")), "$defs": {f"a{n}": ref(f"a{n + 1}") for n in range(1000)}},
    "many anchors": {
        **obj(**{f"p{n}": {"$ref": f"#x{n}"} for n in range(1000)}),
        "$defs": {f"a{n}": {"$anchor": f"x{n}", "type": "string"} for n in range(1000)},
    },
}  # fmt: skip


@pytest.mark.parametrize("rewriter", REWRITERS)
@pytest.mark.parametrize("name", BOMBS)
def test_small_schemas_that_stand_for_large_ones_take_little_time(name: str, rewriter: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(ApiError, RecursionError):
        REWRITERS[rewriter](BOMBS[name])
    assert time.process_time() - begun < 2
