"""Whatever a dead run has stored of its events, what closes them makes a legal stream that keeps what was said."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from openresponses.adapters.base import HostedItemEvent, HostedItemStarted
from openresponses.engine.unfinished import Unfinished
from openresponses.protocol.errors import ApiError

from ..engine.test_assembler import assemble
from ..support import grammar
from ..support.gateway import Gateway
from ..support.speech import MODELS, says
from .test_http import TOOL

Json = dict[str, Any]

DIED = ApiError("server_error", "The worker has died.")
ECHO = ["/reason Let me think.\n/cite https://example.org/a\nwhat was said", "/refuse I would rather not", "/long 30",
        '/tool get_time {"zone": "UTC"}\n/tool get_time {"zone": "CET"}', "/image\nx"]  # fmt: skip


def streams(gateway: Gateway) -> list[list[Json]]:
    told = [gateway.ask({"model": "echo", "input": text, "tools": [TOOL]}, stream=True) for text in ECHO]
    for dialect, model in MODELS.items():
        gateway.scenario(
            says(dialect, "One moment.", calls=[("get_time", {"zone": "UTC"})] * 2, reasoning="Think.")
        )
        body = {"model": model, "input": "x", "tools": [TOOL], "reasoning": {"effort": "low"}}
        told.append(gateway.ask(body, stream=True))
    custom = {"type": "custom", "name": "shell"}
    told.append(gateway.ask({"model": "echo", "input": "/tool shell ls -l", "tools": [custom]}, stream=True))
    return [answer.events for answer in told] + [hosted(item, event) for item, event in HOSTED]


# An item that the provider runs → the events of its text.
HOSTED: list[tuple[Json, str]] = [
    ({"type": "code_interpreter_call", "code": "", "container_id": None}, "code_interpreter_call_code"),
    (
        {
            "type": "apply_patch_call",
            "call_id": "call_1",
            "operation": {"type": "create_file", "path": "a", "diff": ""},
        },
        "apply_patch_call_operation_diff",
    ),
]


def hosted(item: Json, event: str) -> list[Json]:
    pieces = [HostedItemEvent(0, f"response.{event}.delta", {"delta": piece}) for piece in ("+one", "+two")]
    events, _ = assemble([HostedItemStarted(0, item), *pieces])
    return events


@pytest.mark.parametrize("error", [DIED, None], ids=["failed", "cancelled"])
def test_every_cut_is_closed_legally(gateway: Gateway, error: ApiError | None) -> None:
    for events in streams(gateway):
        queued = {**events[0]["response"], "background": True}
        for cut in range(len(events)):
            unfinished = Unfinished(queued, "summary")
            for event in copy.deepcopy(events[:cut]):
                unfinished.see(event)
            whole = copy.deepcopy(events[:cut]) + unfinished.close(error)
            response = grammar.check_stream(whole)
            assert response["status"] == ("failed" if error else "cancelled")
            assert said(response["output"]) == "".join(
                event["delta"] for event in events[:cut] if event["type"].endswith(".delta")
            )


def said(output: list[Json]) -> str:
    """All text of the items, in their order."""
    texts = []
    for item in output:
        parts = [*item.get("summary", ()), *item.get("content", ())]
        texts += [part.get("text", part.get("refusal")) for part in parts]
        texts.append(item.get("arguments", item.get("input", item.get("code", ""))))
        texts.append(item.get("operation", {}).get("diff", ""))
    return "".join(texts)
