"""How long things are kept, as the limits of a key say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from openresponses.engine.caller import Caller
from openresponses.protocol.errors import ApiError
from openresponses.store.retention import Retention
from websockets.sync.client import connect

from ..support.gateway import Server, environment
from ..support.provider import Provider

Json = dict[str, Any]

LIMITS: dict[str, Json] = {
    "day": {"retention_days": 1},
    "half": {"retention_days": 0.5},
    "nothing": {"zero_retention": True},
    "unlimited": {},
    "broken": {"retention_days": "a week"},
}
DAY = 86400


async def caller_of(request: Any) -> Caller:
    """As a key's owner: the bearer is the tenant."""
    tenant = request.headers["authorization"].removeprefix("Bearer ")
    return Caller(tenant, limits=LIMITS[tenant])


@pytest.fixture(scope="module")
def limited(provider: Provider) -> Iterator[Server]:
    started = Server(environment(provider.url), authenticate=caller_of).start()
    yield started
    started.stop()


class Tenant:
    """One tenant's way to the gateway."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.http = httpx.Client(
            base_url=f"{server.url}/v1", headers={"authorization": f"Bearer {name}"}, trust_env=False
        )

    def ask(self, status: int = 200, path: str = "/responses", **body: Any) -> Json:
        given = body if path != "/responses" else {"model": "echo", "input": "hi", **body}
        reply = self.http.post(path, json=given)
        assert reply.status_code == status, reply.text
        answer: Json = reply.json()
        return answer

    def status(self, path: str) -> int:
        return self.http.get(path).status_code


@pytest.fixture
def tenant(limited: Server, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    made = Tenant(limited, request.param)
    yield made
    made.http.close()


def of(name: str) -> Any:
    return pytest.mark.parametrize("tenant", [name], indirect=True)


@pytest.mark.parametrize(
    ("tenant", "days"), [("day", 1), ("half", 0.5), ("unlimited", 30)], indirect=["tenant"]
)
def test_a_response_lives_as_long_as_its_key_says(tenant: Tenant, days: float) -> None:
    tenant.ask()
    record = tenant.server.last_record
    assert record.expires_at - record.created_at == days * DAY
    assert record.lifetime == (None if days == 30 else days * DAY)


@of("day")
def test_background_and_conversations_live_as_long(tenant: Tenant) -> None:
    queued = tenant.ask(background=True)
    kept = run(tenant.server.store.get("day", queued["id"]))
    assert kept.expires_at - kept.created_at == DAY
    made = tenant.ask(path="/conversations", items=[{"role": "user", "content": "hi"}])
    found = run(tenant.server.store.conversations.get("day", made["id"]))
    assert (found.expires_at - found.created_at, found.lifetime) == (DAY, DAY)


def run(work: Any) -> Any:
    import asyncio

    async def done() -> Any:
        return await work

    return asyncio.run(done())


@of("nothing")
def test_zero_retention_stores_nothing(tenant: Tenant) -> None:
    before = tenant.server.stored
    told = tenant.ask(store=True)
    assert told["store"] is False
    streamed = tenant.http.post("/responses", json={"model": "echo", "input": "hi", "stream": True}).text
    assert '"store":false' in streamed and '"store":true' not in streamed
    assert tenant.server.stored == before
    assert tenant.status(f"/responses/{told['id']}") == 404
    refused = tenant.ask(404, previous_response_id=told["id"])
    assert refused["error"]["code"] == "previous_response_not_found"


@of("nothing")
def test_zero_retention_refuses_what_is_nothing_but_storage(tenant: Tenant) -> None:
    refused = tenant.ask(400, background=True)
    assert (refused["error"]["code"], refused["error"]["param"]) == ("invalid_value", "background")
    assert tenant.ask(400, conversation="conv_1")["error"]["param"] == "conversation"
    assert tenant.ask(403, path="/conversations")["error"]["code"] == "permission_denied"


def test_a_key_that_becomes_zero_retention_adds_nothing_to_a_conversation(
    limited: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = Tenant(limited, "unlimited")
    path = f"/conversations/{tenant.ask(path='/conversations')['id']}"
    monkeypatch.setitem(LIMITS, "unlimited", {"zero_retention": True})
    item = {"type": "message", "role": "user", "content": "hi"}
    assert tenant.ask(403, path=f"{path}/items", items=[item])["error"]["code"] == "permission_denied"
    assert tenant.ask(403, path=path, metadata={"a": "b"})["error"]["code"] == "permission_denied"
    assert tenant.status(path) == 200
    assert tenant.http.delete(path).status_code == 200
    tenant.http.close()


@of("nothing")
def test_zero_retention_over_a_websocket(tenant: Tenant) -> None:
    before = tenant.server.stored
    url = f"ws{tenant.server.url.removeprefix('http')}/v1/responses"
    with connect(url, additional_headers={"authorization": "Bearer nothing"}) as socket:
        first = create(socket, input="One")
        assert first["store"] is False
        assert create(socket, input="Two", previous_response_id=first["id"])["status"] == "completed"
    assert tenant.server.stored == before


def create(socket: Any, **body: Any) -> Json:
    socket.send(orjson.dumps({"type": "response.create", "model": "echo", **body}).decode())
    for frame in map(orjson.loads, socket):
        if frame["type"] == "response.completed":
            response: Json = frame["response"]
            return response
        assert frame["type"] not in ("error", "response.failed"), frame
    raise AssertionError("the connection ended")


@of("broken")
def test_limits_that_cannot_be_understood_store_nothing(tenant: Tenant) -> None:
    before = tenant.server.stored
    assert tenant.ask(500)["error"]["code"] == "server_error"
    assert tenant.ask(500, path="/conversations")["error"]["code"] == "server_error"
    assert tenant.server.stored == before


@pytest.mark.parametrize(
    "limits",
    [{"retention_days": 0}, {"retention_days": -1}, {"retention_days": True}, {"zero_retention": "yes"}],
)
def test_what_is_no_retention(limits: Json) -> None:
    with pytest.raises(ApiError):
        Retention.of(limits)


def test_what_is_a_retention() -> None:
    assert Retention.of({"tokens_per_day": 5}) == Retention()
    assert Retention.of({"retention_days": 2, "zero_retention": False}) == Retention(2 * DAY)
    assert Retention.of({"retention_days": 1e-9}) == Retention(1)
