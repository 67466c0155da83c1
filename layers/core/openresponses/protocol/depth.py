"""How deeply JSON may be nested: what comes in goes out again inside other JSON, and orjson writes 254 levels."""

from __future__ import annotations

from typing import Any

import orjson

DEEPEST = 200  # levels
ROOM = 254 - DEEPEST  # what events, requests to providers and stored rows may put around it


def too_deep(data: bytes, value: Any) -> bool:
    """Whether `value`, which was read from `data`, has more than DEEPEST levels."""
    if data.count(b"[") + data.count(b"{") <= DEEPEST:
        return False
    for _ in range(ROOM):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False
