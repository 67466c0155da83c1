"""What is SQLite's own: the file, its locks, its threads, and that nothing confirmed is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from openresponses.store import base
from openresponses.store.base import ChainNotFound, ChainTooLong, StoreUnavailable
from openresponses.store.sqlite import PURGE_EVERY, PURGE_ROWS, SQLiteStore

from .records import NOW, TENANT, TTL, Clock, Words, chat, turn


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The write lock of the file, held by somebody else."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "responses.db"


# --------------------------------------------------------------------------- the file


async def test_only_the_owner_can_read_the_file(path: Path) -> None:
    mask = os.umask(0)
    try:
        store = SQLiteStore(path, TTL)
        await store.put(TENANT, turn())
    finally:
        os.umask(mask)
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {f"{path.name}{suffix}" for suffix in ("", "-wal", "-shm")}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await store.close()


async def test_history_survives_a_restart(path: Path, clock: Clock) -> None:
    store = SQLiteStore(path, TTL, clock)
    turns = await chat(store, 3)
    await store.close()
    again = SQLiteStore(path, TTL, clock)
    assert await again.chain(TENANT, turns[-1].id) == turns
    await again.close()


async def test_a_closed_store_says_so(sqlite: SQLiteStore) -> None:
    await sqlite.close()
    await sqlite.close()
    for call in sqlite.put(TENANT, turn()), sqlite.get(TENANT, "resp_1"), sqlite.chain(TENANT, "resp_1"):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


def test_a_file_that_is_no_store_is_refused_with_its_name(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one " * 50)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt: .*not a database"):
        SQLiteStore(text, TTL)
    with pytest.raises(StoreUnavailable, match=r"notes\.txt"):
        SQLiteStore(text / "below" / "a-file.db", TTL)


async def test_a_file_of_a_later_release_is_refused(path: Path) -> None:
    await SQLiteStore(path, TTL).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(StoreUnavailable, match="schema 2"):
        SQLiteStore(path, TTL)


async def test_what_was_deleted_is_not_left_in_the_file(path: Path) -> None:
    store = SQLiteStore(path, TTL)
    record = turn(words=Words(model="canary-7f3a " * 100))
    await store.put(TENANT, record)
    await store.delete(TENANT, record.id)
    await store.close()  # the last connection folds the log into the file
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert b"canary-7f3a" not in path.read_bytes()


# --------------------------------------------------------------------------- locks and threads


async def test_a_lock_of_another_process_stalls_neither_the_loop_nor_reads(path: Path) -> None:
    store = SQLiteStore(path, TTL, lock_timeout=1.0)
    (record,) = await chat(store, 1)
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - began)

    heart = asyncio.create_task(beat())
    with locked(path):
        writes = [asyncio.create_task(store.put(TENANT, turn())) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert (await store.get(TENANT, record.id)) is not None
        results = await asyncio.gather(*writes, return_exceptions=True)
    heart.cancel()
    assert [type(result) for result in results] == [StoreUnavailable] * 20
    assert "locked" in str(results[0])
    assert longest < 0.8  # of 1.0 and more that the writer's thread has waited
    await store.put(TENANT, turn())
    await store.close()


async def test_a_chain_is_read_though_its_life_cannot_be_renewed(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLiteStore(path, TTL, clock, lock_timeout=0.05)
    turns = await chat(store, 2)
    clock.now = NOW + TTL - 10
    with locked(path), caplog.at_level(logging.WARNING):
        assert await store.chain(TENANT, turns[-1].id) == turns
    assert "not renewed" in caplog.text
    assert [record.expires_at - clock.now for record in await store.chain(TENANT, turns[-1].id)] == [TTL, TTL]
    await store.close()


async def test_a_turn_without_a_json_form_leaves_the_others_alone(sqlite: SQLiteStore) -> None:
    good = [turn() for _ in range(10)]
    bad = turn(metadata={"lone surrogate": "\ud800"})
    results = await asyncio.gather(
        *(sqlite.put(TENANT, record) for record in [*good[:5], bad, *good[5:]]), return_exceptions=True
    )
    assert [type(result) for result in results].count(StoreUnavailable) == 1
    assert isinstance(results[5], StoreUnavailable)
    assert [await sqlite.get(TENANT, record.id) for record in good] == good


async def test_a_cancelled_put_harms_nobody(sqlite: SQLiteStore) -> None:
    puts = [asyncio.create_task(sqlite.put(TENANT, turn())) for _ in range(10)]
    await asyncio.sleep(0)
    for task in puts[::2]:
        task.cancel()
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert results[1::2] == [None] * 5
    await chat(sqlite, 2)


# --------------------------------------------------------------------------- long chains and old rows


async def test_10_000_turns_are_an_error_promptly(sqlite: SQLiteStore) -> None:
    turns = []
    previous = None
    for _ in range(10_000):
        turns.append(turn(previous))
        previous = turns[-1].id
    await asyncio.gather(*(sqlite.put(TENANT, record) for record in turns))
    began = time.perf_counter()
    with pytest.raises(ChainTooLong):
        await sqlite.chain(TENANT, turns[-1].id)
    assert time.perf_counter() - began < 2
    longest = await sqlite.chain(TENANT, turns[base.MAX_CHAIN - 1].id)
    assert len(longest) == base.MAX_CHAIN
    with pytest.raises(ChainTooLong):
        await sqlite.chain(TENANT, turns[base.MAX_CHAIN].id)


async def test_a_loop_of_large_turns_ends_where_it_closes(sqlite: SQLiteStore) -> None:
    large = Words(model="0123456789abcdef" * 65_536)
    await sqlite.put(TENANT, turn("resp_b", id="resp_a", words=large))
    await sqlite.put(TENANT, turn("resp_a", id="resp_b", words=large))
    began = time.process_time()
    with pytest.raises(ChainNotFound):
        await sqlite.chain(TENANT, "resp_a")
    assert time.process_time() - began < 0.5


async def test_expired_rows_are_removed_a_few_at_a_time(path: Path, clock: Clock) -> None:
    store = SQLiteStore(path, TTL, clock)
    await asyncio.gather(*(store.put(TENANT, turn(expires_at=NOW + 1)) for _ in range(PURGE_ROWS + 20)))
    clock.now = NOW + 1 + PURGE_EVERY

    async def rows_after_a_put() -> int:
        await store.put(TENANT, turn())
        db = sqlite3.connect(path)
        (count,) = db.execute("SELECT count(*) FROM responses").fetchone()
        db.close()
        return int(count)

    assert await rows_after_a_put() == 20 + 1
    assert await rows_after_a_put() == 2
    await store.close()


# --------------------------------------------------------------------------- several processes

WRITER = """
import asyncio, sys
from tests.store.records import TENANT, TTL, turn
from openresponses.store.sqlite import SQLiteStore

