"""The rows of the DynamoDB table, without a call to it: keys, attributes, and a turn's place in its chain.

Rows are in the low-level client's form, `{"attribute": {"S" | "N" | "B": value}}`. docs/conversation-history.md lists
the attributes; a change of what is written takes a new format number (codec.FORMAT).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .base import Json, StoredResponse
from .codec import FORMAT, pack_ids, unpack, unpack_ids

HEAD, CHAIN = "head", "chain"  # sort keys; overflow has part#0001, part#0002, ...
CHECKPOINT_EVERY = 64  # turns
BODY_BYTES = 350 * 1024  # of a turn's body in one row; DynamoDB takes rows of 400 KB

Key = tuple[str, str]


class Lineage(NamedTuple):
    """A turn's place in its chain.

    length      turns in the chain, this one included
    ancestors   ids, nearest first, up to and with the nearest that has a checkpoint, else all
    """

    length: int
    ancestors: tuple[str, ...]

    @property
    def has_checkpoint(self) -> bool:
        return self.length % CHECKPOINT_EVERY == 0

    @property
    def checkpoint(self) -> str | None:
        """The ancestor whose checkpoint names the ancestors that are missing here."""
        return self.ancestors[-1] if self.length - 1 > len(self.ancestors) else None

    def of_child(self, own_id: str) -> Lineage:
        """The place of a turn that continues this one, which is `own_id`."""
        older = () if self.has_checkpoint else self.ancestors
        return Lineage(self.length + 1, (own_id, *older))

    @classmethod
    def of_row(cls, head: Json) -> Lineage:
        return cls(number(head, "chain_length"), unpack_ids(head["ancestors"]["B"]))


ROOT = Lineage(1, ())


def partition(tenant: str, response_id: str) -> str:
    """The partition key of everything that belongs to one response; both names are checked by the caller."""
    return f"T#{tenant}#R#{response_id}"


def key(pk: str, sk: str) -> Json:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def key_of(row: Json) -> Key:
    return row["pk"]["S"], row["sk"]["S"]


def number(row: Json, name: str) -> int:
    return int(row[name]["N"])


def parent_of(head: Json) -> str | None:
    parent: str | None = head["parent"]["S"] if "parent" in head else None
    return parent


def parts_of(head: Json) -> list[str]:
    """The sort keys of a turn's overflow."""
    return [_part(n) for n in range(1, number(head, "parts") + 1)] if "parts" in head else []


def beside(head: Json) -> list[str]:
    """The sort keys of all rows that live and die with this head."""
    return parts_of(head) + ([CHAIN] if Lineage.of_row(head).has_checkpoint else [])


def rows_of_turn(tenant: str, record: StoredResponse, lineage: Lineage, body: bytes) -> list[Json]:
    """The overflow of `body`, then the head: who finds a head finds everything."""
    pk = partition(tenant, record.id)
    first, *rest = [body[start : start + BODY_BYTES] for start in range(0, len(body), BODY_BYTES)]
    parts = [
        _row(pk, _part(n), record.expires_at, body={"B": chunk}) for n, chunk in enumerate(rest, start=1)
    ]
    head = _row(
        pk,
        HEAD,
        record.expires_at,
        tenant={"S": tenant},
        created_at={"N": str(record.created_at)},
        status={"S": record.status},
        model={"S": record.model},
        chain_length={"N": str(lineage.length)},
        ancestors={"B": pack_ids(lineage.ancestors)},
        body={"B": first},
    )
    if record.previous_response_id is not None:
        head["parent"] = {"S": record.previous_response_id}
    if parts:
        head["parts"] = {"N": str(len(parts))}
    return [*parts, head]


def checkpoint_row(tenant: str, record: StoredResponse, ancestors: Sequence[str]) -> Json:
    pk = partition(tenant, record.id)
    return _row(pk, CHAIN, record.expires_at, ancestors={"B": pack_ids(ancestors)})


def record_of_rows(response_id: str, head: Json, parts: Sequence[Json]) -> StoredResponse:
    """Raises StoreUnavailable if the rows do not fit together."""
    return unpack(
        number(head, "v"),
        b"".join(row["body"]["B"] for row in (head, *parts)),
        id=response_id,
        created_at=number(head, "created_at"),
        expires_at=number(head, "expires_at"),
    )


def _part(n: int) -> str:
    return f"part#{n:04}"


def _row(pk: str, sk: str, expires_at: int, **attributes: Any) -> Json:
    return {**key(pk, sk), "v": {"N": str(FORMAT)}, "expires_at": {"N": str(expires_at)}, **attributes}
