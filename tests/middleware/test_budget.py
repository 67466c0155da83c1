"""Budgets, rates, concurrency: what is let in, what is refused, and that the counters are the sum of the usages."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from openresponses.middleware import concurrency
from openresponses.store.keys import day_of

from ..background.asking import cancel, create, poll
from ..support.client import Client
from ..support.provider import Answer, Provider
from ..support.speech import MODELS, USAGE, says
from ..support.waiting import wait_for
from .conftest import NewTenant, Tenant
from .own import ENDS

Json = dict[str, Any]
PRICE = {"input": 3, "cached_input": 0.5, "output": 15}
EACH = {"tokens": sum(USAGE), "cost": 3 * USAGE[0] + 15 * USAGE[1]}


def spend(tenant: Tenant, **amounts: int) -> None:
    day = f"day#{day_of(time.time())}"
    counters = tenant.server.store.counters
    asyncio.run(counters.add(tenant.name, day, amounts, expires_at=int(time.time()) + 1000))


def many(tenant: Tenant, count: int, **body: Any) -> list[int]:
    """The statuses of so many turns at once."""
    given = {"model": MODELS["openai"], "input": "hi", **body}
    url = f"{tenant.server.url}/v1/responses"

    async def ask() -> list[int]:
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as http:
            asked = (http.post(url, json=given, headers=tenant.headers) for _ in range(count))
            return [reply.status_code for reply in await asyncio.gather(*asked)]

    return asyncio.run(ask())


def test_fifty_at_once_at_the_edge_overspend_by_one(tenant: NewTenant, provider: Provider) -> None:
    edge = tenant("edge")
    spend(edge, tokens=99)
    scenario = provider.play(replace(says("openai", "Hello."), delay=0.2))
    statuses = many(edge, 50)
    assert (statuses.count(200), statuses.count(429)) == (1, 49)
    assert len(scenario.requests) == 1
    assert edge.counters("day") == {"tokens": 99 + sum(USAGE)}


def test_a_large_max_output_tokens_takes_nobody_elses_budget(tenant: NewTenant, provider: Provider) -> None:
    wide = tenant("sum-wide")
    release = provider.play(replace(says("openai", "Hello."), delay=0.4), says("openai", "Hello."))
    asked: dict[str, Any] = {"model": MODELS["openai"], "max_output_tokens": 2**31 - 1}
    with ThreadPoolExecutor(1) as other:
        running = other.submit(wide.ask, **asked)
        while not release.requests:
            time.sleep(0.01)
        assert wide.ask(model=MODELS["openai"]).status == 200
        assert running.result().status == 200
    assert wide.counters("day")["tokens"] == 2 * sum(USAGE)


def test_a_spent_budget_says_when_it_begins_anew(tenant: NewTenant) -> None:
    spent = tenant("edge-spent")
    spend(spent, tokens=100)
    told = spent.ask(stream=True)
    assert (told.status, told.error["code"]) == (429, "rate_limit_exceeded")
    assert told.error["message"].endswith("T00:00:00Z.")
    assert abs(int(told.headers["retry-after"]) - (86400 - time.time() % 86400)) < 5
    assert tenant("edge-other").ask().status == 200


def test_a_budget_in_dollars(tenant: NewTenant, provider: Provider) -> None:
    dollars = tenant("dollars")
    provider.play(says("openai", "Hello."))
    refused = dollars.ask(model=MODELS["gemini"])
    assert (refused.status, refused.error["code"], refused.error["param"]) == (
        403,
        "permission_denied",
        "model",
    )
    assert dollars.ask().status == 200, "echo costs nothing"
    assert dollars.counters("day") == {"cost": 0}
    assert dollars.ask(model=MODELS["openai"], max_output_tokens=16).status == 200
    assert dollars.counters("day") == {"cost": EACH["cost"]}
    assert dollars.ask(model=MODELS["openai"]).status == 429


def ends(tenant: Tenant) -> list[tuple[str, Json | None]]:
    """Status and usage of each of its turns; who notes them is told last."""
    return [(status, usage) for name, _, status, usage in ENDS if name == tenant.name]


def cut(dialect: str) -> Answer:
    """The answer, dead before its end."""
    whole = says(dialect, "Hello there, this is cut.")
    return replace(whole, pieces=[whole.body[: len(whole.body) * 2 // 3]], ending="abort")


HOSTED = [{"type": "function", "name": "add"}]
ANSWERS: dict[str, tuple[list[Answer], Json]] = {
    "plain": ([says("openai", "Hello.")], {}),
    "failed": ([Answer(b"{}", status=400)], {}),
    "cut": ([cut("anthropic")], {"model": MODELS["anthropic"]}),
    "two samples": (
        [says("anthropic", calls=[("add", {"first": 1})]), says("anthropic", "2.")],
        {"model": MODELS["anthropic"], "tools": HOSTED},
    ),
    "the second one fails": (
        [says("anthropic", calls=[("add", {"first": 1})]), Answer(b"{}", status=400)],
        {"model": MODELS["anthropic"], "tools": HOSTED},
    ),
    "incomplete": ([], {"model": "echo", "input": "/incomplete one two three"}),
    "refused by the provider's adapter": ([], {"input": [{"type": "item_reference", "id": "msg_0"}]}),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", ANSWERS)
def test_the_counters_are_the_sum_of_the_usages(
    tenant: NewTenant, provider: Provider, case: str, stream: bool
) -> None:
    answers, body = ANSWERS[case]
    provider.play(*answers)
    summed = tenant(f"sum-{case.replace(' ', '-').replace(chr(39), '')}-{int(stream)}")
    told = summed.ask(**{"model": MODELS["openai"], **body}, stream=stream)
    ((_, usage),) = ends(summed)
    if told.status == 200:
        assert told.response["usage"] == usage, "what was told is what was counted"
    tokens = usage["total_tokens"] if usage else 0
    counted = summed.counters("day")
    assert counted["tokens"] == tokens
    if usage and "echo" not in str(body.get("model")):
        assert counted["cost"] == 3 * usage["input_tokens"] + 15 * usage["output_tokens"]
    if case in ("two samples", "the second one fails"):
        assert tokens >= (2 if case == "two samples" else 1) * sum(USAGE)


def test_a_client_that_leaves_is_counted(tenant: NewTenant, provider: Provider) -> None:
    whole = says("anthropic", "Hello there, nobody listens.")
    provider.play(replace(whole, pieces=[whole.body[:800]], ending="hang"))
    left = tenant("sum-left")
    url, given = (
        f"{left.server.url}/v1/responses",
        {"model": MODELS["anthropic"], "input": "hi", "stream": True},
    )
    with httpx.stream("POST", url, json=given, headers=left.headers) as reply:
        lines = reply.iter_lines()  # which closes the connection when it is dropped
        while "output_text.delta" not in next(lines):
            pass
        assert left.counters("day")["tokens"] > 1000, "reserved"
    wait_for(lambda: ends(left))
    ((status, usage),) = ends(left)
    assert status == "incomplete" and usage
    assert left.counters("day")["tokens"] == usage["total_tokens"]


def test_background_responses(tenant: NewTenant, provider: Provider) -> None:
    """Counted when they end; refused with their HTTP status when they are asked for."""
    summed = tenant("sum-background", "key9", concurrency=1, requests_per_minute=9)
    with httpx.Client(headers=summed.headers, trust_env=False) as http:
        client = Client(summed.server.url, http)
        provider.play(says("openai", "Hello."))
        queued = create(client, model=MODELS["openai"], input="hi")
        ended = poll(client, queued["id"])
        assert ended["status"] == "completed"
        plain = tenant("sum-background")
        assert plain.counters("day") == EACH
        whole = says("anthropic", "Hello there, this hangs.")
        provider.play(replace(whole, pieces=[whole.body[:800]], ending="hang"))
        queued = create(client, model=MODELS["anthropic"], input="hi")
        refused = summed.ask()
        assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded"), "its lease is taken"
        wait_for(lambda: plain.counters("day")["tokens"] >= 1000)
        cancelled = cancel(client, queued["id"])
        assert cancelled["status"] == "cancelled" and cancelled["usage"]
        assert plain.counters("day")["tokens"] == EACH["tokens"] + cancelled["usage"]["total_tokens"]
        assert summed.ask().status == 200, "and free again"
    edge = tenant("edge-background")
    spend(edge, tokens=100)
    assert edge.ask(background=True).status == 429


def test_requests_a_minute(tenant: NewTenant) -> None:
    if time.time() % 60 > 57:
        time.sleep(3.5)  # so that the minute does not end within the test
    rate = tenant("rate")
    told = [rate.ask() for _ in range(4)]
    assert [one.status for one in told] == [200, 200, 200, 429]
    assert [one.headers["x-ratelimit-remaining-requests"] for one in told[:3]] == ["2", "1", "0"]
    assert told[0].headers["x-ratelimit-limit-requests"] == "3"
    assert 0 < int(told[3].headers["retry-after"]) <= 60
    assert tenant("rate-other").ask().status == 200
    refused = rate.ask(stream=True)
    assert refused.error["code"] == "rate_limit_exceeded"
    for one in (told[3], refused, rate.ask(background=True)):
        assert one.headers["x-ratelimit-remaining-requests"] == "0"
        assert one.headers["x-ratelimit-reset-requests"] == one.headers["retry-after"] + "s"


def test_limits_of_a_key(tenant: NewTenant) -> None:
    """They are each key's own, beside those of its tenant."""
    if time.time() % 60 > 57:
        time.sleep(3.5)
    one = tenant("keyed", "one", requests_per_minute=1)
    assert [one.ask().status, one.ask().status] == [200, 429]
    assert tenant("keyed", "two", requests_per_minute=1).ask().status == 200
    assert tenant("keyed", "three").ask().status == 200
    small = tenant("keyed", "small", tokens_per_day=5)
    assert [small.ask(input="one two three four five").status, small.ask().status] == [200, 429]
    assert small.counters("day")["tokens"] > 5
    poor = tenant("keyed", "poor", cost_per_day=0.5)
    assert [poor.ask(model=MODELS["gemini"]).status, poor.ask().status] == [403, 200]
    broken: list[Json] = [
        {"tokens_per_day": "many"},
        {"models": []},
        {"concurrency": -1},
        {"cost_per_day": True},
    ]
    for wrong in broken:
        told = tenant("keyed", "wrong", **wrong).ask()
        assert (told.status, told.error["code"]) == (500, "server_error")
        assert next(iter(wrong)) in told.error["message"]


def test_concurrency_of_a_key(tenant: NewTenant, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "RENEW_EVERY", 0.1)
    monkeypatch.setattr(concurrency, "LEASE_SECONDS", 0.4)
    provider.play(replace(says("openai", "Hello."), delay=0.8))
    busy = tenant("busy", "key", concurrency=3)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(many, busy, 8)
        time.sleep(0.6)  # longer than a lease: it is renewed
        assert many(busy, 1) == [429]
    assert sorted(first.result()) == [200] * 3 + [429] * 5
    provider.play(says("openai", "Hello."))
    assert many(busy, 3) == [200] * 3
    # A process that died holds its leases for a while.
    lease = busy.server.store.counters.lease
    for owner in "abc":
        assert asyncio.run(lease("busy", "turns#key#key", owner, time.time() + 0.3, 3))
    assert many(busy, 1) == [429]
    time.sleep(0.35)
    assert many(busy, 1) == [200]
