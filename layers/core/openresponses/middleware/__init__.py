"""The middlewares that ship, by name, and those of an operator's own, as the configuration file asks for them.

What a middleware is, engine/middleware.py says; each file here is one, and an example of how to write one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from ..engine.middleware import Middlewares, Placed
from ..settings import SettingsError

Json = dict[str, Any]

SHIPPED = {
    "request_log": "request_log:RequestLog",
    "budget": "budget:Budget",
    "rate_limit": "rate_limit:RateLimit",
    "concurrency": "concurrency:Concurrency",
    "models": "models:Models",
    "content_filter": "content_filter:ContentFilter",
    "response_cache": "response_cache:ResponseCache",
}
ROW_FIELDS = ("use", "python", "tenants")  # of every row; the others are the middleware's own options


def load_middlewares(rows: Iterable[Json]) -> Middlewares:
    """The middlewares of the `[[middleware]]` rows, made with their options. Raises SettingsError."""
    return Middlewares(_placed(number, row) for number, row in enumerate(rows, 1))


def _placed(number: int, row: Json) -> Placed:
    place = f"[[middleware]] number {number}: "
    options = {name: value for name, value in row.items() if name not in ROW_FIELDS}
    try:
        made = _class(row)(**_bound(_class(row), options))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{place}{error}.") from None
    return Placed(made, row.get("tenants"))


def _class(row: Json) -> Any:
    """Raises ValueError."""
    if "python" in row:
        module, _, name = row["python"].partition(":")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"python = {row['python']!r} cannot be imported: {error}") from None
        if not inspect.isclass(found):
            raise ValueError(f"python = {row['python']!r} is not a class")
        return found
    if row["use"] not in SHIPPED:
        raise ValueError(f"use: must be one of {', '.join(SHIPPED)}")
    module, _, name = SHIPPED[row["use"]].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), name)


def _bound(kind: Any, options: Json) -> Json:
    """The options, if the class takes them. Raises ValueError that names the first one that it does not."""
    known = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return options
    if unknown := [name for name in options if name not in known]:
        raise ValueError(f"{unknown[0]}: unknown; the options are {', '.join(known) or 'none'}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise ValueError(f"{name}: is missing")
    return options
