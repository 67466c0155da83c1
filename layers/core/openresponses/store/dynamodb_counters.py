"""Counters in the DynamoDB table: `T#<tenant>#U` / `<window>`, one attribute a counter.

Added is by one conditional update, so the check and the sum cannot come apart. The leases of a window are one map of
that row, owner → until: its size is what the condition of a new lease looks at, and only who finds it full looks for
leases that have run out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .codec import FORMAT
from .counters import OWN_ATTRIBUTES, Amounts, require_names
from .dynamodb_layout import key
from .dynamodb_table import ConditionFailed, Table

Json = dict[str, Any]

LEASES_LIVE = 7 * 86400  # seconds that a row of leases is kept after the last one was taken


class DynamoDBCounters:
    """See Counters."""

    def __init__(self, table: Table, clock: Callable[[], float]) -> None:
        self._table = table
        self._clock = clock

    async def add(
        self, tenant: str, window: str, amounts: Amounts, *, limits: Amounts | None = None, expires_at: int
    ) -> dict[str, int] | None:
        limits = limits or {}
        require_names(tenant, window, (*amounts, *limits))
        if any(limit <= 0 for limit in limits.values()):
            return None  # what is missing counts as 0, which the condition below does not see
        names = {f"#{name}": name for name in (*amounts, *limits)}
        values = {":v": _number(FORMAT), ":expires_at": _number(expires_at)}
        values |= {f":{name}": _number(amount) for name, amount in amounts.items()}
        values |= {f":{name}_limit": _number(limit) for name, limit in limits.items()}
        below = [f"(attribute_not_exists(#{name}) OR #{name} < :{name}_limit)" for name in limits]
        condition: Json = {"ConditionExpression": " AND ".join(below)} if below else {}
        added = ", ".join(f"#{name} :{name}" for name in amounts)
        try:
            answer = await self._table.on_table(
                "update_item",
                Key=_key(tenant, window),
                UpdateExpression=f"SET v = :v, expires_at = :expires_at ADD {added}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                **condition,
            )
        except ConditionFailed:
            return None
        return _amounts(answer["Attributes"])

    async def read(self, tenant: str, window: str) -> dict[str, int]:
        require_names(tenant, window)
        row = await self._row(tenant, window)
        alive = row is not None and float(row["expires_at"]["N"]) > self._clock()
        return _amounts(row) if row and alive else {}

    async def lease(self, tenant: str, window: str, owner: str, until: float, limit: int) -> bool:
        require_names(tenant, window)
        free = "size(leases) < :limit OR attribute_exists(leases.#owner)"
        while not await self._set_lease(tenant, window, owner, until, free, {":limit": _number(limit)}):
            row = await self._row(tenant, window)
            if row is None or "leases" not in row:
                await self._make_leases(tenant, window)
            elif not await self._drop_expired(tenant, window, row):
                return False
        return True

    async def release(self, tenant: str, window: str, owner: str) -> None:
        require_names(tenant, window)
        await self._remove_lease(tenant, window, owner, "attribute_exists(leases.#owner)", {})

    # ----------------------------------------------------------------------- leases

    async def _set_lease(
        self, tenant: str, window: str, owner: str, until: float, condition: str, values: Json
    ) -> bool:
        expires_at = int(self._clock()) + LEASES_LIVE
        try:
            await self._table.on_table(
                "update_item",
                Key=_key(tenant, window),
                UpdateExpression="SET leases.#owner = :until, expires_at = :expires_at",
                ConditionExpression=f"attribute_exists(leases) AND ({condition})",
                ExpressionAttributeNames={"#owner": owner},
                ExpressionAttributeValues={
                    ":until": _number(until),
                    ":expires_at": _number(expires_at),
                    **values,
                },
            )
        except ConditionFailed:
            return False
        return True

    async def _make_leases(self, tenant: str, window: str) -> None:
        with suppress(ConditionFailed):
            await self._table.on_table(
                "update_item",
                Key=_key(tenant, window),
                UpdateExpression="SET leases = :none, v = :v, expires_at = :expires_at",
                ConditionExpression="attribute_not_exists(leases)",
                ExpressionAttributeValues={
                    ":none": {"M": {}},
                    ":v": _number(FORMAT),
                    ":expires_at": _number(int(self._clock()) + LEASES_LIVE),
                },
            )

    async def _drop_expired(self, tenant: str, window: str, row: Json) -> bool:
        """Frees the leases that have run out; False if there are none."""
        now = self._clock()
        expired = [owner for owner, until in row["leases"]["M"].items() if float(until["N"]) <= now]
        for owner in expired:
            await self._remove_lease(tenant, window, owner, "leases.#owner <= :now", {":now": _number(now)})
        return bool(expired)

    async def _remove_lease(self, tenant: str, window: str, owner: str, condition: str, values: Json) -> None:
        with suppress(ConditionFailed):
            given: Json = {"ExpressionAttributeValues": values} if values else {}
            await self._table.on_table(
                "update_item",
                Key=_key(tenant, window),
                UpdateExpression="REMOVE leases.#owner",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#owner": owner},
                **given,
            )

    async def _row(self, tenant: str, window: str) -> Json | None:
        return await self._table.row(f"T#{tenant}#U", window)


def _key(tenant: str, window: str) -> Json:
    return key(f"T#{tenant}#U", window)


def _number(value: float) -> Json:
    return {"N": str(value)}


def _amounts(row: Json) -> dict[str, int]:
    return {name: int(value["N"]) for name, value in row.items() if name not in OWN_ATTRIBUTES}
