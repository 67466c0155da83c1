"""Events as bytes: server-sent events, one line of JSON each.

Source: the specification, "Streaming": `event:` equals the body's `type`, the last record is `data: [DONE]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
# Some readers split lines at these as well; in JSON they may stand escaped.
LINE_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def encode(events: Iterable[dict[str, Any]]) -> bytes:
    """The events as the bytes of a stream, ready to be sent in one write."""
    pieces: list[bytes] = []
    for event in events:
        pieces += (b"event: ", event["type"].encode(), b"\ndata: ", orjson.dumps(event), b"\n\n")
    data = b"".join(pieces)
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        for plain, escaped in LINE_BREAKS:
            data = data.replace(plain, escaped)
    return data
