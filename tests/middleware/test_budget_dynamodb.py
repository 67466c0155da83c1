"""A budget that two gateways count in one DynamoDB table, as functions on Lambda do: fifty turns at its edge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openresponses.http.app import create_app
from openresponses.secrets import EnvironmentSecrets
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.keys import day_of

from scripts import stand_in

from ..support.gateway import Server, environment
from ..support.moto_server import moto_server
from ..support.provider import Provider
from ..support.speech import MODELS, USAGE, says
from .conftest import OWN, who
from .own import ENDS

TURNS = 50
LIMIT = 100
EACH = sum(USAGE)
CONFIG = f"""
[[middleware]]
python = "{OWN}:Recorder"

[[middleware]]
use = "budget"
tokens_per_day = {LIMIT}
"""


class OverDynamoDB(Server):
    """A gateway over the table of others."""

    def __init__(self, provider: Provider, endpoint: str, table: str, config: Path) -> None:
        super().__init__(environment(provider.url), authenticate=who, config_path=str(config))
        self._client = stand_in.client("dynamodb", endpoint)
        self._table = table

    def make_app(self, settings: Any) -> Any:
        self.store = DynamoDBStore(self._table, 86400, client=lambda: self._client)
        secrets = EnvironmentSecrets(self.environ)
        return create_app(settings, self.store, secrets, authenticate=self.authenticate)


@pytest.fixture(scope="module")
def gateways(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OverDynamoDB]]:
    config = Path(tmp_path_factory.mktemp("budget")) / "config.toml"
    config.write_text(CONFIG)
    with moto_server() as endpoint:
        stand_in.make_table(endpoint, "budgets")
        started = [OverDynamoDB(provider, endpoint, "budgets", config) for _ in range(2)]
        for gateway in started:
            gateway.start()
        yield started
        for gateway in started:
            gateway.stop()


async def ask_at_once(gateways: list[OverDynamoDB], tenant: str, **body: Any) -> list[int]:
    """The statuses of TURNS turns, by turns at each gateway."""
    given = {"model": MODELS["openai"], "input": "hi", "store": False, **body}
    limits = httpx.Limits(max_connections=TURNS)
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as http:
        urls = [f"{gateways[number % len(gateways)].url}/v1/responses" for number in range(TURNS)]
        asked = (http.post(url, json=given, headers={"x-tenant": tenant}) for url in urls)
        return [reply.status_code for reply in await asyncio.gather(*asked)]


@pytest.mark.parametrize(("spent", "most"), [(LIMIT - 1, None), (0, 16)])
def test_fifty_at_once_overspend_by_what_is_in_flight(
    gateways: list[OverDynamoDB], provider: Provider, spent: int, most: int | None
) -> None:
    tenant, day = f"edge-{uuid4().hex[:8]}", f"day#{day_of(time.time())}"
    counters = DynamoDBStore("budgets", 86400, client=lambda: gateways[0]._client).counters
    later = int(time.time()) + 1000
    if spent:
        asyncio.run(counters.add(tenant, day, {"tokens": spent}, expires_at=later))
    scenario = provider.play(replace(says("openai", "Hello."), delay=0.5))
    body = {"max_output_tokens": most} if most else {}
    statuses = asyncio.run(ask_at_once(gateways, tenant, **body))
    let_in = statuses.count(200)
    assert set(statuses) <= {200, 429}
    assert len(scenario.requests) == let_in, "who is refused asks no provider"
    counted = asyncio.run(counters.read(tenant, day))["tokens"]
    used = [usage["total_tokens"] for name, _, _, usage in ENDS if name == tenant and usage]
    assert counted == spent + sum(used) == spent + let_in * EACH
    if most is None:  # the first one reserves more than is left
        assert let_in == 1
    else:  # what is reserved is more than what is used: so only the last one can pass the limit
        assert let_in > 1 and LIMIT - 2 * EACH < counted < LIMIT + EACH
