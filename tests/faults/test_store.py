"""A store in trouble × every kind of request: what the client is told, and that nothing is half done.

What needs the store's word is a 503, at once and with `Retry-After`; an answer that the model has given is told all the
same, and says `store: false`. When the trouble is over, everything is as it was before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openresponses.http.app import create_app
from openresponses.secrets import EnvironmentSecrets
from openresponses.store.dynamodb import DynamoDBStore

from scripts import stand_in

from ..support.client import Client, checked_error
from ..support.gateway import Server
from ..support.moto_server import moto_server
from ..support.sockets import Socket
from .stores import TROUBLES, Trouble, sqlite_store

Json = dict[str, Any]

LONGEST = 6.0  # seconds: lock, calls and retries included


class StoreServer(Server):
    def __init__(self, store: Any) -> None:
        super().__init__({}, log_level="ERROR")
        self.store = store

    def make_app(self, settings: Any) -> Any:
        return create_app(settings, self.store, EnvironmentSecrets({}))


@dataclass
class Before:
    """What was stored before the trouble began: a response and a conversation, new for each request."""

    client: Client
    response: str
    conversation: str

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        return self.client.http.post(f"{self.client.base_url}/v1{path}", json=body, headers=headers)

    def create(self, **body: Any) -> httpx.Response:
        key = body.pop("key", None)
        return self.post(
            "/responses",
            {"model": "echo", "input": "hi", **body},
            **({"idempotency-key": key} if key else {}),
        )


@dataclass(frozen=True)
class Kind:
    """A request, and whether it is refused where reads fail, and where writes do. `answered`: by the model, so that the
    answer is told though it cannot be stored."""

    name: str
    ask: Callable[[Before], httpx.Response]
    reads: bool = False
    writes: bool = False
    answered: bool = False


KINDS = (
    Kind("create", lambda b: b.create(), answered=True),
    Kind("create, store: false", lambda b: b.create(store=False)),
    Kind("continue", lambda b: b.create(previous_response_id=b.response), reads=True, answered=True),
    Kind("continue, store: false", lambda b: b.create(previous_response_id=b.response, store=False), reads=True),
    Kind("in a conversation", lambda b: b.create(conversation=b.conversation), reads=True, answered=True),
    Kind("in background", lambda b: b.create(background=True), writes=True),
    Kind("with an idempotency key", lambda b: b.create(key=uuid4().hex), writes=True),
    Kind("GET a response", lambda b: b.client.get(f"/responses/{b.response}"), reads=True),
    Kind("its input items", lambda b: b.client.get(f"/responses/{b.response}/input_items"), reads=True),
    Kind("DELETE a response", lambda b: b.client.delete(f"/responses/{b.response}"), writes=True),
    Kind("make a conversation", lambda b: b.post("/conversations", {}), writes=True),
    Kind("GET a conversation", lambda b: b.client.get(f"/conversations/{b.conversation}"), reads=True),
    Kind("its items", lambda b: b.client.get(f"/conversations/{b.conversation}/items"), reads=True),
    Kind("change a conversation", lambda b: b.post(f"/conversations/{b.conversation}", {"metadata": {"a": "b"}}),
         reads=True, writes=True),
    Kind("add to a conversation", lambda b: b.post(f"/conversations/{b.conversation}/items", {"items": [
        {"type": "message", "role": "user", "content": "more"}]}), reads=True, writes=True),
    Kind("DELETE a conversation", lambda b: b.client.delete(f"/conversations/{b.conversation}"), writes=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = StoreServer(sqlite_store(tmp_path_factory.mktemp("store"))).start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Server]:
    with moto_server() as endpoint:
        stand_in.make_table(endpoint, "troubled")
        store = DynamoDBStore("troubled", 86400, client=lambda: stand_in.client("dynamodb", endpoint))
        started = StoreServer(store).start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
            yield started
        started.stop()


def before(client: Client) -> Before:
    made = Before(client, "", "")
    made.response = made.create().json()["id"]
    made.conversation = made.post("/conversations", {}).json()["id"]
    return made


def problem(kind: Kind, trouble: Trouble, reply: httpx.Response, seconds: float, client: Client) -> str:
    """What is wrong with the reply, after the trouble has passed."""
    refused = (kind.reads and trouble.reads) or (kind.writes and trouble.writes)
    status = trouble.but.get(kind.name, 503 if refused else 200)
    if seconds > LONGEST:
        return f"it took {seconds:.1f} s"
    if reply.status_code != status:
        return f"{reply.status_code} {reply.text:.200}"
    if status == 503:
        known = checked_error(reply)["code"] == "server_is_overloaded" and "retry-after" in reply.headers
        return "" if known else f"{reply.text:.200}"
    if status != 200 or not kind.answered:
        return ""
    response = reply.json()
    if response["status"] != "completed" or response["store"] is trouble.writes:
        return f"{response['status']}, store: {response['store']}"
    found = client.get(f"/responses/{response['id']}")
    if trouble.writes:
        return "" if found.status_code == 404 else "it is stored, though the client was told that it is not"
    return "" if found.json() == response else "it is not stored as it was told"


QUICK = ("the disk is full", "the disk fails")
ALL = [
    pytest.param(
        trouble,
        id=f"{trouble.store}: {trouble.name}",
        marks=[] if trouble.name in QUICK else [pytest.mark.slow],
    )
    for trouble in TROUBLES
]


@pytest.mark.parametrize("trouble", ALL)
def test_a_store_in_trouble(request: pytest.FixtureRequest, http: httpx.Client, trouble: Trouble) -> None:
    server = request.getfixturevalue(trouble.store)
    client = Client(server.url, http)
    wrong = []
    for kind in KINDS:
        was = before(client)
        with trouble.begin(server.store):
            begun = time.monotonic()
            reply = kind.ask(was)
            seconds = time.monotonic() - begun
        if found := problem(kind, trouble, reply, seconds, client):
            wrong.append(f"{kind.name}: {found}")
        if reply.status_code == 503 and (found := changed(was)):
            wrong.append(f"{kind.name}: {found}")
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def changed(was: Before) -> str:
    """What a refused request has done all the same."""
    if was.client.get(f"/responses/{was.response}").status_code != 200:
        return "the response is gone"
    conversation = was.client.get(f"/conversations/{was.conversation}")
    if conversation.status_code != 200 or conversation.json()["metadata"]:
        return "the conversation is not what it was"
    items = was.client.get(f"/conversations/{was.conversation}/items").json()["data"]
    return "the conversation has new items" if items else ""


def test_a_connection_goes_on_though_its_store_fails(sqlite: Server) -> None:
    """A WebSocket knows its newest response by heart."""
    trouble = next(trouble for trouble in TROUBLES if trouble.name == "the disk fails")
    with Socket(sqlite.url) as socket, trouble.begin(sqlite.store):
        first = socket.ask(model="echo", input="hi")
        assert (first.response["status"], first.response["store"]) == ("completed", False)
        second = socket.ask(model="echo", input="again", previous_response_id=first.response["id"])
        assert second.response["status"] == "completed"
