"""What the turn knows of a tool that runs here, whether the operator registered it or an MCP server has it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from ..adapters.base import HostedItemEnded, ToolCallStarted


@dataclass(slots=True)
class LocalCall:
    """A call to answer. `key` names it within its sample, `call_id` is that of its item, if that has one.
    Whoever answers says in `error` what kind of failure it was, if it was one."""

    key: Hashable
    arguments: str
    call_id: str | None = None
    error: str | None = None


class LocalTool(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """`hosted` or `mcp`."""
        ...

    @property
    def server_of(self) -> tuple[str | None, str | None]:
        """Label and URL of the server that has the tool."""
        ...

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
