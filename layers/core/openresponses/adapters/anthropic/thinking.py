"""How a request asks Claude to think: `reasoning` and the model's options → `thinking` and `output_config.effort`.

Rules of the API that are kept here: a budget is at least 1,024 tokens and less than `max_tokens`; with a budget,
thinking excludes a forced tool_choice, and the assistant's turn under way must begin with its thinking.
Source: Anthropic's pages "Extended thinking", "Adaptive thinking", "Effort".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base import Turn

Json = dict[str, Any]

MIN_BUDGET = 1024
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 49152}
LEVELS = ("low", "medium", "high", "xhigh", "max")
BINDING_BETA = "thinking-binding-controls-2026-08-01"
THINKING_TYPES = frozenset({"thinking", "redacted_thinking"})


@dataclass(slots=True)
class Thinking:
    """config and effort as sent (None: not sent); `on` if this request asks for thinking, `off` if there is none."""

    config: Json | None = None
    effort: str | None = None
    on: bool = False
    off: bool = False
    betas: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def decide(turn: Turn, max_tokens: int, messages: list[Json], *, forced: bool) -> Thinking:
    """The thinking of this request. What of `reasoning` has no place is in `ignored`."""
    asked = turn.request.get("reasoning") or {}
    effort = asked.get("effort")
    wanted = effort != "none" and (effort is not None or asked.get("summary") not in (None, "none"))
    mode = turn.profile.options.get("thinking", "budget")
    if wanted and mode == "adaptive":
        return _adaptive(turn, effort, asked.get("summary"))
    if wanted and mode == "budget" and not forced and max_tokens > MIN_BUDGET and not _unthought(messages):
        budget = min(BUDGETS[effort or "medium"], max(MIN_BUDGET, max_tokens * 3 // 4))
        return Thinking({"type": "enabled", "budget_tokens": budget}, on=True)
    plain = _off(turn) if effort == "none" or (forced and mode == "budget") else _default(turn)
    if effort is not None and (wanted or not plain.off):
        plain.ignored.append("reasoning.effort")
    return plain


def _adaptive(turn: Turn, effort: str | None, summary: str | None) -> Thinking:
    options = turn.profile.options
    config: Json = {"type": "adaptive"}
    if options.get("display") and summary not in (None, "none"):
        config["display"] = "summarized"
    found = _bound(turn, Thinking(config, on=True))
    found.effort = level_of(effort, options.get("efforts", ()))
    return found


def _off(turn: Turn) -> Thinking:
    how = turn.profile.options.get("thinking_off", "omit")
    if how == "never":
        return _default(turn)
    return Thinking({"type": "disabled"} if how == "disabled" else None, off=True)


def _default(turn: Turn) -> Thinking:
    """No word about thinking: most models then do not think, some do."""
    return _bound(turn, Thinking(off=turn.profile.options.get("thinking_off", "omit") == "omit"))


def _bound(turn: Turn, found: Thinking) -> Thinking:
    """Instructions and tools may change from turn to turn; thinking bound to older ones is dropped, not refused."""
    if turn.profile.options.get("block_binding"):
        found.config = {**(found.config or {"type": "adaptive"})}
        found.config["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
        found.betas.append(BINDING_BETA)
    return found


def level_of(effort: str | None, levels: Any) -> str | None:
    """The model's level for this effort: the same one, else the next higher, else its highest."""
    if effort is None or not levels:
        return None
    wanted = LEVELS.index("low" if effort == "minimal" else effort)
    return next((level for level in LEVELS[wanted:] if level in levels), max(levels, key=LEVELS.index))


def _unthought(messages: list[Json]) -> bool:
    """Whether the assistant's turn under way uses tools and does not begin with its thinking (the client lost it)."""
    start = len(messages)
    while start and not _is_prompt(messages[start - 1]):
        start -= 1
    under_way = [message["content"] for message in messages[start:] if message["role"] == "assistant"]
    if not any(block["type"] == "tool_use" for content in under_way for block in content):
        return False
    return under_way[0][0]["type"] not in THINKING_TYPES


def _is_prompt(message: Json) -> bool:
    """Whether this message is the user's own, not the results of tools."""
    results = any(block["type"] == "tool_result" for block in message["content"])
    return message["role"] == "user" and not results
