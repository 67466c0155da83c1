"""Where a hosted tool runs: a Python callable, an HTTP endpoint, or a Lambda function.

Each is made into an async function from arguments to a result, which may raise anything.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any

import orjson

from ..secrets import Secrets

if TYPE_CHECKING:
    import ssl

Json = dict[str, Any]
Run = Callable[[Json], Awaitable[Any]]

MAX_THREADS = 32  # that one tool may have at a time, those that hang included
MAX_ANSWER_BYTES = 10 << 20  # of an endpoint


class Threads:
    """Threads of one tool's own: one that hangs takes nobody else's, and the process ends without it."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_THREADS)

    async def run(self, function: Callable[[], Any]) -> Any:
        """What the function returns. Raises what it raises."""
        await self._free.acquire()
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def end(result: Any, error: BaseException | None) -> None:
            self._free.release()
            if not ended.done():
                ended.set_result((result, error))

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(function)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(end, result, error)

        Thread(target=work, name="tool", daemon=True).start()
        result, error = await ended
        if error is not None:
            raise error
        return result


# --------------------------------------------------------------------------- Python


def python(path: str) -> tuple[Run, Json]:
    """The callable at `module:function`, and its description and parameters, from docstring and signature. Sync
    functions run in a thread; arguments are checked against the signature. Raises ValueError."""
    from pydantic import PydanticUserError, TypeAdapter, validate_call

    function = _imported(path)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(function)
        parameters = adapter.json_schema()
        checked: Any = validate_call(function)
    except PydanticUserError as error:
        raise ValueError(f"has a signature that makes no schema: {error.message}") from None
    if "properties" not in parameters:
        parameters = {"type": "object", "properties": {}}
    threads = Threads()

    async def run(arguments: Json) -> Any:
        if inspect.iscoroutinefunction(function):
            return await checked(**arguments)
        result = await threads.run(lambda: checked(**arguments))
        return await result if inspect.isawaitable(result) else result

    return run, {"description": inspect.getdoc(function), "parameters": parameters}


def _imported(path: str) -> Any:
    """Raises ValueError."""
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot be imported: {error}") from None
    if not callable(found):
        raise ValueError("is not callable")
    plain = inspect.isroutine(found) or inspect.isclass(found) or isinstance(found, partial)
    return found if plain else found.__call__  # an object with a method that pydantic can read


# --------------------------------------------------------------------------- elsewhere


def endpoint(url: str, headers: Json, key_variable: str | None, secrets: Secrets) -> Run:
    """Arguments are posted as JSON; the body of the answer is the result."""

    async def run(arguments: Json) -> bytes:
        import httpx

        sent = dict(headers)
        if key := await secrets.get(key_variable) if key_variable else None:
            sent["authorization"] = f"Bearer {key}"
        async with (
            httpx.AsyncClient(timeout=None, verify=_ssl_context()) as client,
            client.stream("POST", url, json=arguments, headers=sent) as reply,
        ):
            body = bytearray()
            async for piece in reply.aiter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise RuntimeError(f"the endpoint answered with more than {MAX_ANSWER_BYTES} bytes")
        if not reply.is_success:
            said = body[:500].decode(errors="replace")
            raise RuntimeError(f"the endpoint answered {reply.status_code}: {said}")
        return bytes(body)

    return run


@cache
def _ssl_context() -> ssl.SSLContext:
    """Made once a process: it reads all certificates of the system."""
    import httpx

    return httpx.create_ssl_context()


def aws_lambda(arn: str, timeout: float) -> Run:
    """Arguments are the function's event; what it returns is the result."""
    threads = Threads()

    def invoke(arguments: Json) -> bytes:
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=2, read_timeout=timeout, retries={"total_max_attempts": 1})
        client = boto3.client("lambda", region_name=arn.split(":")[3], config=limits)
        answer = client.invoke(FunctionName=arn, Payload=orjson.dumps(arguments))
        payload: bytes = answer["Payload"].read()
        if "FunctionError" in answer:
            raise RuntimeError(f"the function failed: {payload[:500].decode(errors='replace')}")
        return payload

    return lambda arguments: threads.run(lambda: invoke(arguments))
