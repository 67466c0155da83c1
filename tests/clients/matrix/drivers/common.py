"""What the Python drivers share: the loop that takes tasks and prints results, and the test data.

A driver is a program: each line of its input is a task (a JSON object with `scenario`, `base_url`, `model`, `image`),
each line of its output a result: what the function of that name returned, or the error that it raised.
"""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pydantic

INSTRUCTIONS = "Be brief."
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of a city"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": WEATHER_SCHEMA,
    "strict": True,
}


class Sum(pydantic.BaseModel):
    """What the structured answer holds."""

    addends: list[int]
    total: int


class Weather:
    """The tool, and the cities that it was asked for."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def get_weather(self, city: str) -> str:
        """The weather in a city."""
        self.cities.append(city)
        return f"sunny in {city}"

    @property
    def ran(self) -> list[str]:
        return sorted(self.cities)


def data_url(task: SimpleNamespace) -> str:
    return f"data:image/png;base64,{task.image}"


def serve(namespace: dict[str, Any]) -> None:
    """Runs tasks until the input ends. A client may print what it likes: only our results go to the output."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        task = SimpleNamespace(**json.loads(line))
        result = _run(lambda task: namespace[task.scenario](task), task)
        print(json.dumps(result, default=str), file=out, flush=True)


def _run(function: Callable[[SimpleNamespace], Any], task: SimpleNamespace) -> dict[str, Any]:
    try:
        given = function(task)
        return {"result": asyncio.run(given) if inspect.iscoroutine(given) else given}
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"error": {"kind": type(error).__name__, "message": str(error), "status": status(error),
                          "trace": traceback.format_exc()}}  # fmt: skip


def status(error: BaseException | None) -> int | None:
    """The HTTP status of a client's error, or of the one that it wraps."""
    while error is not None:
        found = getattr(error, "status_code", None)
        if isinstance(found, int):
            return found
        error = error.__cause__
    return None
