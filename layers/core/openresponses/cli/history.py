"""The stored history that an operator works on: that of a deployed stack, or of the local server, which may run
meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import CommandError
from .place import Place, find_stack

if TYPE_CHECKING:
    from ..store.base import Store, StoredResponse
    from ..store.keys import ApiKeys

Json = dict[str, Any]

READ_AT_ONCE = 20
BACKUPS = "Point-in-time backups of the table keep what was erased for up to 35 days."
CACHED = "A key is accepted by API Gateway for 300 seconds more: if it may be in use, erase again then."


@dataclass(frozen=True, slots=True)
class History:
    """The store, the API keys beside it, and what the operator should know after an erasure."""

    store: Store
    keys: ApiKeys
    notices: tuple[str, ...] = ()


def on_history(place: Place, work: Callable[[History], Awaitable[None]]) -> None:
    """Does `work` on the history that the command line names. Raises CommandError."""

    async def run() -> None:
        from ..store.base import StoreUnavailable

        try:
            history = _open(place)
            try:
                await work(history)
            finally:
                await history.store.close()
        except StoreUnavailable as error:
            raise CommandError(
                f"the history cannot be used: {error}; `openresponses doctor` says what to do"
            ) from None

    asyncio.run(run())


def _open(given: Place) -> History:
    """Raises CommandError, StoreUnavailable."""
    from ..settings import Settings

    ttl = int(Settings().history_ttl_days * 86400)  # no command here renews a life
    if not given.store:
        from ..store.dynamodb import DynamoDBStore

        stack = find_stack(given)
        store = DynamoDBStore(stack.outputs["TableName"], ttl, client=lambda: stack.client("dynamodb"))
        return History(store, stack.keys, (CACHED, BACKUPS))
    from ..store.sqlite import SQLiteStore
    from ..store.sqlite_keys import SQLiteKeys

    path = Path(given.store).expanduser()
    if not path.is_file():
        raise CommandError(f"there is no history at {path}")
    return History(SQLiteStore(path, ttl), SQLiteKeys(path))


async def records(store: Store, tenant: str) -> AsyncIterator[StoredResponse]:
    """The tenant's responses, newest first, some read at once."""
    ids = [id async for id in store.listing.responses(tenant)]
    rest = iter(ids)
    while some := list(islice(rest, READ_AT_ONCE)):
        for record in await asyncio.gather(*(store.get(tenant, id) for id in some)):
            if record is not None:
                yield record


def as_json(record: StoredResponse) -> Json:
    return {
        "object": "stored_response",
        "id": record.id,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "model": record.model,
        "response": record.response,
        "input": record.input,
    }
