"""The local gateway's HTTP tests, for a second run through API Gateway's events and the built function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from types import ModuleType
from typing import Any

import httpx

from scripts import stand_in
from tests.support.api_gateway import ApiGateway
from tests.support.deployment import Deployment
from tests.support.gateway import Gateway
from tests.support.provider import Provider

# Tests that ask for more than these look into the local server, or start one of their own.
KNOWN = {"gateway", "hasty", "client", "async_client", "http", "case"}


def again(module: ModuleType, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The module's tests that know no more of the gateway than its address."""
    found = {}
    for name, test in vars(module).items():
        if name.startswith("test_") and callable(test) and name not in without:
            parameters = {name for mark in getattr(test, "pytestmark", ()) for name in names_of(mark)}
            if set(signature(test).parameters) <= KNOWN | parameters:
                found[name] = test
    assert found, f"{module.__name__} has no such test"
    return found


def copy_of(test: Any) -> Any:
    """The test, for marks of its own."""

    @wraps(test)
    def copy(**arguments: Any) -> Any:
        return test(**arguments)

    return copy


def names_of(mark: Any) -> list[str]:
    """The arguments that a parametrize mark fills."""
    if mark.name != "parametrize":
        return []
    names = mark.args[0]
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


@contextmanager
def served(deployment: Deployment, settings: dict[str, Any]) -> Iterator[ApiGateway]:
    environment = {f"OPENRESPONSES_{name.upper()}": str(value) for name, value in settings.items()}
    started = ApiGateway(deployment, environment=environment).start()
    yield started
    started.stop()


def gateway_of(api: ApiGateway, provider: Provider, http: httpx.Client) -> Gateway:
    """What a test gets; `stored` counts the heads in the table."""
    deployment = api.deployment
    dynamodb = stand_in.client("dynamodb", deployment.endpoint)

    def stored() -> int:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=deployment.table,
            FilterExpression="sk = :head AND attribute_exists(created_at)",
            ExpressionAttributeValues={":head": {"S": "head"}},
            ProjectionExpression="pk",
        )
        return sum(page["Count"] for page in pages)

    gateway = Gateway(api.url, provider, http, stored)
    gateway.scenario()
    return gateway
