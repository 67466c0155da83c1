"""/openapi.json, taken at its word by schemathesis: what it says can be asked, and what comes back is as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openresponses.http.openapi import OPERATIONS
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ..support.gateway import Server

# Not "what fits the schema is taken": a request has rules that JSON Schema cannot say.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
IDS = [row[0] for methods in OPERATIONS.values() for row in methods.values()]


@pytest.fixture(scope="module")
def documented() -> Iterator[dict[str, Any]]:
    """The operations of a running gateway, by their ids. Only the echo provider is there."""
    server = Server({}).start()
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found: list[Any] = [operation.ok() for operation in schema.get_all_operations()]  # type: ignore[union-attr]
    yield {operation.definition.raw["operationId"]: operation for operation in found}
    server.stop()


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.parametrize("operation_id", IDS)
def test_what_is_documented_holds(documented: dict[str, Any], operation_id: str, count: int) -> None:
    operation = documented[operation_id]

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        if isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = "echo"
        case.call_and_validate(checks=CHECKS, timeout=20)

    holds()


def test_every_operation_is_documented(documented: dict[str, Any]) -> None:
    assert documented.keys() == set(IDS)
