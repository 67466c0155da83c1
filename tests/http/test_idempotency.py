"""`Idempotency-Key`: the same request twice is one turn."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from openresponses.http.idempotency import LEASE, Idempotent
from openresponses.protocol.errors import ApiError
from openresponses.store.sqlite import SQLiteStore

from ..support import grammar
from ..support.gateway import Gateway, Server, environment
from ..support.provider import Answer
from ..support.speech import MODELS, says

Json = dict[str, Any]
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
BODY: Json = {"model": MODELS["anthropic"], "input": "hi", "tools": [TOOL]}


def keyed(name: str) -> dict[str, str]:
    return {"idempotency-key": name}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_the_second_request_gets_the_first_response(gateway: Gateway, first: bool, second: bool) -> None:
    answer = says("anthropic", "Hello there", calls=[("f", {"a": 1})], reasoning="let me think")
    scenario = gateway.scenario(answer)
    # The body differs by `stream`, so only the same form is the same request.
    name = f"key-{first}-{second}"
    one = gateway.ask(BODY, stream=first, headers=keyed(name))
    two = gateway.ask(BODY, stream=second, headers=keyed(name))
    if first != second:
        assert (two.status, two.error["param"]) == (400, "Idempotency-Key")
        return
    assert two.response == one.response
    assert two.headers["x-openresponses-replayed"] == "true"
    assert len(scenario.requests) == 1
    if second:
        kinds = [event["type"] for event in two.events]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
        assert "response.function_call_arguments.delta" in kinds


def thoughts(stream: bytes) -> set[str]:
    """The names of the events that tell them."""
    return {event["type"] for event in grammar.parse(stream) if "reasoning" in event["type"]}


@pytest.mark.parametrize("form", ["summary", "openai", "spec"])
def test_raw_thoughts_are_told_again_under_the_same_names(gateway: Gateway, form: str) -> None:
    """The names of their events are a setting; what a client could read the first time, it can the second time."""
    scenario = gateway.scenario(says("ollama", "Hello", reasoning="let me think"))
    body = {"model": MODELS["ollama"], "input": "hi", "stream": True}
    server = Server(environment(gateway.provider.url), reasoning_events=form).start()
    try:
        one, two = (
            gateway.http.post(f"{server.url}/v1/responses", json=body, headers=keyed("thoughts"))
            for _ in range(2)
        )
    finally:
        server.stop()
    assert len(scenario.requests) == 1
    assert two.headers["x-openresponses-replayed"] == "true"
    assert thoughts(one.content) == thoughts(two.content) != set()


def test_another_body_is_refused(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello"))
    gateway.ask(BODY, headers=keyed("other-body"))
    told = gateway.ask({**BODY, "input": "something else"}, headers=keyed("other-body"))
    assert (told.status, told.error["code"], told.error["param"]) == (400, "invalid_value", "Idempotency-Key")


def test_a_request_that_is_still_running_is_a_conflict(gateway: Gateway) -> None:
    scenario = gateway.scenario(
        Answer(says("anthropic", "Hello").body, content_type="text/event-stream", delay=0.6)
    )
    running = threading.Thread(target=lambda: gateway.ask(BODY, headers=keyed("running")))
    running.start()
    while not scenario.requests:
        pass
    told = gateway.ask(BODY, headers=keyed("running"))
    running.join()
    assert (told.status, told.error["code"]) == (409, "conflict")
    assert 1 <= int(told.headers["retry-after"]) <= LEASE, "when its lease is over at the latest"
    assert gateway.ask(BODY, headers=keyed("running")).status == 200
    assert len(scenario.requests) == 1


def test_a_failed_request_leaves_its_key_free(gateway: Gateway) -> None:
    gateway.scenario(Answer(b'{"error":{"message":"no"}}', status=400), says("anthropic", "Hello"))
    assert gateway.ask(BODY, headers=keyed("failed")).status == 400
    assert gateway.ask(BODY, headers=keyed("failed")).text == "Hello"


def test_what_was_not_stored_cannot_be_told_again(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello"))
    body = {**BODY, "store": False}
    assert gateway.ask(body, headers=keyed("unstored")).text == "Hello"
    told = gateway.ask(body, headers=keyed("unstored"))
    assert (told.status, told.error["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_a_bad_key(gateway: Gateway, name: str) -> None:
    told = gateway.ask(BODY, headers=keyed(name))
    assert (told.status, told.error["param"]) == (400, "Idempotency-Key")


def test_a_replayed_failure(gateway: Gateway) -> None:
    broken = says("anthropic", "Hello there, world").body[:700]
    gateway.scenario(Answer(broken, content_type="text/event-stream"))
    one = gateway.ask(BODY, stream=True, headers=keyed("broken"))
    two = gateway.ask(BODY, stream=True, headers=keyed("broken"))
    assert one.response["status"] == "failed"
    assert two.response == one.response


def finished(gateway: Gateway, response_id: str) -> None:
    """Waits for a background response: it must not call the next test's provider."""
    while gateway.get(f"/responses/{response_id}").json()["status"] in ("queued", "in_progress"):
        time.sleep(0.02)


def test_a_background_response_is_queued_once(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("anthropic", "Hello"))
    body = {**BODY, "background": True}
    one = gateway.http.post(f"{gateway.base_url}/v1/responses", json=body, headers=keyed("queued"))
    two = gateway.http.post(f"{gateway.base_url}/v1/responses", json=body, headers=keyed("queued"))
    assert one.json()["id"] == two.json()["id"]
    finished(gateway, one.json()["id"])
    three = gateway.http.post(f"{gateway.base_url}/v1/responses", json=body, headers=keyed("queued"))
    assert (three.json()["id"], three.json()["status"]) == (one.json()["id"], "completed")
    assert len(scenario.requests) == 1
    refused = gateway.ask({**body, "previous_response_id": "resp_x"}, headers=keyed("queued-badly"))
    assert refused.status == 404
    again = gateway.http.post(f"{gateway.base_url}/v1/responses", json=body, headers=keyed("queued-badly"))
    assert again.status_code == 200
    finished(gateway, again.json()["id"])


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_is_held_as_long_as_its_request_runs_and_not_much_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is killed frees it: its lease is not prolonged any more."""
    monkeypatch.setattr("openresponses.http.idempotency.BEAT", 0.01)
    clock = Clock()
    store = SQLiteStore(":memory:", 3600, clock=clock)
    keys = [Idempotent(store.idempotency, "t", "k", b"{}", clock) for _ in range(2)]

    async def hangs(*_: Any) -> None:
        await asyncio.Event().wait()

    async def is_taken() -> bool:
        try:
            return await keys[1].earlier("resp_2") is not None
        except ApiError as error:
            assert 0 < (error.retry_after or 0) <= LEASE
            return True

    assert await keys[0].earlier("resp_1") is None
    running: asyncio.Task[None] = asyncio.create_task(keys[0].around(hangs, "resp_1")({}, hangs, hangs))  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.sleep(0.1)
        clock.now += LEASE - 1
        assert await is_taken()
    monkeypatch.setattr(store.idempotency, "release", hangs)  # as a process that is dead
    running.cancel()
    await asyncio.wait((running,), timeout=0.05)
    assert await is_taken()
    clock.now += LEASE
    assert not await is_taken()
    await store.close()