async def main(path, name, count):
    store = SQLiteStore(path, TTL)
    previous = None
    for n in range(count):
        record = turn(previous, id=f"resp_{name}_{n}", expires_at=2**40)
        await store.put(TENANT, record)
        print(record.id, flush=True)
        previous = record.id
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'layers/core'}{os.pathsep}{root}"},
    )


async def test_a_killed_process_loses_nothing_that_it_confirmed(path: Path) -> None:
    process = writer(path, "killed", 100_000)
    assert process.stdout and process.stderr
    begun = "".join(process.stdout.readline() for _ in range(200))
    process.send_signal(signal.SIGKILL)
    *confirmed, _ = (begun + process.stdout.read()).split("\n")  # the last line may be torn
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    store = SQLiteStore(path, TTL)
    assert None not in await asyncio.gather(*(store.get(TENANT, id) for id in confirmed))
    assert [record.id for record in await store.chain(TENANT, confirmed[199])] == confirmed[:200]
    await store.put(TENANT, turn())
    await store.close()


async def test_two_processes_share_a_new_file(path: Path) -> None:
    processes = [writer(path, name, 150) for name in ("one", "two")]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    store = SQLiteStore(path, TTL)
    for name in "one", "two":
        assert len(await store.chain(TENANT, f"resp_{name}_149")) == 150
    await store.close()


def test_the_local_store_needs_no_aws_modules() -> None:
    code = "import sys, openresponses.store.sqlite; print([m for m in sys.modules if m.startswith('boto')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
