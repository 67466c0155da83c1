"""Database work off the event loop: one thread with one connection, and a queue before it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

from .base import StoreUnavailable

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

MAX_TOGETHER = 256  # jobs run at once


class _Task(NamedTuple):
    job: Job
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class Worker:
    """Runs jobs in order on its thread.

    `run_jobs`, commit or each, takes all jobs that wait at the same time and gives each its outcome: a value or an
    exception.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        run_jobs: Callable[[sqlite3.Connection, list[Job]], list[Any]],
    ) -> None:
        self._connection = connection
        self._run_jobs = run_jobs
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `job`, which runs to its end even if the caller is cancelled. Raises StoreUnavailable."""
        if self._stopped:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._tasks.put(_Task(job, loop, done))
        return await done

    async def stop(self) -> None:
        """Runs what is queued, then closes the connection."""
        if not self._stopped:
            self._stopped = True
            self._tasks.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            waiting = self._waiting()
            tasks = [task for task in waiting if task is not None]
            outcomes = self._run_jobs(self._connection, [task.job for task in tasks])
            for task, outcome in zip(tasks, outcomes, strict=True):
                with suppress(RuntimeError):  # its event loop is closed: nobody waits any more
                    task.loop.call_soon_threadsafe(_settle, task.done, outcome)
            if len(tasks) < len(waiting):
                self._connection.close()
                return

    def _waiting(self) -> list[_Task | None]:
        waiting = [self._tasks.get()]
        with suppress(Empty):
            while len(waiting) < MAX_TOGETHER:
                waiting.append(self._tasks.get_nowait())
        return waiting


def commit(db: sqlite3.Connection, jobs: list[Job]) -> list[Any]:
    """All jobs in one transaction. A job that fails by itself leaves the others alone; a failing file fails all."""
    try:
        db.execute("BEGIN IMMEDIATE")
        outcomes = [_outcome(db, job) for job in jobs]
        db.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            db.rollback()
        return [StoreUnavailable(str(error)) for _ in jobs]
    return outcomes


def each(db: sqlite3.Connection, jobs: list[Job]) -> list[Any]:
    """Each job alone: a query sees one state of the file."""

    def read(job: Job) -> Any:
        try:
            return _outcome(db, job)
        except sqlite3.Error as error:
            return StoreUnavailable(str(error))

    return [read(job) for job in jobs]


def _outcome(db: sqlite3.Connection, job: Job) -> Any:
    try:
        return job(db)
    except sqlite3.Error:
        raise
    except Exception as error:  # whatever it is belongs to the caller, not to this thread
        return error


def _settle(done: asyncio.Future[Any], outcome: Any) -> None:
    if done.done():  # cancelled
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
