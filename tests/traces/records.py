"""The recorded exchanges, read in place beside the checkout; an empty list where they are absent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..support.provider import cut

Json = dict[str, Any]

TRACES = Path(__file__).parents[3] / "shared/traces"

# Records of endpoints that are not a turn: nothing of them goes through POST /v1/responses.
OTHER_ENDPOINTS = {
    "count_tokens": "token counting, no turn",
    ":countTokens": "token counting, no turn",
    "/input_tokens": "token counting, no turn",
    "/responses/resp_": "reading a stored response back, no turn",
}


@dataclass(frozen=True)
class Record:
    slug: str
    dialect: str  # the wire format: anthropic, gemini, openai, ollama, chat
    framing: str  # json, sse, ndjson
    model: str  # as the gateway is asked for it
    request: Json | None
    status: int
    content_type: str
    body: bytes
    tags: tuple[str, ...]
    not_applicable: str | None

    @property
    def id(self) -> str:
        return f"{self.dialect}/{self.slug}"


ROWS = {"chat": "vllm"}
ANSWER_START = re.compile(rb'data: ?{"type": ?"message_start"')
STAND_IN = {"gemini": "gemini-2.5-flash"}


def read(path: Path) -> Iterator[Record]:
    """The answers of one file: one, but for fixtures that joined the answers of several requests."""
    raw = json.loads(path.read_text())
    response, endpoint = raw["response"], raw["endpoint"]
    dialect = "chat" if endpoint.endswith("/chat/completions") else raw["provider"]
    model = raw["model"] or "unnamed"
    model = STAND_IN[dialect] if "{" in model else model
    body = response["body"].encode()
    reason = next((why for part, why in OTHER_ENDPOINTS.items() if part in endpoint), None)
    if (
        dialect == "openai"
        and raw["framing"] == "json"
        and json.loads(body).get("status") in ("queued", "in_progress")
    ):
        reason = "a background response that is not finished: the gateway never asks a provider for one"
    starts = [body.rfind(b"event:", 0, found.start()) for found in ANSWER_START.finditer(body)][1:]
    for n, answer in enumerate(cut(body, *starts)):
        yield Record(
            raw["slug"] + (f"#{n + 1}" if starts else ""), dialect, raw["framing"],
            f"{ROWS.get(dialect, dialect)}/{model}", raw["request"], response["status"], response["content_type"],
            answer, tuple(raw["tags"]), reason,
        )  # fmt: skip


FILES = sorted(TRACES.glob("*/*.json"))
RECORDS = [record for path in FILES for record in read(path)]
APPLICABLE = [record for record in RECORDS if not record.not_applicable]
STREAMS = [record for record in APPLICABLE if record.framing != "json" and record.status == 200]
