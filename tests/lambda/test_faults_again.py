"""The tests of failures a second time, through the Lambda path, with their own limits of time."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.http import test_faults
from tests.support.api_gateway import ApiGateway
from tests.support.deployment import Deployment
from tests.support.gateway import SETTINGS, Gateway
from tests.support.provider import Provider

from .again import again, gateway_of, served


@pytest.fixture(scope="module")
def api(deployment: Deployment) -> Iterator[ApiGateway]:
    with served(deployment, SETTINGS | test_faults.PATIENT) as started:
        yield started


@pytest.fixture(scope="module")
def hasty_api(deployment: Deployment) -> Iterator[ApiGateway]:
    with served(deployment, SETTINGS | test_faults.HASTY) as started:
        yield started


@pytest.fixture
def hasty(hasty_api: ApiGateway, provider: Provider, http: httpx.Client) -> Gateway:
    return gateway_of(hasty_api, provider, http)


@pytest.fixture
def gateway(api: ApiGateway, provider: Provider, http: httpx.Client) -> Gateway:
    return gateway_of(api, provider, http)


# Lambda does not tell the function that its client has gone.
globals().update(again(test_faults, without=("test_a_vanished_client_stops_the_provider_call",)))
