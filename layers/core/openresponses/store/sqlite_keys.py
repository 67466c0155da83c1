"""API keys in the SQLite file of the local history, on a connection of their own."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from .base import StoreUnavailable
from .keys import ApiKey, ApiKeys
from .sqlite_file import open_file

USE_TIMEOUT = 0.5  # seconds that the note of a use waits for another process's lock
Rows = list[tuple[Any, ...]]

COLUMNS = "id, tenant, name, issued_at, expires_at, disabled, limits, owner, used_on"
FIND = f"SELECT {COLUMNS} FROM api_keys WHERE id = ?"
LIST = f"SELECT {COLUMNS} FROM api_keys WHERE tenant = ? ORDER BY issued_at, rowid"
INSERT = f"INSERT INTO api_keys ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
END = "UPDATE api_keys SET expires_at = ? WHERE id = ?"
USED = "UPDATE api_keys SET used_on = ? WHERE id = ? AND (used_on IS NULL OR used_on < ?)"
DELETE = "DELETE FROM api_keys WHERE id = ?"


class SQLiteKeys(ApiKeys):
    """The keys in the file at `path`, which is made if need be. Raises StoreUnavailable."""

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._path = path
        self._lock = threading.Lock()
        try:
            self._db = open_file(path)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"{path}: {error}") from error

    def list(self, tenant: str) -> list[ApiKey]:
        return [_key(row) for row in self._run(LIST, tenant)]

    def _find(self, digest: str) -> ApiKey | None:
        return next((_key(row) for row in self._run(FIND, digest)), None)

    def _insert(self, key: ApiKey) -> None:
        self._run(INSERT, *_row(key))

    def _replace(self, ending: ApiKey, new: ApiKey) -> None:
        try:
            with self._lock, self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute(INSERT, _row(new))
                self._db.execute(END, (ending.expires_at, ending.id))
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error

    def _remove(self, key: ApiKey) -> None:
        self._run(DELETE, key.id)

    def _write_use(self, key_id: str, day: str) -> None:
        # On a connection of its own: while it waits for a lock, keys are still found.
        with closing(open_file(self._path, USE_TIMEOUT)) as db:
            db.execute(USED, (day, key_id, day))

    def _run(self, statement: str, *values: str | int | None) -> Rows:
        try:
            with self._lock:
                return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreUnavailable(str(error)) from error


def _row(key: ApiKey) -> tuple[str | int | None, ...]:
    limits = json.dumps(dict(key.limits))
    fixed = (key.id, key.tenant, key.name, key.issued_at, key.expires_at, key.disabled, limits)
    return (*fixed, key.owner, key.used_on)


def _key(row: tuple[Any, ...]) -> ApiKey:
    id, tenant, name, issued_at, expires_at, disabled, limits, owner, used_on = row
    return ApiKey(id, tenant, name, issued_at, expires_at, bool(disabled), json.loads(limits), owner, used_on)
