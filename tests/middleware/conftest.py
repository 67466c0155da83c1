"""A gateway with every middleware, each for tenants of its own; who asks, and with which limits, is in the headers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openresponses.engine.caller import Caller
from openresponses.middleware.windows import window
from openresponses.store.keys import day_of

from ..support.client import Client, Told
from ..support.gateway import Server, environment
from ..support.provider import Provider

Json = dict[str, Any]

OWN = "tests.middleware.own"
HOOKS = ("before_turn", "before_sample", "on_event", "after_sample", "after_turn")
ROWS = f"""
[[model]]
match = ["gpt-test", "claude-test"]
price = {{ input = 3, cached_input = 0.5, output = 15 }}

[[tool]]
name = "add"
python = "tests.engine.test_hosted_tools:add"

[[middleware]]
python = "{OWN}:Recorder"

[[middleware]]
use = "request_log"

[[middleware]]
use = "budget"
tenants = ["sum*"]
tokens_per_day = 1_000_000_000
cost_per_day = 1_000_000

[[middleware]]
use = "budget"
tenants = ["sum*"]  # the first one counts
tokens_per_day = 1

[[middleware]]
use = "budget"
tenants = ["edge*"]
tokens_per_day = 100

[[middleware]]
use = "budget"
tenants = ["dollars"]
cost_per_day = 0.0001

[[middleware]]
use = "rate_limit"
tenants = ["rate*"]
requests_per_minute = 3

[[middleware]]
use = "models"
tenants = ["models"]
allow = ["echo", "claude-test*"]

[[middleware]]
use = "content_filter"
tenants = ["filter"]
input = ["(?i)forbidden"]
output = ["secret-\\\\d+"]

[[middleware]]
use = "response_cache"
tenants = ["cache*"]

[[middleware]]
python = "{OWN}:Noter"
tenants = ["order*"]
name = "a"

[[middleware]]
python = "{OWN}:Broken"
tenants = ["order-refused"]
hook = "before_turn"
way = "typed"

[[middleware]]
python = "{OWN}:Noter"
tenants = ["order*"]
name = "b"

[[middleware]]
python = "{OWN}:Shouter"
tenants = ["own"]
greeting = "hi there"

[[middleware]]
python = "{OWN}:Censor"
tenants = ["censor"]
""" + "".join(
    f'\n[[middleware]]\npython = "{OWN}:Broken"\ntenants = ["{hook.replace("_", "-")}-{way}"]\n'
    f'hook = "{hook}"\nway = "{way}"\n'
    for hook in HOOKS
    for way in ("raises", "typed", "cancels", "hangs", "stops")
)


async def who(request: Any) -> Caller:
    headers = request.headers
    limits = json.loads(headers.get("x-limits", "{}"))
    return Caller(headers.get("x-tenant", "default"), headers.get("x-key"), limits)


@pytest.fixture(scope="session")
def guarded(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = Path(tmp_path_factory.mktemp("middleware")) / "config.toml"
    config.write_text(ROWS)
    started = Server(environment(provider.url), authenticate=who, config_path=str(config)).start()
    yield started
    started.stop()


class Tenant:
    """One tenant's way to the gateway, with a key and its limits, if it has one."""

    def __init__(self, server: Server, http: httpx.Client, name: str, key: str | None, limits: Json) -> None:
        self.server = server
        self.name = name
        self.key = key
        self.headers = {"x-tenant": name, "x-limits": json.dumps(limits), **({"x-key": key} if key else {})}
        self.client = Client(server.url, http)

    def ask(self, *, stream: bool = False, **body: Any) -> Told:
        return self.client.ask({"model": "echo", "input": "hi", **body}, stream=stream, headers=self.headers)

    def counters(self, unit: str) -> dict[str, int]:
        """What the tenant's newest window of this unit (day, minute) stands at."""
        unit = f"day#{day_of(time.time())}" if unit == "day" else unit
        name = window(unit, Caller(self.name, self.key), "key" if self.key else "tenant")
        found: dict[str, int] = asyncio.run(self.server.store.counters.read(self.name, name))
        return found


NewTenant = Callable[..., Tenant]


@pytest.fixture
def tenant(guarded: Server, provider: Provider, http: httpx.Client) -> NewTenant:
    """A tenant by name; `key` and limits make it one with a key."""
    provider.play()

    def made(name: str, key: str | None = None, **limits: Any) -> Tenant:
        return Tenant(guarded, http, name, key, limits)

    return made
