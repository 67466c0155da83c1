"""Tenants a second time: through the built function, where the authorizer's context alone says who asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.api_gateway import TENANTS, ApiGateway
from tests.tenants import test_isolation
from tests.tenants.front import Front
from tests.tenants.owned import make
from tests.tenants.test_isolation import own

from .again import copy_of

__all__ = ["own"]  # a fixture


@pytest.fixture(scope="module")
def front(api: ApiGateway) -> Iterator[Front]:
    """Its worker is another function, which is not started here: there are no background responses."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                httpx.Client(base_url=api.url, headers={"authorization": bearer}, timeout=30, trust_env=False)
            )
            for bearer in TENANTS
        )
        yield Front(first, second, make(first, background=False))


# Every route with every kind of id takes its time here; what the function itself decides is quickly asked.
QUICK = ("test_sealed_content_is_of_its_tenant", "test_an_idempotency_key_is_of_its_tenant")
LOCAL = ("test_every_route_has_its_probes", "test_over_a_websocket")
globals().update(
    {
        name: check if name in QUICK else pytest.mark.slow(copy_of(check))
        for name, check in vars(test_isolation).items()
        if name.startswith("test_") and name not in LOCAL
    }
)
