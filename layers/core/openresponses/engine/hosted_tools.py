"""Hosted tools: what an operator registers and the gateway runs itself, inside the turn.

A `[[tool]]` row of the configuration file names one and says where it runs: a Python callable (`module:function`), an
HTTPS endpoint (arguments in as JSON, result out as text), or a Lambda function. Whatever a tool does, the model gets a
text: its result, or what went wrong.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson

from ..adapters.base import HostedItemEnded, ToolCallStarted
from ..secrets import Secrets
from .local_tools import LocalCall

Json = dict[str, Any]
Call = Callable[[Json], Awaitable[Any]]
log = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 30.0  # seconds
MAX_RESULT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that runs here. `definition` is offered to the model; `always`: also if no request names it."""

    name: str
    definition: Json
    call: Call
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
        output = {"type": "function_call_output", "call_id": call.call_id, "output": result}
        return HostedItemEnded(("output", call.call_id), {**output, "status": "completed"})

    async def _run(self, arguments: str) -> tuple[str, str | None]:
        """The result for the model, at most MAX_RESULT_BYTES of text, and the kind of failure that it is, if any; never
        raises for what the tool did."""
        try:
            given = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            return "Error: the arguments are not valid JSON.", "invalid_arguments"
        if not isinstance(given, dict):
            return "Error: the arguments must be a JSON object.", "invalid_arguments"
        try:
            async with asyncio.timeout(self.timeout):
                return as_text(await self.call(given)), None
        except TimeoutError:
            return f"Error: the tool did not answer within {self.timeout:g} s.", "timeout"
        except Exception as error:
            log.warning("tool %s failed: %s", self.name, type(error).__name__)
            return f"Error: {type(error).__name__}: {error}"[:1000], type(error).__name__


def as_text(result: Any) -> str:
    """A tool's result as the model sees it."""
    if isinstance(result, bytes):
        try:
            text = result.decode()
        except UnicodeDecodeError:
            return f"Error: the tool returned {len(result)} bytes that are not text."
    elif isinstance(result, str):
        text = result
    else:
        text = _json(result)
    if (size := len(text.encode())) <= MAX_RESULT_BYTES:
        return text
    kept = text.encode()[:MAX_RESULT_BYTES].decode(errors="ignore")
    return f"{kept}\n[Cut here: the result has {size} bytes, of which {MAX_RESULT_BYTES} are shown.]"


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, default=str, ensure_ascii=False)


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
    if "python" in row:
        function = imported(row["python"])
        call = _python(function)
        described = signature_schema(function)
    else:
        call = (
            _endpoint(row, secrets)
            if "url" in row
            else _lambda(row["lambda"], row.get("timeout", DEFAULT_TIMEOUT))
        )
        described = {"description": None, "parameters": {"type": "object", "properties": {}}}
    definition = {
        "type": "function",
        "name": row["name"],
        "description": row.get("description", described["description"]),
        "parameters": row.get("parameters", described["parameters"]),
        "strict": False,
    }
    return HostedTool(
        row["name"], definition, call, row.get("timeout", DEFAULT_TIMEOUT), row.get("always", False)
    )


def imported(path: str) -> Callable[..., Any]:
    """The callable at `module:function`. Raises SettingsError."""
    from importlib import import_module

    from ..settings import SettingsError

    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"[[tool]] python = {path!r} cannot be imported: {error}.") from None
    if not callable(found):
        raise SettingsError(f"[[tool]] python = {path!r} is not callable.")
    return found  # type: ignore[no-any-return]


def signature_schema(function: Callable[..., Any]) -> Json:
    """Description and parameters of a function, from its docstring and signature."""
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, function))
    parameters = adapter.json_schema()
    if "properties" not in parameters:
        parameters = {"type": "object", "properties": {}}
    return {"description": inspect.getdoc(function), "parameters": parameters}


def _python(function: Callable[..., Any]) -> Call:
    """Sync functions run in a thread; arguments are checked against the signature."""
    from pydantic import validate_call

    checked = validate_call(function)
    if inspect.iscoroutinefunction(function):
        return lambda arguments: checked(**arguments)
    return lambda arguments: asyncio.to_thread(checked, **arguments)


def _endpoint(row: Json, secrets: Secrets) -> Call:
    async def call(arguments: Json) -> bytes:
        import httpx

        headers = dict(row.get("headers", {}))
        if key := await secrets.get(row["key_variable"]) if "key_variable" in row else None:
            headers["authorization"] = f"Bearer {key}"
        async with httpx.AsyncClient(timeout=None) as client:
            reply = await client.post(row["url"], json=arguments, headers=headers)
        if reply.status_code >= 400:
            raise RuntimeError(f"the endpoint answered {reply.status_code}: {reply.text[:500]}")
        return reply.content

    return call


def _lambda(arn: str, timeout: float) -> Call:
    def invoke(arguments: Json) -> bytes:
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=2, read_timeout=timeout, retries={"total_max_attempts": 1})
        answer = boto3.client("lambda", config=limits).invoke(
            FunctionName=arn, Payload=orjson.dumps(arguments)
        )
        payload: bytes = answer["Payload"].read()
        if "FunctionError" in answer:
            raise RuntimeError(f"the function failed: {payload[:500].decode(errors='replace')}")
        return payload

    return lambda arguments: asyncio.to_thread(invoke, arguments)
