"""What the turn knows of a tool that runs here, whether the operator registered it or an MCP server has it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from ..adapters.base import HostedItemEnded, ToolCallStarted


@dataclass(frozen=True, slots=True)
class LocalCall:
    """A call to answer. `key` names it within its sample, `call_id` is that of its item, if that has one."""

    key: Hashable
    arguments: str
    call_id: str | None = None


class LocalTool(Protocol):
    @property
    def waits(self) -> bool:
        """Whether the client has its say before a call runs: the turn ends with the question."""
        ...

    def shown(self, call: ToolCallStarted) -> ToolCallStarted | None:
        """The call as the client sees the model write it; None: it does not see it before the answer."""
        ...

    async def answer(self, call: LocalCall) -> HostedItemEnded:
        """Runs the call. What went wrong is in the item; raises nothing for what the tool did."""
        ...
