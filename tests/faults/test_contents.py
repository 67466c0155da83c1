"""Answers whose HTTP and frames are right, and whose contents no documentation has: events lost, doubled and out of
order, indices that lie, calls without names, errors of odd forms, counts that are none.

What can be understood is told; what cannot is the provider's error, and never an answer that lacks something unsaid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from ..support.gateway import Gateway
from ..support.provider import SSE, Answer
from ..support.speech import CONTENT_TYPES, MODELS, data, dumps, named, says
from .contents import TEXT, Events, Json, Row
from .contents_native import anthropic, gemini, ollama
from .contents_openai import chat, openai
from .outcomes import told

TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False} for name in "fg"
]


def events_of(dialect: str, body: bytes) -> Events:
    records = body.split(b"\n") if dialect == "ollama" else re.split(rb"\r\n\r\n|\n\n", body)
    return [json.loads(record[record.index(b"{") :]) for record in records if b"{" in record]


def written(dialect: str, events: Events) -> bytes:
    if dialect == "ollama":
        return "".join(dumps(event) + "\n" for event in events).encode()
    if dialect in ("openai", "anthropic"):
        return named(*events)
    return data(*events, *(["[DONE]"] if dialect == "chat" else []))


ROWS = [row for rows in (openai, anthropic, gemini, ollama, chat) for row in rows()]


def said(output: list[Json]) -> Iterator[str]:
    for item in output:
        if item["type"] == "message":
            yield "".join(part["text"] for part in item["content"])
        else:
            arguments = item["arguments"]
            yield f"{item['name']}({arguments.replace(' ', '')})"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.dialect} {row.name}")
def test_odd_contents(gateway: Gateway, row: Row) -> None:
    calls = [("f", {"a": 1}), ("g", {})] if row.calls else []
    events = events_of(row.dialect, says(row.dialect, TEXT, calls=calls).body)
    row.change(events)
    content_type = CONTENT_TYPES.get(row.dialect, SSE)
    gateway.scenario(Answer(written(row.dialect, events), content_type=content_type))
    for mode in ("stream", "json"):
        body = {"model": MODELS[row.dialect], "input": "hi", "tools": TOOLS}
        answer = gateway.ask(body, stream=mode == "stream")
        expected = told(row.end, mode)
        assert answer.status == expected.status
        if expected.how == "refused":
            assert answer.error["code"] == expected.code
            continue
        found = answer.response
        reason = (found["error"] or {}).get("code") or (found["incomplete_details"] or {}).get("reason")
        assert (found["status"], reason) == (expected.how, expected.code)
        assert tuple(said(found["output"])) == row.said
        ids = [item["call_id"] for item in found["output"] if item["type"] == "function_call"]
        assert all(ids) and len(set(ids)) == len(ids)
