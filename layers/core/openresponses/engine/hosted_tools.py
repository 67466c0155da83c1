"""Hosted tools: what an operator registers and the gateway runs itself, inside the turn.

A `[[tool]]` row of the configuration file names one and says where it runs: a Python callable (`module:function`), an
HTTPS endpoint (arguments in as JSON, result out as text), or a Lambda function. Whatever a tool does, the model gets a
text: its result, or what went wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ..adapters.base import HostedItemEnded, ToolCallStarted
from ..secrets import Secrets
from .local_tools import LocalCall
from .tool_results import as_text, failure_text

if TYPE_CHECKING:
    from .tool_runners import Run

Json = dict[str, Any]
log = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that runs here. `definition` is offered to the model; `always`: also if no request names it."""

    name: str
    definition: Json
    run: Run
    timeout: float = DEFAULT_TIMEOUT
    always: bool = False

    @property
    def kind(self) -> str:
        return "hosted"

    @property
    def server_of(self) -> tuple[None, None]:
        return None, None

    @property
    def waits(self) -> bool:
        return False

    def shown(self, call: ToolCallStarted) -> ToolCallStarted:
        return call

    async def answer(self, call: LocalCall) -> HostedItemEnded:
        result, call.error = await self._run(call.arguments)
        return hosted_output(call.call_id, result)

    async def _run(self, arguments: str) -> tuple[str, str | None]:
        """The result for the model and the kind of failure that it is, if any; never raises for what the tool did."""
        try:
            given = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            return "Error: the arguments are not valid JSON.", "invalid_arguments"
        if not isinstance(given, dict):
            return "Error: the arguments must be a JSON object.", "invalid_arguments"
        running = asyncio.ensure_future(self._outcome(given))
        try:
            done, _ = await asyncio.wait((running,), timeout=self.timeout)
        finally:
            running.cancel()  # one that does not heed it is left behind
        if not done:
            return f"Error: the tool did not answer within {self.timeout:g} s.", "timeout"
        result, error = running.result()
        if error:
            log.warning("tool %s failed: %s", self.name, error)
        return result, error

    async def _outcome(self, given: Json) -> tuple[str, str | None]:
        try:
            return as_text(await self.run(given)), None
        except BaseException as error:  # sys.exit() in a tool ends the call, not the gateway
            return failure_text(error), type(error).__name__


def hosted_output(call_id: str | None, text: str) -> HostedItemEnded:
    """The item that answers a call."""
    item = {"type": "function_call_output", "call_id": call_id, "output": text, "status": "completed"}
    return HostedItemEnded(("output", call_id), item)


class HostedTools:
    """The registered tools by name."""

    def __init__(self, tools: Iterable[HostedTool] = ()) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def offered(self, tools: list[Json]) -> tuple[list[Json], dict[str, HostedTool]]:
        """The tools for the model, hosted ones defined, and those that run here by name.

        A request names a hosted tool as a function without parameters; one with parameters is the client's own.
        """
        if not self._tools:
            return tools, {}
        hosted: dict[str, HostedTool] = {}
        offered = []
        for tool in tools:
            registered = self._tools.get(tool.get("name", "")) if tool["type"] == "function" else None
            if registered and tool.get("parameters") is None:
                hosted[registered.name] = registered
                offered.append(registered.definition)
            else:
                offered.append(tool)
        named = {tool.get("name") for tool in tools}
        for registered in self._tools.values():
            if registered.always and registered.name not in named:
                hosted[registered.name] = registered
                offered.append(registered.definition)
        return offered, hosted


# --------------------------------------------------------------------------- from the configuration


def load_tools(rows: Iterable[Json], secrets: Secrets) -> HostedTools:
    """The tools of the `[[tool]]` rows. Raises SettingsError for a callable that cannot be imported."""
    return HostedTools(_tool(row, secrets) for row in rows)


def _tool(row: Json, secrets: Secrets) -> HostedTool:
    from ..settings import SettingsError
    from .tool_runners import aws_lambda, endpoint, python

    timeout = row.get("timeout", DEFAULT_TIMEOUT)
    described: Json = {"description": None, "parameters": {"type": "object", "properties": {}}}
    if "python" in row:
        try:
            run, described = python(row["python"])
        except ValueError as error:
            raise SettingsError(f"[[tool]] python = {row['python']!r} {error}.") from None
    elif "url" in row:
        run = endpoint(row["url"], row.get("headers", {}), row.get("key_variable"), secrets)
    else:
        run = aws_lambda(row["lambda"], timeout)
    definition = {
        "type": "function",
        "name": row["name"],
        "description": row.get("description", described["description"]),
        "parameters": row.get("parameters", described["parameters"]),
        "strict": False,
    }
    return HostedTool(row["name"], definition, run, timeout, row.get("always", False))
