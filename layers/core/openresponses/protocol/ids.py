"""Ids: `resp_<uuid7 hex>`, and for everything inside a response `<prefix>_<the same hex>_<place>`.

So every id names its owner: an item can be found from its id alone, without an index.
"""

from __future__ import annotations

import os
import re
import time

PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "computer_call": "cu",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "program": "cm",
    "program_output": "cmo",
}
LONGEST_CALL_ID = 16_384  # characters; some gateways put a model's signature into the id of a call
CONVERSATION_ID = re.compile(r"conv_[0-9a-f]{32}")
RESPONSE_ID = re.compile(r"resp_[0-9a-f]{32}")
ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{32})_i?\d+")


def new_response_id() -> str:
    """A response id; it sorts by time."""
    return f"resp_{_uuid7()}"


def new_conversation_id() -> str:
    return f"conv_{_uuid7()}"


def _uuid7() -> str:
    """UUID version 7 (RFC 9562) in hex."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(3 << 62) | 2 << 62
    return f"{value:032x}"


def hex_of(response_id: str) -> str:
    return response_id.removeprefix("resp_")


def item_id(kind: str, owner_hex: str, place: int | str) -> str:
    """The id of the item of type `kind` at `place` in the response `owner_hex` (input items: "i0", "i1", …)."""
    return f"{PREFIXES.get(kind, 'item')}_{owner_hex}_{place}"


def owner_of(item: str) -> str | None:
    """The id of the response that an item id names; None if it is not one of ours."""
    found = ITEM_ID.fullmatch(item)
    return f"resp_{found[1]}" if found else None
