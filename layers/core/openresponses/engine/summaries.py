"""Compaction items: a summary of what was said, sealed for this deployment and tenant, read on any provider.

The item is stored, and given to clients, as the token it is; only the model sees the words, as a message in its place.
"""

from __future__ import annotations

from typing import Any

import orjson

from ..protocol.errors import ApiError
from ..protocol.state import unseal
from ..sealing import Sealer, Unreadable, is_sealed
from .context import Context

Json = dict[str, Any]

PURPOSE = "compaction"
KINDS = frozenset({"compaction", "compaction_summary"})
HEADING = "Summary of the conversation so far; what it replaces is not shown any more:\n\n"


async def seal_summary(sealer: Sealer, tenant: str, summary: str) -> str:
    """The `encrypted_content` of a compaction item."""
    return await sealer.seal(tenant, PURPOSE, orjson.dumps({"summary": summary}))


async def with_summaries(context: Context, sealer: Sealer, tenant: str, provider: str) -> Context:
    """The context as the model sees it: summaries as messages, `own` as it was given.

    A provider's own compaction stays as it is where the turn goes to that provider. Raises ApiError naming the item
    that can be read neither here nor there.
    """
    if not any(item["type"] in KINDS for item in context.items):
        return context
    items = []
    for place, item in enumerate(context.items):
        if item["type"] in KINDS:
            item = await _read(item, sealer, tenant, provider) or _refuse(context, place)
        items.append(item)
    return Context(items, context.own, context.places)


async def _read(item: Json, sealer: Sealer, tenant: str, provider: str) -> Json | None:
    """The item in a form that the model can be given; None if there is none."""
    token = item["encrypted_content"]
    if not is_sealed(token):
        state = unseal(token)
        return item if state and state[0] == provider else None
    try:
        summary = orjson.loads(await sealer.open(tenant, PURPOSE, token))["summary"]
    except Unreadable:
        return None
    part = {"type": "input_text", "text": HEADING + summary}
    return {"type": "message", "id": item["id"], "role": "user", "status": "completed", "content": [part]}


def _refuse(context: Context, place: int) -> Json:
    raise ApiError(
        "invalid_value",
        "The content of this compaction item cannot be read: it was changed, or it was made by another deployment, "
        "for another tenant, or by a provider that does not get this turn.",
        param=context.param(f"input[{place}].encrypted_content"),
    )
