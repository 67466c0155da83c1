from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.support.api_gateway import ApiGateway
from tests.support.deployment import Deployment, deploy
from tests.support.gateway import SETTINGS, Gateway, environment
from tests.support.lambda_function import ROOT
from tests.support.moto_server import moto_server
from tests.support.provider import Provider

from .again import gateway_of, served

EVERY = 4  # of a test's cases that run a second time in the quick run


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the cases of a test differ in is behind the front door: here a part of them, in the slow run all."""
    seen: Counter[str] = Counter()
    for item in items:
        if item.path.name.endswith("_again.py"):
            name = item.nodeid.partition("[")[0]
            if seen[name] % EVERY:
                item.add_marker(pytest.mark.slow)
            seen[name] += 1


@pytest.fixture(scope="session")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's layer as it unpacks, with the one package it needs from the core layer."""
    opt = tmp_path_factory.mktemp("opt")
    shutil.copy(ROOT / "layers/runtime/streaming-runtime", opt)
    shutil.copytree(ROOT / "layers/runtime/lambda_stream", opt / "python/lambda_stream")
    for package in ("mangum", "typing_extensions"):
        spec = find_spec(package)
        assert spec and spec.origin
        source = Path(spec.origin)
        source = source.parent if source.name == "__init__.py" else source
        (opt / "python" / source.name).symlink_to(source)
    return opt


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """DynamoDB and Secrets Manager on loopback; their address."""
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def deployment(moto: str, provider: Provider) -> Deployment:
    return deploy(moto, environment(provider.url))


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Iterator[ApiGateway]:
    """API Gateway in front of the built function, with the settings of the local gateway's tests."""
    with served(deployment, SETTINGS) as started:
        yield started


@pytest.fixture
def gateway(api: ApiGateway, provider: Provider, http: httpx.Client) -> Gateway:
    return gateway_of(api, provider, http)
