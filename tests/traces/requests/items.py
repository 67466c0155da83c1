"""Input items of the Responses API, as a client would write them: what the translations of all dialects share."""

from __future__ import annotations

import base64
import json
from typing import Any

from openresponses.protocol.state import seal

Json = dict[str, Any]


def message(role: str, *parts: Json) -> Json:
    return {"type": "message", "role": role, "content": list(parts)}


def text(role: str, said: str) -> Json:
    return {"type": "output_text" if role == "assistant" else "input_text", "text": said}


def call(call_id: str, name: str, arguments: Any) -> Json:
    given = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": given}


def output(call_id: str, value: Any) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def state(provider: str, payload: Any, summary: str = "") -> Json:
    """A reasoning item with what only its provider can read."""
    told = [{"type": "summary_text", "text": summary}] if summary else []
    return {"type": "reasoning", "summary": told, "encrypted_content": seal(provider, payload)}


def data_url(mime: str, data: str) -> str:
    return f"data:{mime};base64,{data}"


def image(url: str) -> Json:
    return {"type": "input_image", "image_url": url}


def file(mime: str, data: str, name: str | None = None) -> Json:
    """A file with its content in base64."""
    named = {"filename": name} if name else {}
    return {"type": "input_file", **named, "file_data": data_url(mime, data)}


def encoded(plain: str) -> str:
    return base64.b64encode(plain.encode()).decode()


def function(name: str, description: str | None, parameters: Json | None, *, strict: bool = False) -> Json:
    told = {"description": description} if description is not None else {}
    return {"type": "function", "name": name, **told, "parameters": parameters, "strict": strict}


def schema_format(schema: Json, *, name: str = "answer", strict: bool = True, **more: Any) -> Json:
    return {"format": {"type": "json_schema", "name": name, "schema": schema, "strict": strict, **more}}


def joined(items: list[Json]) -> list[Json]:
    """Messages of one role in a row, from one message of the provider's, as one message."""
    found: list[Json] = []
    for item in items:
        if item["type"] == "message" and found and found[-1].get("role") == item["role"]:
            found[-1] = {**found[-1], "content": [*found[-1]["content"], *item["content"]]}
        else:
            found.append(item)
    return found
