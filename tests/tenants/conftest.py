from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from openresponses.http.auth import bearer_owner
from openresponses.store.sqlite_keys import SQLiteKeys

from ..support.gateway import Server, environment
from ..support.provider import Provider
from .front import Front
from .owned import make


@pytest.fixture(scope="module")
def front(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The local server with keys, and two tenants with one each. The provider is never asked."""
    keys = SQLiteKeys(Path(tmp_path_factory.mktemp("keys")) / "history.db")
    bearers = {tenant: {"authorization": f"Bearer {keys.create(tenant)}"} for tenant in ("first", "second")}
    server = Server(environment(provider.url), authenticate=bearer_owner(keys)).start()
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                httpx.Client(base_url=server.url, headers=bearer, timeout=30, trust_env=False)
            )
            for bearer in bearers.values()
        )
        yield Front(first, second, make(first, background=True), list(bearers.values()))
    server.stop()
