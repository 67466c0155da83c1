"""The runtime's life: load the app, start it, then serve one invocation after the other on one event loop.

The loop runs only while an invocation does. So the app's connections live on from one to the next, and nothing of it
runs, or misses a beat, while Lambda has the process frozen.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import signal
import sys
import time
from typing import Any, cast

from mangum.protocols import LifespanCycle
from mangum.types import ASGI, Receive, Scope, Send

from lambda_stream import events
from lambda_stream.cycle import StreamingCycle
from lambda_stream.runtime_api import Failure, Invocation, RuntimeApi, RuntimeApiError

# Seconds before the deadline at which an app that has not kept it is cut off.
MARGIN = 1.0


def main() -> None:
    """Runs until the process is ended. Reads AWS_LAMBDA_RUNTIME_API and _HANDLER (`module.name` of an ASGI app)."""
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda _, told: log(told["message"], told.get("exception")))
    logging.getLogger("mangum.http").disabled = True  # what it would say is logged here, without the message
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        app = load(os.environ["_HANDLER"])
        lifespan = LifespanCycle(app, "auto")
        lifespan.__enter__()
    except Exception as error:
        log("The function could not be started.", error, detail=str(error))
        api.fail_init(Failure.of(error, kind="Init", message=str(error)))
        sys.exit(1)
    runtime = Runtime(api, app, loop, lifespan.lifespan_state)
    try:
        while True:
            runtime.serve(api.next())
    finally:
        lifespan.__exit__(None, None, None)


def load(handler: str) -> ASGI:
    """The ASGI app that `package/module.name` names. Raises ImportError, AttributeError, and what its import does."""
    module, _, name = handler.replace("/", ".").rpartition(".")
    return cast(ASGI, getattr(importlib.import_module(module), name))


class Runtime:
    """Serves invocations, one at a time. Made when the app has started: tasks of that time may stay."""

    def __init__(
        self, api: RuntimeApi, app: ASGI, loop: asyncio.AbstractEventLoop, state: dict[str, Any]
    ) -> None:
        self._api = api
        self._app = app
        self._loop = loop
        self._state = state
        self._resident = asyncio.all_tasks(loop)

    def serve(self, invocation: Invocation) -> None:
        """Answers one invocation; returns when all of its work is done. Whatever the app does, the next can come."""
        try:
            self._answer(invocation)
        except RuntimeApiError as error:
            log("Lambda refused an answer.", error, invocation, detail=str(error))
        except Exception as error:
            log("The invocation failed.", error, invocation)
            self._api.fail(invocation, Failure.of(error))
        self._loop.run_until_complete(self._settle(invocation))

    def _answer(self, invocation: Invocation) -> None:
        try:
            reader = events.reader_of(invocation.event, invocation)
        except events.UnknownEvent:
            self._api.respond(invocation, events.answer_unknown())
            return
        app = self._prepared(invocation)
        if events.can_stream(invocation.event):
            cycle = StreamingCycle(reader, lambda: self._api.stream(invocation))
            if error := self._loop.run_until_complete(cycle.run(app)):
                log("The invocation failed in mid-answer.", error, invocation)
        else:
            self._api.respond(invocation, events.answer_buffered(app, invocation))

    def _prepared(self, invocation: Invocation) -> ASGI:
        """The app, told about the invocation, and cut off (TimeoutError) where it does not keep the deadline."""
        extra = events.scope_of(invocation, self._state)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async with asyncio.timeout_at(self._until(invocation)):
                await self._app({**scope, **extra}, receive, send)

        return app

    async def _settle(self, invocation: Invocation) -> None:
        """Waits for what the app left running; what is not done by the deadline is cancelled."""
        own = {asyncio.current_task()}
        while left := asyncio.all_tasks() - self._resident - own:
            done, late = await asyncio.wait(left, timeout=max(0, self._until(invocation) - self._loop.time()))
            for task in late:
                task.cancel()
            for task in done:
                if not task.cancelled() and (error := task.exception()):
                    log("Work after the answer failed.", error, invocation)
            if late:
                log(f"{len(late)} tasks were cut off at the deadline.", None, invocation)
                await asyncio.wait(late, timeout=MARGIN / 2)
                break
        for _ in range(3):  # connections that were just closed are taken down in the loop's next rounds
            await asyncio.sleep(0)

    def _until(self, invocation: Invocation) -> float:
        """The event loop's time at which the app must be done."""
        return self._loop.time() + invocation.get_remaining_time_in_millis() / 1000 - MARGIN


def log(
    message: str, error: BaseException | None, invocation: Invocation | None = None, detail: str = ""
) -> None:
    """One line of JSON on stderr. Of the error only what cannot quote a request."""
    line: dict[str, Any] = {"level": "ERROR" if error else "WARNING", "message": message, "time": time.time()}
    if invocation:
        line["request_id"] = invocation.aws_request_id
    if error:
        line["error"] = json.loads(Failure.of(error, message=detail).body)
    print(json.dumps(line), file=sys.stderr, flush=True)
