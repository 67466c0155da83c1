"""A response at the terminal: its events shown as they come, and what is left to say at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .base import RequestFailed
from .gateway import failure
from .terminal import console, write

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, Any]

REASONING = (
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.reasoning.delta",
)
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
CALLS = ("function_call", "custom_tool_call", "mcp_approval_request")
THINKING = "[thinking] "  # where nothing can be dimmed


class Answer:
    """Shows a response's events: its text on standard output; reasoning dimmed, as `aside` says: "" on standard output,
    "stderr" on standard error, None nowhere. `response` is the last that was told of it."""

    def __init__(self, aside: str | None = "") -> None:
        self._aside = aside
        self._kind = ""  # of what was written last
        self.response: Json = {}
        self.text = ""

    async def show(self, events: AsyncIterator[Json]) -> Json:
        """Shows all of them; the response. Raises RequestFailed where it failed."""
        async for event in events:
            self._event(event)
        self._end_line()
        return ended(self.response)

    def _event(self, event: Json) -> None:
        kind = event["type"]
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self._begin("text")
            self.text += event["delta"]
            write(event["delta"])
        elif kind in REASONING:
            if self._aside is not None:
                self._begin("reasoning")
                self._beside(event["delta"])
        elif kind == "response.output_item.done":
            self._item(event["item"])
        elif kind == "error":
            raise failure(event.get("error") or event, "the gateway")
        if "response" in event:
            self.response = event["response"]

    def _item(self, item: Json) -> None:
        """Calls, results of tools that ran elsewhere, and the sources of a text."""
        lines = [f"[{number}] {cited}" for number, cited in enumerate(sources(item), 1)]
        if item["type"] not in ("message", "reasoning"):
            lines = [summary_of(item)]
        if lines and self._aside is not None:
            self._begin("aside")
            self._beside("".join(f"{line}\n" for line in lines))

    def _begin(self, kind: str) -> None:
        """What is of another kind begins on a line of its own."""
        if kind == self._kind:
            return
        if self._kind in ("text", "reasoning"):
            self._end_line()
        self._kind = kind
        if kind == "reasoning" and not can_dim(console(self._aside == "stderr")):
            self._beside(THINKING)

    def _end_line(self) -> None:
        if self._kind == "text":
            write("\n")
        elif self._kind == "reasoning":
            self._beside("\n")
        self._kind = ""

    def _beside(self, text: str) -> None:
        write(text, "dim", stderr=self._aside == "stderr")


def ended(response: Json | None) -> Json:
    """The response as it ended. Raises RequestFailed where it failed, or did not end."""
    if not response or response["status"] in ("queued", "in_progress"):
        raise RequestFailed("the answer broke off before its end")
    if response["status"] == "failed":
        raise failure(response["error"] or {"message": "the response failed"}, "the gateway")
    return response


def can_dim(to: Console) -> bool:
    return to.is_terminal and not to.is_dumb_terminal


def text_of(response: Json) -> str:
    """The text of a response's messages."""
    parts = (part for item in response["output"] if item["type"] == "message" for part in item["content"])
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def sources(item: Json) -> list[str]:
    """What a message cites, each once."""
    found = (
        note
        for part in item.get("content") or ()
        for note in (part.get("annotations") or ())
        if note.get("url")
    )
    return list(dict.fromkeys(" — ".join(filter(None, (note.get("title"), note["url"]))) for note in found))


def summary_of(item: Json) -> str:
    """A call, or what came of it, in a line."""
    said = item.get("arguments") or item.get("input") or item.get("output") or item.get("action") or ""
    said = " ".join(str(said).split())
    name = item.get("name") or item["type"].removesuffix("_call")
    mark = "←" if item["type"].endswith("_output") else "→"
    return f"{mark} {name} {said[:200]}".rstrip()


def reason_of(response: Json) -> str | None:
    """Why a response is incomplete, in words; None if it is complete."""
    if response["status"] == "completed":
        return None
    reason = (response.get("incomplete_details") or {}).get("reason")
    return f"{response['status']}: {reason}" if reason else str(response["status"])
