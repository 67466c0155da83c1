"""`request_log`: a line when a turn begins and one when it ends. Content is named by its size and the beginning of its
hash, never shown."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import orjson

from ..engine.middleware import TurnContext
from ..telemetry import Redacted

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class RequestLog:
    """`level` is that of the lines, as in OPENRESPONSES_LOG_LEVEL, which must let them pass."""

    level: str = "INFO"

    def __post_init__(self) -> None:
        levels = logging.getLevelNamesMapping()
        if self.level not in levels:
            raise ValueError(f"level: must be one of {', '.join(levels)}")
        self._level = levels[self.level]

    async def before_turn(self, turn: TurnContext) -> None:
        request = turn.request
        log.log(
            self._level,
            "turn %s of %s (key %s) begins: model %s, stream %s, tools %d, input %s",
            turn.response["id"],
            turn.caller.tenant,
            turn.caller.key_id,
            request["model"],
            request.get("stream", False),
            len(request.get("tools", ())),
            _redacted(request.get("input")),
        )

    async def after_turn(self, turn: TurnContext) -> None:
        usage: dict[str, Any] = turn.usage or {}
        log.log(
            self._level,
            "turn %s ends: %s (%s) by %s, tokens in %s, out %s, output %s",
            turn.response["id"],
            turn.status,
            turn.error.code if turn.error else turn.response["incomplete_details"],
            turn.route or "no provider",
            usage.get("input_tokens"),
            usage.get("output_tokens"),
            _redacted(turn.response["output"]),
        )


def _redacted(content: Any) -> Redacted:
    return Redacted(orjson.dumps(content))
