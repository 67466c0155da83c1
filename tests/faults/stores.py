"""Stores in trouble: SQLite whose file fails, DynamoDB whose answers do."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from openresponses.store.dynamodb import DynamoDBStore
from openresponses.store.sqlite import SQLiteStore

LOCK_TIMEOUT = 0.1  # seconds
SLOW = 0.1  # seconds a call
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})


@dataclass(frozen=True)
class Trouble:
    """`begin(store)` is in trouble inside; then reads fail, or writes do, or both. `but`: kinds of requests that are
    refused otherwise, with their status."""

    name: str
    store: str
    begin: Callable[[Any], AbstractContextManager[None]]
    reads: bool = True
    writes: bool = True
    but: Mapping[str, int] = field(default_factory=dict)


# --------------------------------------------------------------------------- SQLite


class Broken:
    """A connection whose statements fail, all of them or those that begin with `at`."""

    def __init__(self, connection: sqlite3.Connection, error: str, at: str) -> None:
        self._connection = connection
        self._error = error
        self._at = at

    def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
        if statement.lstrip().startswith(self._at):
            raise sqlite3.OperationalError(self._error)
        return self._connection.execute(statement, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def broken(error: str, *, reads: bool = True, at: str = "") -> Callable[[SQLiteStore], Any]:
    @contextmanager
    def begin(store: SQLiteStore) -> Iterator[None]:
        workers = [store._writer, store._reader] if reads else [store._writer]
        whole = [worker._connection for worker in workers]
        for worker in workers:
            worker._connection = Broken(worker._connection, error, at)  # type: ignore[assignment]
        yield
        for worker, connection in zip(workers, whole, strict=True):
            worker._connection = connection

    return begin


@contextmanager
def locked(store: SQLiteStore) -> Iterator[None]:
    """The write lock of the file, held by somebody else."""
    (path,) = {row[2] for row in store._writer._connection.execute("PRAGMA database_list")}
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def slow_file(store: SQLiteStore) -> Iterator[None]:
    workers = [store._writer, store._reader]
    whole = [worker._run_jobs for worker in workers]

    def slowed(run: Any) -> Any:
        def run_jobs(db: Any, jobs: Any) -> Any:
            time.sleep(SLOW)
            return run(db, jobs)

        return run_jobs

    for worker, run in zip(workers, whole, strict=True):
        worker._run_jobs = slowed(run)
    yield
    for worker, run in zip(workers, whole, strict=True):
        worker._run_jobs = run


# --------------------------------------------------------------------------- DynamoDB


def refusal(code: str) -> AWSResponse:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "canary"}).encode()

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
            yield body

    return AWSResponse("http://dynamodb", 400, HTTPHeaders(), Raw())


def answering(
    answer: Callable[[], AWSResponse | None], *, reads: bool = True
) -> Callable[[DynamoDBStore], Any]:
    """The calls are answered so, in the table's place; without `reads` the writes only."""

    def before(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        return answer() if reads or event_name.rpartition(".")[2] not in READS else None

    @contextmanager
    def begin(store: DynamoDBStore) -> Iterator[None]:
        events = store._table._client.meta.events
        events.register_first("before-send.dynamodb", before)
        yield
        events.unregister("before-send.dynamodb", before)

    return begin


def refusing(code: str, *, reads: bool = True) -> Callable[[DynamoDBStore], Any]:
    return answering(lambda: refusal(code), reads=reads)


@contextmanager
def conditions_fail(store: DynamoDBStore) -> Iterator[None]:
    def before(request: Any, **_: Any) -> AWSResponse | None:
        return (
            refusal("ConditionalCheckFailedException") if b'"ConditionExpression"' in request.body else None
        )

    events = store._table._client.meta.events
    events.register_first("before-send.dynamodb", before)
    yield
    events.unregister("before-send.dynamodb", before)


def nobody() -> AWSResponse:
    raise EndpointConnectionError(endpoint_url="http://dynamodb")


def silence() -> AWSResponse:
    raise ReadTimeoutError(endpoint_url="http://dynamodb")


def sleep() -> None:
    time.sleep(SLOW)


TROUBLES = (
    Trouble("another process holds the lock", "sqlite", locked, reads=False),
    Trouble("the disk is full", "sqlite",
            broken("database or disk is full", reads=False, at="COMMIT"), reads=False),
    Trouble("the disk fails", "sqlite", broken("disk I/O error")),
    Trouble("the file is damaged", "sqlite", broken("database disk image is malformed")),
    Trouble("the file is slow", "sqlite", slow_file, reads=False, writes=False),
    Trouble("nobody answers", "dynamodb", answering(nobody)),
    Trouble("no answer in time", "dynamodb", answering(silence)),
    Trouble("throttled", "dynamodb", refusing("ProvisionedThroughputExceededException")),
    Trouble("writes throttled", "dynamodb",
            refusing("ProvisionedThroughputExceededException", reads=False), reads=False),
    Trouble("access denied", "dynamodb", refusing("AccessDeniedException")),
    Trouble("no such table", "dynamodb", refusing("ResourceNotFoundException")),
    Trouble("the item is too large", "dynamodb", refusing("ValidationException", reads=False), reads=False),
    Trouble("every condition fails", "dynamodb", conditions_fail, reads=False, writes=False,
            but={"with an idempotency key": 503, "in background": 503, "change a conversation": 404}),
    Trouble("the table is slow", "dynamodb", answering(sleep), reads=False, writes=False),
)  # fmt: skip


def sqlite_store(folder: Path) -> SQLiteStore:
    return SQLiteStore(folder / "history.db", 86400, lock_timeout=LOCK_TIMEOUT)
