"""What is DynamoDB's own: rows, round trips, sizes, faults."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from openresponses.store import dynamodb as module
from openresponses.store import dynamodb_table
from openresponses.store.base import ChainNotFound, ChainTooLong, StoreUnavailable
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.dynamodb_table import make_client

from .records import NOW, TENANT, TTL, Clock, Words, chat, turn

HALF = TTL // 2
NOBODY = "http://127.0.0.1:9"


class Calls:
    """The calls that go over the wire, seen by the client's own hooks; `fault` may answer one in the server's place."""

    def __init__(self, client: Any) -> None:
        self.begun: list[tuple[str, float]] = []
        self.ended: list[float] = []
        self.delay = 0.0
        self.fault: Any = None
        self._client = client
        self._starts: dict[int, tuple[str, float]] = {}

    def __enter__(self) -> Calls:
        self._client.meta.events.register_first("before-send.dynamodb", self._before)
        self._client.meta.events.register_last("after-call.dynamodb", self._after)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.meta.events.unregister("before-send.dynamodb", self._before)
        self._client.meta.events.unregister("after-call.dynamodb", self._after)

    def _before(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self._starts[threading.get_ident()] = (operation, time.monotonic())
        time.sleep(self.delay)
        answer = self.fault(operation, request) if self.fault else None
        if answer:
            request.url = NOBODY  # or moto, which is asked all the same, would carry out what is refused here
        return answer

    def _after(self, **_: Any) -> None:
        self.begun.append(self._starts.pop(threading.get_ident()))
        self.ended.append(time.monotonic())

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.begun]

    def rounds(self) -> int:
        """The most calls of which each began after the one before it had ended."""
        count, free = 0, 0.0
        for ended, (_, began) in sorted(zip(self.ended, self.begun, strict=True)):
            if began >= free:
                count, free = count + 1, ended
        return count


@pytest.fixture
def calls(client: Any) -> Iterator[Calls]:
    with Calls(client) as calls:
        yield calls


def refusal(code: str, message: str = "a message that quotes canary-7f3a") -> AWSResponse:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}).encode()

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield body

    return AWSResponse("http://dynamodb", 400, HTTPHeaders(), Raw())


def fresh(table: str, client: Any, clock: Clock) -> DynamoDBStore:
    """A store that remembers nothing, as after a cold start."""
    return DynamoDBStore(table, TTL, clock, client=lambda: client)


def scan(client: Any, table: str, **arguments: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True, **arguments)
    return [row for page in pages for row in page["Items"]]


def noise(size: int, seed: int = 7) -> str:
    """Text of about this size that hardly compresses."""
    return base64.b64encode(random.Random(seed).randbytes(size * 4 // 5)).decode()


# --------------------------------------------------------------------------- rows


async def test_a_turn_is_one_row_and_one_call(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    record = turn()
    await dynamodb.put(TENANT, record)
    assert calls.names == ["PutItem"]
    (row,) = scan(client, table)
    assert row["pk"] == {"S": f"T#acme#R#{record.id}"}
    assert row["sk"] == {"S": "head"}
    assert row["v"] == {"N": "1"}
    assert row["tenant"] == {"S": "acme"}
    assert row["created_at"] == {"N": str(NOW)}
    assert row["expires_at"] == {"N": str(NOW + TTL)}
    assert row["status"] == {"S": "completed"}
    assert row["model"] == {"S": "claude-opus-4-6"}
    assert "parent" not in row
    assert "parts" not in row


async def test_a_turn_of_a_chain_is_one_write_and_no_read(
    dynamodb: DynamoDBStore, client: Any, table: str, clock: Clock, calls: Calls
) -> None:
    turns = await chat(dynamodb, 70)
    assert calls.names == ["PutItem"] * 63 + ["TransactWriteItems"] + ["PutItem"] * 6
    calls.begun.clear()
    elsewhere = fresh(table, client, clock)
    await elsewhere.chain(TENANT, turns[-1].id)
    calls.begun.clear()
    await elsewhere.put(TENANT, turn(turns[-1].id))  # the chain was loaded by the turn
    assert calls.names == ["PutItem"]
    calls.begun.clear()
    await fresh(table, client, clock).put(TENANT, turn(turns[-1].id))
    assert calls.names == ["GetItem", "PutItem"]


async def test_only_heads_are_in_the_tenants_index(dynamodb: DynamoDBStore, client: Any, table: str) -> None:
    turns = await chat(dynamodb, 65)
    turns.append(turn(words=Words(model=noise(900_000))))
    await dynamodb.put(TENANT, turns[-1])
    await dynamodb.put("other", turn())
    listed = client.query(
        TableName=table,
        IndexName="heads_by_tenant",
        KeyConditionExpression="tenant = :t",
        ExpressionAttributeValues={":t": {"S": TENANT}},
    )["Items"]
    assert sorted(row["pk"]["S"] for row in listed) == sorted(f"T#acme#R#{record.id}" for record in turns)
    assert {row["sk"]["S"] for row in listed} == {"head"}


async def test_every_row_carries_format_and_expiry(dynamodb: DynamoDBStore, client: Any, table: str) -> None:
    await chat(dynamodb, 65)
    await dynamodb.put(TENANT, turn(words=Words(model=noise(900_000))))
    rows = scan(client, table)
    assert {row["sk"]["S"] for row in rows} == {"head", "chain", "part#0001", "part#0002"}
    assert {row["v"]["N"] for row in rows} == {"1"}
    assert {row["expires_at"]["N"] for row in rows} == {str(NOW + TTL)}


async def test_a_large_turn_is_one_transaction_of_rows_that_fit(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    await dynamodb.put(TENANT, turn(words=Words(model=noise(2_000_000))))
    assert calls.names == ["TransactWriteItems"]
    sizes = [item_size(row) for row in scan(client, table)]
    assert len(sizes) > 4
    assert max(sizes) < 400 * 1024


async def test_a_turn_beyond_a_transaction_has_its_head_written_last(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    record = turn(words=Words(model=noise(6_000_000)))
    written: list[list[str]] = []

    def watch(operation: str, request: Any) -> AWSResponse | None:
        items = json.loads(request.body).get("TransactItems", [])
        written.append([item["Put"]["Item"]["sk"]["S"] for item in items])
        return refusal("InternalServerError") if len(written) > 1 else None

    calls.fault = watch
    with pytest.raises(StoreUnavailable):
        await dynamodb.put(TENANT, record)
    calls.fault = None
    assert "head" not in written[0]
    assert written[1][-1] == "head"
    assert await dynamodb.get(TENANT, record.id) is None
    await dynamodb.put(TENANT, record)
    assert await dynamodb.get(TENANT, record.id) == record
    assert await dynamodb.delete(TENANT, record.id)
    assert scan(client, table) == []


async def test_delete_leaves_no_row(dynamodb: DynamoDBStore, client: Any, table: str) -> None:
    turns = await chat(dynamodb, 63)
    last = turn(
        turns[-1].id, words=Words(model=noise(3_500_000))
    )  # more than one page of a query, and a checkpoint
    await dynamodb.put(TENANT, last)
    before = scan(client, table, ProjectionExpression="pk, sk")
    assert await dynamodb.delete(TENANT, last.id)
    gone = [row for row in before if last.id in row["pk"]["S"]]
    assert len(gone) == 10
    left = scan(client, table, ProjectionExpression="pk, sk")
    assert {json.dumps(row) for row in left} == {json.dumps(row) for row in before if row not in gone}


async def test_a_delete_that_failed_half_way_is_completed_by_the_next(
    dynamodb: DynamoDBStore, client: Any, table: str, calls: Calls
) -> None:
    record = turn(words=Words(model=noise(900_000)))
    await dynamodb.put(TENANT, record)
    calls.fault = lambda operation, _: refusal("ValidationException") if operation == "Query" else None
    with pytest.raises(StoreUnavailable):
        await dynamodb.delete(TENANT, record.id)
    calls.fault = None
    assert await dynamodb.get(TENANT, record.id) is None
    assert await dynamodb.delete(TENANT, record.id) is False
    assert scan(client, table) == []


def item_size(row: dict[str, dict[str, Any]]) -> int:
    """As DynamoDB counts: names and values in UTF-8, numbers about half a byte a digit."""

    def value(typed: dict[str, Any]) -> int:
        ((kind, content),) = typed.items()
        return len(content) // 2 + 2 if kind == "N" else len(content if kind == "B" else content.encode())

    return sum(len(name) + value(typed) for name, typed in row.items())


async def test_100_turns_take_little_more_than_their_sum(
    dynamodb: DynamoDBStore, client: Any, table: str
) -> None:
    turns = await chat(dynamodb, 100)
    said = sum(len(orjson.dumps({"response": record.response, "input": record.input})) for record in turns)
    stored = sum(map(item_size, scan(client, table)))
    assert stored <= 1.2 * said


# --------------------------------------------------------------------------- round trips


@pytest.mark.parametrize(("longest", "batches"), [(200, 5), pytest.param(500, 13, marks=pytest.mark.slow)])
async def test_round_trips_of_a_chain(
    dynamodb: DynamoDBStore, client: Any, table: str, clock: Clock, calls: Calls, longest: int, batches: int
) -> None:
    long_chat = await chat(dynamodb, longest)
    calls.delay = 0.2
    for length, most in (1, 1), (30, 2), (64, 2), (65, 3), (longest, 4):
        calls.begun.clear()
        calls.ended.clear()
        store = fresh(table, client, clock)
        assert await store.chain(TENANT, long_chat[length - 1].id) == long_chat[:length]
        assert calls.rounds() <= most, (length, calls.names)
    assert len(calls.names) == 2 + batches


async def test_overflow_adds_one_round_trip(dynamodb: DynamoDBStore, calls: Calls) -> None:
    previous = None
    turns = []
    for n in range(4):
        turns.append(turn(previous, words=Words(model=noise(900_000, seed=n))))
        await dynamodb.put(TENANT, turns[-1])
        previous = turns[-1].id
    calls.begun.clear()
    calls.ended.clear()
    calls.delay = 0.2
    assert await dynamodb.chain(TENANT, turns[-1].id) == turns
    assert calls.rounds() == 3


async def test_reads_are_consistent(dynamodb: DynamoDBStore, calls: Calls) -> None:
    turns = await chat(dynamodb, 66)
    inconsistent = []

    def watch(operation: str, request: Any) -> None:
        body = json.loads(request.body)
        for read in [*body.get("RequestItems", {}).values(), body]:
            if read is not body or operation in {"GetItem", "Query"}:
                inconsistent.append(read.get("ConsistentRead") is not True)

    calls.fault = watch
    await dynamodb.chain(TENANT, turns[-1].id)
    await dynamodb.get(TENANT, turns[-1].id)
    await dynamodb.delete(TENANT, turns[-1].id)
    assert inconsistent == [False] * len(inconsistent)
    assert len(inconsistent) >= 5


async def test_a_chain_beyond_the_limit_is_an_error_after_one_read(
    dynamodb: DynamoDBStore, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CHAIN", 70)
    turns = await chat(dynamodb, 71)
    assert await dynamodb.chain(TENANT, turns[-2].id) == turns[:-1]
    calls.begun.clear()
    with pytest.raises(ChainTooLong):
        await dynamodb.chain(TENANT, turns[-1].id)
    assert calls.names == ["GetItem"]


# --------------------------------------------------------------------------- lives


async def test_everything_of_a_chain_is_renewed_and_nothing_raised(
    dynamodb: DynamoDBStore, client: Any, table: str, clock: Clock, calls: Calls
) -> None:
    turns = await chat(dynamodb, 64)
    last = turn(turns[-1].id, words=Words(model=noise(900_000)))
    await dynamodb.put(TENANT, last)
    clock.now = NOW + HALF + 1
    victim = turns[10]

    def delete_before_its_renewal(operation: str, request: Any) -> None:
        if operation == "UpdateItem" and victim.id in request.body.decode():
            keys = {"pk": {"S": f"T#acme#R#{victim.id}"}, "sk": {"S": "head"}}
            other.delete_item(TableName=table, Key=keys)

    other = client_beside(client)
    calls.fault = delete_before_its_renewal
    assert len(await dynamodb.chain(TENANT, last.id)) == 65
    rows = scan(client, table)
    assert {row["expires_at"]["N"] for row in rows} == {str(NOW + HALF + 1 + TTL)}
    assert len(rows) == 65 + 1 + 2 - 1
    assert not [row for row in rows if victim.id in row["pk"]["S"]]
    with pytest.raises(ChainNotFound):
        await dynamodb.chain(TENANT, last.id)


def client_beside(client: Any) -> Any:
    """Another client of the same server, without the hooks."""
    import boto3

    return boto3.client("dynamodb", endpoint_url=client.meta.endpoint_url)


async def test_a_chain_is_read_though_its_life_cannot_be_renewed(
    dynamodb: DynamoDBStore, clock: Clock, calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    turns = await chat(dynamodb, 2)
    clock.now = NOW + TTL - 10
    calls.fault = lambda operation, _: refusal("AccessDeniedException") if operation == "UpdateItem" else None
    with caplog.at_level(logging.WARNING):
        assert await dynamodb.chain(TENANT, turns[-1].id) == turns
    assert "not renewed: DynamoDB update_item: AccessDeniedException" in caplog.text
    assert "canary" not in caplog.text
    calls.fault = None
    assert [r.expires_at - clock.now for r in await dynamodb.chain(TENANT, turns[-1].id)] == [TTL, TTL]


# --------------------------------------------------------------------------- faults


async def test_keys_left_over_are_asked_for_again(dynamodb: DynamoDBStore, client: Any) -> None:
    turns = await chat(dynamodb, 30)
    left: dict[int, Any] = {}
    asked: list[int] = []

    def only_seven(params: Any, **_: Any) -> None:
        ((table, wanted),) = params["RequestItems"].items()
        asked.append(len(wanted["Keys"]))
        left[threading.get_ident()] = (
            {table: {**wanted, "Keys": wanted["Keys"][7:]}} if wanted["Keys"][7:] else {}
        )
        params["RequestItems"] = {table: {**wanted, "Keys": wanted["Keys"][:7]}}

    def the_rest(parsed: Any, **_: Any) -> None:
        parsed["UnprocessedKeys"] = left[threading.get_ident()]

    hooks: dict[str, Any] = {
        "provide-client-params.dynamodb.BatchGetItem": only_seven,
        "after-call.dynamodb.BatchGetItem": the_rest,
    }
    for event, hook in hooks.items():
        client.meta.events.register(event, hook)
    try:
        assert await dynamodb.chain(TENANT, turns[-1].id) == turns
    finally:
        for event, hook in hooks.items():
            client.meta.events.unregister(event, hook)
    assert asked == [29, 22, 15, 8, 1]


async def test_keys_left_over_for_ever_are_an_error(
    dynamodb: DynamoDBStore, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_table, "BATCH_PAUSES", (0.0, 0.01))
    turns = await chat(dynamodb, 3)

    def nothing(parsed: Any, **_: Any) -> None:
        ((table, rows),) = parsed["Responses"].items()
        keys = [{"pk": row["pk"], "sk": row["sk"]} for row in rows]
        parsed["Responses"], parsed["UnprocessedKeys"] = {}, {table: {"Keys": keys}}

    client.meta.events.register("after-call.dynamodb.BatchGetItem", nothing)
    try:
        with pytest.raises(StoreUnavailable, match="unprocessed"):
            await dynamodb.chain(TENANT, turns[-1].id)
    finally:
        client.meta.events.unregister("after-call.dynamodb.BatchGetItem", nothing)


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "ValidationException",
        "ResourceNotFoundException",
        "SomethingNew",
    ],
)
async def test_a_refusal_is_an_unavailable_store_that_quotes_nothing(
    dynamodb: DynamoDBStore, calls: Calls, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    (record,) = await chat(dynamodb, 1)
    attempts: list[str] = []

    def refuse(operation: str, _: Any) -> AWSResponse:
        attempts.append(operation)
        return refusal(code)

    calls.fault = refuse
    for call in (
        dynamodb.put(TENANT, turn(words=Words(model="canary-7f3a"))),
        dynamodb.get(TENANT, record.id),
        dynamodb.chain(TENANT, record.id),
        dynamodb.delete(TENANT, record.id),
    ):
        with pytest.raises(StoreUnavailable) as raised:
            await call
        assert code in str(raised.value)
        assert "canary" not in str(raised.value)
        assert raised.value.__suppress_context__
    assert len(attempts) == (12 if "Throughput" in code else 4)
    calls.fault = None
    assert await dynamodb.get(TENANT, record.id) == record


async def test_a_table_that_is_down_is_unavailable_soon(client: Any, clock: Clock) -> None:
    def nobody() -> Any:
        import boto3

        return boto3.client("dynamodb", endpoint_url=NOBODY, config=Config(retries={"total_max_attempts": 1}))

    store = DynamoDBStore("responses", TTL, clock, client=nobody)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="EndpointConnectionError"):
        await store.put(TENANT, turn())
    assert time.monotonic() - began < 5
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get(TENANT, "resp_1")


async def test_a_client_that_cannot_be_made_is_an_unavailable_store(
    client: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "AWS_DEFAULT_REGION", "AWS_REGION":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = DynamoDBStore("responses", TTL, clock)
    with pytest.raises(StoreUnavailable, match="NoRegionError"):
        await store.get(TENANT, "resp_1")
    await store.close()


def test_the_client_follows_the_environment(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    made = make_client()
    assert made.meta.endpoint_url == NOBODY
    config = made.meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}


async def test_the_loop_runs_on_while_the_table_is_slow(dynamodb: DynamoDBStore, calls: Calls) -> None:
    await chat(dynamodb, 1)
    calls.delay = 0.5
    put = asyncio.create_task(dynamodb.put(TENANT, turn()))
    beats = 0
    while not put.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert beats > 15


def test_boto3_waits_for_the_first_turn() -> None:
    code = (
        "import sys, openresponses.store.dynamodb as d; d.DynamoDBStore('t', 1);"
        "print([m for m in sys.modules if m.startswith('boto')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
