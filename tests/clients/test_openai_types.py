"""The openai SDK's own types, strictly: it builds its objects of whatever comes, and so would hide what is wrong.

Every event and response must be what its class declares, without a conversion, and hold nothing that it does not
declare but EXTRA. Failures are left out: their codes are more than the SDK lists, and an `error` event is nested, as
the specification has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from ..support.gateway import Gateway
from ..support.speech import MODELS, says

EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)
# What the specification has in every response, and the gateway in every item.
EXTRA = {
    "Response.frequency_penalty",
    "Response.presence_penalty",
    "Response.store",
    "ResponseCustomToolCall.status",
}
# What the model is asked for and what it says: the name of the case, fields of the request, the answer.
TOOLS: list[Any] = [
    {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "run"},
]
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": (
        {"instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5},
        {"text": "Hello, you."},
    ),
    "reasoning": (
        {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
        {"text": "So.", "reasoning": "Let me see."},
    ),
    "calls": (
        {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True},
        {"text": "Wait.", "calls": [("look", {"at": 1}), ("run", "ls"), ("look", {})]},
    ),
}


def undeclared(value: Any) -> Iterator[str]:
    """`Class.field` of all that the SDK's classes do not know."""
    if isinstance(value, pydantic.BaseModel):
        yield from (f"{type(value).__name__}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from undeclared(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from undeclared(each)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", MODELS)
def test_types(gateway: Gateway, dialect: str, case: str) -> None:
    asked, said = CASES[case]
    gateway.scenario(says(dialect, **said))
    body = {"model": MODELS[dialect], "input": "Go.", **asked}
    events = gateway.ask(body, stream=True).events
    built = [EVENT.validate_json(json.dumps(event), strict=True) for event in events]
    built.append(Response.model_validate_json(json.dumps(gateway.ask(body).response), strict=True))
    assert set(undeclared(built)) <= EXTRA
