"""`openresponses responses …` and `openresponses tenants …`: what an operator does to stored history.

It is the history of a deployed stack, found as for `keys`, or with --store PATH that of the local server, which may run
meanwhile. An export has one JSON object a line, each with its `object`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from . import aws_cli
from .aws_cli import StackError

if TYPE_CHECKING:
    from .store.base import Store, StoredResponse
    from .store.keys import ApiKey, ApiKeys

Json = dict[str, Any]

READ_AT_ONCE = 20
KEY_ID_LENGTH = 12  # of the SHA-256, as `keys list` shows it
BACKUPS = "Point-in-time backups of the table keep what was erased for up to 35 days."
CACHED = "A key is accepted by API Gateway for 300 seconds more: if it may be in use, erase again then."


def add_commands(commands: Any) -> None:
    """Adds `responses` and `tenants` to the command line's subparsers."""
    place = aws_cli.place_options()

    responses = aws_cli.group(commands, "responses", "stored responses")
    listing = responses.add_parser("list", parents=[place], help="a tenant's responses, newest first")
    listing.add_argument("--tenant", default="default", help="whose they are (default: %(default)s)")
    listing.add_argument("--limit", type=_count, default=20, help="at most so many (default: %(default)s)")
    listing.set_defaults(run=_command(list_responses))
    for name, work, meaning in (
        ("show", show_response, "a response and its input items, as JSON"),
        ("delete", delete_response, "remove a response; what continues it cannot be continued any more"),
    ):
        command = responses.add_parser(name, parents=[place], help=meaning)
        command.add_argument("--tenant", default="default", help="whose it is (default: %(default)s)")
        command.add_argument("id")
        command.set_defaults(run=_command(work))

    tenants = aws_cli.group(commands, "tenants", "all that a tenant has")
    export = tenants.add_parser("export", parents=[place], help="all of it, as JSON lines; never keys")
    export.add_argument("tenant", metavar="NAME")
    export.set_defaults(run=_command(export_tenant))
    erase = tenants.add_parser("erase", parents=[place], help="remove all of it, API keys included")
    erase.add_argument("tenant", metavar="NAME")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.add_argument(
        "--no-scan",
        action="store_true",
        help="do not read the whole table for what interrupted writes left; it expires by itself",
    )
    erase.set_defaults(run=_command(erase_tenant))


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError("must be a number from 1 on")
    return int(text)


# --------------------------------------------------------------------------- where the history is


@dataclass(frozen=True, slots=True)
class History:
    """The store, the API keys beside it, and what the operator should know after an erasure."""

    store: Store
    keys: ApiKeys
    notices: tuple[str, ...] = ()


def _open(given: argparse.Namespace) -> History:
    """Raises StackError, StoreUnavailable."""
    from .settings import Settings

    ttl = int(Settings().history_ttl_days * 86400)  # no command here renews a life
    if not given.store:
        from .store.dynamodb import DynamoDBStore

        stack = aws_cli.find_stack(given)
        store = DynamoDBStore(stack.outputs["TableName"], ttl, client=lambda: stack.client("dynamodb"))
        return History(store, stack.keys, (CACHED, BACKUPS))
    from .store.sqlite import SQLiteStore
    from .store.sqlite_keys import SQLiteKeys

    path = Path(given.store).expanduser()
    if not path.is_file():
        raise StackError(f"there is no history at {path}")
    return History(SQLiteStore(path, ttl), SQLiteKeys(path))


def _command(work: Callable[[argparse.Namespace, History], Awaitable[int]]) -> Callable[..., int]:
    """`work` on the history that the command line names; the exit code."""

    async def run(given: argparse.Namespace) -> int:
        from .store.base import StoreUnavailable

        try:
            history = _open(given)
            try:
                return await work(given, history)
            finally:
                await history.store.close()
        except StoreUnavailable as error:
            raise StackError(f"the history cannot be used: {error}") from None

    return lambda given: asyncio.run(run(given))


# --------------------------------------------------------------------------- responses


async def list_responses(given: argparse.Namespace, history: History) -> int:
    shown = 0
    async for record in _records(history.store, given.tenant):
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created_at))
        print(f"{record.id}  {made}  {record.status:<11}  {record.model}")
        shown += 1
        if shown == given.limit:
            break
    return 0


async def show_response(given: argparse.Namespace, history: History) -> int:
    record = await history.store.get(given.tenant, given.id)
    if record is None:
        raise StackError(f"{given.tenant} has no response {given.id}")
    print(orjson.dumps(_response(record), option=orjson.OPT_INDENT_2).decode())
    return 0


async def delete_response(given: argparse.Namespace, history: History) -> int:
    if not await history.store.delete(given.tenant, given.id):
        raise StackError(f"{given.tenant} has no response {given.id}")
    print("Deleted.")
    return 0


async def _records(store: Store, tenant: str) -> AsyncIterator[StoredResponse]:
    """The tenant's responses, newest first, some read at once."""
    ids = [id async for id in store.listing.responses(tenant)]
    rest = iter(ids)
    while some := list(islice(rest, READ_AT_ONCE)):
        for record in await asyncio.gather(*(store.get(tenant, id) for id in some)):
            if record is not None:
                yield record


def _response(record: StoredResponse) -> Json:
    return {
        "object": "stored_response",
        "id": record.id,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "model": record.model,
        "response": record.response,
        "input": record.input,
    }


# --------------------------------------------------------------------------- tenants


async def export_tenant(given: argparse.Namespace, history: History) -> int:
    """One JSON object a line: the tenant's keys (never the keys themselves), responses, conversations with items."""
    for key in await asyncio.to_thread(history.keys.list, given.tenant):
        _write(_key(key))
    async for record in _records(history.store, given.tenant):
        _write(_response(record))
    conversations = history.store.conversations
    async for id in history.store.listing.conversations(given.tenant):
        found = await conversations.get(given.tenant, id)
        items = await conversations.items(given.tenant, id)
        if found is not None and items is not None:
            _write(
                {
                    "object": "stored_conversation",
                    "id": id,
                    "created_at": found.created_at,
                    "expires_at": found.expires_at,
                    "metadata": found.metadata,
                    "items": items,
                }
            )
    return 0


def _key(key: ApiKey) -> Json:
    return {
        "object": "api_key",
        "id": key.id[:KEY_ID_LENGTH],
        "name": key.name,
        "created_at": key.issued_at,
        "expires_at": key.expires_at,
        "disabled": key.disabled,
        "limits": dict(key.limits),
    }


def _write(line: Json) -> None:
    sys.stdout.write(orjson.dumps(line).decode() + "\n")


async def erase_tenant(given: argparse.Namespace, history: History) -> int:
    if not given.yes and not await asyncio.to_thread(_is_sure, given.tenant):
        raise StackError("nothing is erased")
    rows = await history.store.listing.erase(given.tenant, thorough=not given.no_scan)
    print(f"Erased: {rows} rows of {given.tenant}.", *history.notices, sep="\n")
    return 0


def _is_sure(tenant: str) -> bool:
    print(
        f"All that {tenant} has will be gone, its API keys included. Type its name: ", end="", file=sys.stderr
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip() == tenant
