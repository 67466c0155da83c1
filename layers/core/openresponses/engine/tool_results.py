"""What a tool that runs here comes to, as text for the model: its result, or what went wrong."""

from __future__ import annotations

import json
from typing import Any

import orjson

from ..adapters.base import redact

MAX_RESULT_BYTES = 256 * 1024
MAX_FAILURE = 1000  # characters


def as_text(result: Any) -> str:
    """A tool's result as the model sees it. Raises what the result's own methods raise."""
    if isinstance(result, bytes):
        try:
            text = result.decode()
        except UnicodeDecodeError:
            return f"Error: the tool returned {len(result)} bytes that are not text."
    else:
        text = result if isinstance(result, str) else _json(result)
    encoded = text.encode(errors="replace")  # a lone surrogate is no text
    if (size := len(encoded)) <= MAX_RESULT_BYTES:
        return encoded.decode()
    kept = encoded[:MAX_RESULT_BYTES].decode(errors="ignore")
    return f"{kept}\n[Cut here: the result has {size} bytes, of which {MAX_RESULT_BYTES} are shown.]"


def failure_text(error: BaseException) -> str:
    """What the model is told of an exception that a tool raised."""
    try:
        said = str(error)
    except Exception:
        said = ""
    text = f"Error: {type(error).__name__}: {said}"
    return redact(text.encode(errors="replace").decode())[:MAX_FAILURE]  # half a secret would not be known


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """What JSON has no form for: a pydantic model, a set, or anything that has a text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, set | frozenset) else str(value)
