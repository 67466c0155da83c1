"""WebSockets on AWS: API Gateway holds the connections, messages wait in the table, runs answer them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from openresponses.engine import held
from openresponses.store.dynamodb_keys import DynamoDBKeys
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scripts import stand_in

from ..support.gateway import environment
from ..support.moto_server import moto_server
from ..support.provider import SSE, Answer, Provider
from ..support.sockets import Socket
from ..support.speech import MODELS, says
from ..support.waiting import wait_for
from ..support.websocket_api import WebSocketApi, load

Json = dict[str, Any]

ECHO: Json = {"model": "echo", "store": False}
NOT_FOUND = (400, "previous_response_not_found", "previous_response_id")


class Aws:
    """The table and its keys, behind moto."""

    def __init__(self, endpoint: str, provider_url: str) -> None:
        self.table = f"responses-{uuid4().hex[:8]}"
        stand_in.make_table(endpoint, self.table)
        self.sealing = stand_in.make_sealing_secret(endpoint, f"{self.table}-sealing")
        self.secret = stand_in.make_secret(endpoint, self.table, environment(provider_url))
        self.client = stand_in.client("dynamodb", endpoint)
        self.key = DynamoDBKeys(self.table, client=lambda: self.client).create("acme")

    def rows(self, kind: str = "W#") -> list[Json]:
        found: list[Json] = self.client.scan(TableName=self.table)["Items"]
        return [row for row in found if row["pk"]["S"].startswith(kind)]


@pytest.fixture(scope="module")
def aws(provider: Provider) -> Iterator[Aws]:
    with moto_server() as endpoint, pytest.MonkeyPatch.context() as patched:
        made = Aws(endpoint, provider.url)
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": stand_in.REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "TABLE_NAME": made.table,
            "SEALING_SECRET_ARN": made.sealing,
            "PROVIDER_SECRET_ARN": made.secret,
            "OPENRESPONSES_MAX_RETRIES": "0",
        }.items():
            patched.setenv(name, value)
        patched.setattr(held, "BEAT_SECONDS", 0.2)
        yield made


@pytest.fixture(scope="module")
def api(aws: Aws) -> Iterator[WebSocketApi]:
    started = WebSocketApi().start()
    yield started
    started.stop()


@pytest.fixture
def headers(aws: Aws) -> dict[str, str]:
    return {"Authorization": f"Bearer {aws.key}"}


@pytest.fixture
def socket(api: WebSocketApi, headers: dict[str, str], provider: Provider) -> Iterator[Socket]:
    provider.play()
    with Socket(api.url, headers) as opened:
        yield opened


# --------------------------------------------------------------------------- the cases of the official suite


def test_a_response(socket: Socket, provider: Provider) -> None:
    provider.play(says("anthropic", "Hello there", reasoning="Hm"))
    assert socket.ask(model=MODELS["anthropic"], input="Hi").text == "Hello there"


def test_sequential_responses(socket: Socket) -> None:
    """Two messages at once: answered in order, one at a time."""
    for word in ("first", "second", "third"):
        socket.create(**ECHO, input=f"/slow 0.02\nSay {word}")
    for word in ("first", "second", "third"):
        assert word in socket.answer().text


@pytest.mark.parametrize("store", [True, False])
def test_continuation(socket: Socket, aws: Aws, store: bool) -> None:
    first = socket.ask(model="echo", store=store, input="/reason forty-two\nMy name is Alice")
    wait_for(lambda: not any("owner" in row for row in aws.rows()))  # the next turn has a run of its own
    second = socket.ask(model="echo", store=store, input="And?", previous_response_id=first.response["id"])
    third = socket.ask(model="echo", store=store, input="Well?", previous_response_id=second.response["id"])
    assert "Alice" in second.text and "Alice" in third.text and "forty-two" in third.text


@pytest.mark.parametrize("store", [True, False])
def test_reconnect(api: WebSocketApi, headers: dict[str, str], store: bool) -> None:
    with Socket(api.url, headers) as socket:
        first = socket.ask(model="echo", store=store, input="My name is Alice")
    with Socket(api.url, headers) as socket:
        body = {
            "model": "echo",
            "store": store,
            "input": "And?",
            "previous_response_id": first.response["id"],
        }
        turn = socket.ask(**body)
        if store:
            assert "Alice" in turn.text
        else:
            assert turn.refusal == NOT_FOUND
            assert socket.ask(**ECHO, input="Anew").response["status"] == "completed"


def test_missing_previous_response(socket: Socket) -> None:
    assert socket.ask(**ECHO, input="Hi", previous_response_id="resp_" + "0" * 32).refusal == NOT_FOUND


def test_a_failed_continuation_evicts(socket: Socket) -> None:
    first = socket.ask(**ECHO, input="One")
    previous = first.response["id"]
    lost: Json = {"type": "function_call_output", "call_id": "call_x", "output": "?"}
    assert socket.ask(**ECHO, input=[lost], previous_response_id=previous).refusal[0] == 400
    assert socket.ask(**ECHO, input="Again", previous_response_id=previous).refusal == NOT_FOUND


async def test_a_new_chain_after_compaction(aws: Aws, socket: Socket, headers: dict[str, str]) -> None:
    """What the REST API's function compacts, a connection's worker can read."""
    function = load("responses")
    transport = httpx.ASGITransport(app=function.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://rest") as rest:
        said = [
            {"role": "user", "content": "The code word is slate."},
            {"role": "assistant", "content": "OK."},
        ]
        body = {"model": "echo", "input": said}
        compacted = (await rest.post("/v1/responses/compact", json=body, headers=headers)).json()
    await function.store.close()
    turn = socket.ask(**ECHO, input=[*compacted["output"], {"role": "user", "content": "Go on"}])
    assert turn.response["status"] == "completed" and "Go on" in turn.text


def test_bad_messages(socket: Socket) -> None:
    socket.send("{not json")
    assert socket.answer().refusal == (400, "invalid_json", None)
    socket.send('{"type":"response.steer"}')
    assert socket.answer().refusal == (400, "invalid_value", "type")


# --------------------------------------------------------------------------- who, and what is left


def test_no_key_no_connection(api: WebSocketApi) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Socket(api.url, {"Authorization": "Bearer or-wrong"})
    assert refused.value.response.status_code == 401


def test_without_an_authorizer_there_is_no_connection(api: WebSocketApi) -> None:
    event = {"requestContext": {"routeKey": "$connect", "connectionId": "x="}}
    assert api.call(event) == {"statusCode": 401}


def test_nothing_is_left_or_readable(api: WebSocketApi, aws: Aws, headers: dict[str, str]) -> None:
    """What lies in the table meanwhile is sealed, for two hours at most, under the connection alone."""
    with Socket(api.url, headers) as socket:
        first = socket.ask(**ECHO, input="The canary sings")
        wait_for(lambda: any(row["sk"]["S"] == "state" for row in aws.rows()))
        rows = aws.rows()
        assert {row["sk"]["S"] for row in rows} == {"head", "state"}
        assert "canary" not in str(rows) and first.response["id"] not in str(rows)
        assert all(float(row["expires_at"]["N"]) <= time.time() + 7200 for row in rows)
        assert not [row for row in aws.rows("T#") if first.response["id"][5:] in row["pk"]["S"]]
    wait_for(lambda: not aws.rows())


def test_invocations_carry_the_connection_only(api: WebSocketApi, socket: Socket) -> None:
    del api.invoked[:]
    socket.ask(**ECHO, input="The canary sings")
    assert [set(payload) for payload in api.invoked] == [{"websocket"}]
    assert "canary" not in str(api.invoked)


def test_what_is_stored_is_not_kept_twice(socket: Socket, aws: Aws) -> None:
    socket.ask(model="echo", input="Stored")
    wait_for(lambda: not any("owner" in row for row in aws.rows()))
    assert {row["sk"]["S"] for row in aws.rows()} == {"head"}


def test_zero_retention(api: WebSocketApi, aws: Aws, headers: dict[str, str]) -> None:
    """A later run knows nothing: `previous_response_not_found`."""
    with Socket(api.url, headers) as socket:
        head = aws.rows()[0]
        key = {"pk": head["pk"], "sk": head["sk"]}
        aws.client.put_item(TableName=aws.table, Item={**head, **key, "private": {"BOOL": True}})
        first = socket.ask(**ECHO, input="One")
        wait_for(lambda: not any("owner" in row for row in aws.rows()))
        assert {row["sk"]["S"] for row in aws.rows()} == {"head"}
        assert socket.ask(**ECHO, input="Two", previous_response_id=first.response["id"]).refusal == NOT_FOUND


def test_the_key_says_zero_retention(api: WebSocketApi, aws: Aws) -> None:
    authorizer = {"tenant": "acme", "limits": '{"zero_retention": true}'}
    asked = {"routeKey": "$connect", "connectionId": "private=", "authorizer": authorizer}
    assert api.call({"requestContext": asked}) == {"statusCode": 200}
    assert [row["private"] for row in aws.rows("W#private=")] == [{"BOOL": True}]
    api.call({"requestContext": {**asked, "routeKey": "$disconnect"}})
    assert aws.rows() == []


def test_a_turn_is_kept_as_long_as_the_key_says(api: WebSocketApi, aws: Aws, headers: dict[str, str]) -> None:
    with Socket(api.url, headers) as socket:
        head = aws.rows()[0]
        aws.client.put_item(TableName=aws.table, Item={**head, "lifetime": {"N": "3600"}})
        told = socket.ask(**{**ECHO, "store": True}, input="One")
        key = {"pk": {"S": f"T#{head['tenant']['S']}#R#{told.response['id']}"}, "sk": {"S": "head"}}
        row = aws.client.get_item(TableName=aws.table, Key=key)["Item"]
        assert int(row["expires_at"]["N"]) - int(row["created_at"]["N"]) == 3600


# --------------------------------------------------------------------------- ends


def hanging() -> Answer:
    whole = says("anthropic", "Hello there, world").body.split(b"\n\n")
    return Answer(pieces=[event + b"\n\n" for event in whole[:4]], content_type=SSE, ending="hang")


def test_a_client_that_goes_ends_the_provider_call(socket: Socket, provider: Provider, aws: Aws) -> None:
    scenario = provider.play(hanging())
    socket.create(model=MODELS["anthropic"], input="Hi")
    while socket.frame()["type"] != "response.output_text.delta":
        pass
    socket.close()
    wait_for(lambda: scenario.requests[0].left is not None)
    wait_for(lambda: not aws.rows())


def test_a_worker_killed_in_mid_turn(aws: Aws, provider: Provider, headers: dict[str, str]) -> None:
    """Its lock expires; the next run closes the connection, and the client reconnects."""
    api = WebSocketApi(processes=True).start()
    try:
        with Socket(api.url, headers) as socket:
            provider.play(hanging())
            socket.create(model=MODELS["anthropic"], input="Hi")
            while socket.frame(timeout=30)["type"] != "response.output_text.delta":
                pass
            api.workers[0].kill()
            api.workers[0].wait()
            assert [row["sk"]["S"] for row in aws.rows() if "owner" in row] == ["head"]
            time.sleep(1.1)
            socket.create(**ECHO, input="Are you there?")
            with pytest.raises(ConnectionClosed):
                socket.frame(timeout=30)
        wait_for(lambda: not aws.rows())
    finally:
        api.stop()


def test_a_run_without_time_hands_over(
    api: WebSocketApi, socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "RUN_SECONDS", 0.3)
    del api.invoked[:]
    for word in ("first", "second"):
        socket.create(**ECHO, input=f"/slow 0.1\nSay {word} after a while")
    for word in ("first", "second"):
        assert word in socket.answer().text
    assert len(api.invoked) > 2


def test_the_limit_is_told_with_the_next_message(
    api: WebSocketApi, aws: Aws, headers: dict[str, str]
) -> None:
    with Socket(api.url, headers) as socket:
        socket.ask(**ECHO, input="Hi")
        wait_for(lambda: not any("owner" in row for row in aws.rows()))
        (head,) = (row for row in aws.rows() if row["sk"]["S"] == "head")
        aws.client.put_item(TableName=aws.table, Item={**head, "since": {"N": str(time.time() - 3601)}})
        assert socket.ask(**ECHO, input="Hi").refusal[1] == "websocket_connection_limit_reached"
        with pytest.raises(ConnectionClosed):
            socket.frame()
    wait_for(lambda: not aws.rows())


@pytest.mark.parametrize("end", ["revoked", "expired", "kept"])
def test_the_key_is_looked_at_again(
    api: WebSocketApi, aws: Aws, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(held, "KEY_SECONDS", 0.0)
    keys = DynamoDBKeys(aws.table, client=lambda: aws.client)
    key = keys.create("acme")
    (made,) = (known for known in keys.list("acme") if known.id == hashlib.sha256(key.encode()).hexdigest())
    with Socket(api.url, {"Authorization": f"Bearer {key}"}) as socket:
        assert socket.ask(**ECHO, input="Hi").text
        if end == "revoked":
            keys.revoke("acme", made.id)
        elif end == "expired":
            keys.rotate("acme", made.id, 0)
        if end == "kept":
            assert socket.ask(**ECHO, input="Hi").text
            return
        assert socket.ask(**ECHO, input="Hi").refusal[1] == "invalid_api_key"
        with pytest.raises(ConnectionClosed):
            socket.frame()
    wait_for(lambda: not aws.rows())


def test_the_sweep_closes_what_a_dead_run_left(api: WebSocketApi, aws: Aws, headers: dict[str, str]) -> None:
    with Socket(api.url, headers) as socket:
        socket.ask(**ECHO, input="Hi")
        wait_for(lambda: not any("owner" in row for row in aws.rows()))
        (head,) = (row for row in aws.rows() if row["sk"]["S"] == "head")
        dead = {"owner": {"S": "x"}, "until": {"N": str(time.time() - 1)}, "lease": {"S": "websocket"}}
        aws.client.put_item(TableName=aws.table, Item={**head, **dead, "taken": {"S": "message#x"}})
        api.invoke({"sweep": True})
        with pytest.raises(ConnectionClosed):
            socket.frame()
    wait_for(lambda: not aws.rows())


def test_two_runs_at_once(socket: Socket, api: WebSocketApi) -> None:
    """Lambda may deliver an asynchronous event twice."""
    threads = []
    socket.create(**ECHO, input="/slow 0.05\nSay one")
    wait_for(lambda: api.invoked)
    for _ in range(3):
        threads.append(threading.Thread(target=api.invoke, args=(api.invoked[-1],)))
        threads[-1].start()
    assert "one" in socket.answer().text
    assert "two" in socket.ask(**ECHO, input="Say two").text


def test_a_slow_client_gets_fewer_frames(api: WebSocketApi, socket: Socket, provider: Provider) -> None:
    """Deltas that came together go out as one; nothing is lost, and numbers have no gap (the client checks)."""
    words = "word " * 400
    provider.play(says("anthropic", words))
    api.post_seconds = 0.02
    try:
        turn = socket.ask(model=MODELS["anthropic"], input="Hi")
    finally:
        api.post_seconds = 0.0
    assert turn.text == words
    assert len(turn.events) < 100


def test_large_answers(socket: Socket, provider: Provider) -> None:
    """Deltas are split; snapshots drop what the client has."""
    provider.play(says("anthropic", "é" * 60_000))
    socket.create(model=MODELS["anthropic"], input="Hi", instructions="i" * 50_000)
    frames = [socket.frame()]
    while frames[-1]["type"] != "response.completed":
        frames.append(socket.frame())
    assert frames[-1]["response"]["instructions"] is None and frames[-1]["response"]["output"]
    text = "".join(frame["delta"] for frame in frames if frame["type"] == "response.output_text.delta")
    assert text == "é" * 60_000
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))


def test_an_item_that_is_too_large(socket: Socket, provider: Provider) -> None:
    provider.play(says("anthropic", "x" * 200_000))
    socket.create(model=MODELS["anthropic"], store=False, input="Hi")
    frames = [socket.frame()]
    while frames[-1]["type"] not in ("response.completed", "response.failed"):
        frames.append(socket.frame())
    assert frames[-1]["type"] == "response.failed"
    assert frames[-1]["response"]["error"]["code"] == "message_too_large"
    previous = frames[-1]["response"]["id"]
    assert socket.ask(**ECHO, input="Hi", previous_response_id=previous).refusal == NOT_FOUND


def test_too_many_waiting(socket: Socket) -> None:
    socket.create(**ECHO, input="/slow 0.3\n/long 1000")
    for _ in range(18):
        socket.create(**ECHO, input="Hi")
    while (frame := socket.frame())["type"] != "error":
        pass
    assert frame["error"]["code"] == "rate_limit_exceeded"
    with pytest.raises(ConnectionClosed):
        while True:
            socket.frame()
