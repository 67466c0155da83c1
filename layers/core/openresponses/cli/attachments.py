"""Images and files as content parts: by URL as they are, from the disk within the request."""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import Any

from .base import CommandError

Json = dict[str, Any]

URLS = ("https://", "http://", "data:")


def image_part(given: str) -> Json:
    """Raises CommandError where the file is none."""
    if given.startswith(URLS):
        return {"type": "input_image", "image_url": given}
    data = read_bytes(given)
    kind = mimetypes.guess_type(given)[0] or ""
    if not kind.startswith("image/"):
        raise CommandError(f"{given} does not look like an image: give a .png, .jpg, .gif or .webp file")
    return {"type": "input_image", "image_url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}


def file_part(given: str) -> Json:
    """Raises CommandError where the file cannot be read."""
    if given.startswith(URLS):
        return {"type": "input_file", "file_url": given}
    data = read_bytes(given)
    kind = mimetypes.guess_type(given)[0] or "application/octet-stream"
    encoded = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "input_file", "filename": Path(given).name, "file_data": encoded}


def message(text: str, parts: list[Json]) -> str | list[Json]:
    """The input of a turn: a text, and what is attached to it."""
    if not parts:
        return text
    said = [{"type": "input_text", "text": text}] if text else []
    return [{"type": "message", "role": "user", "content": [*parts, *said]}]


def read_bytes(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None


def read_json(path: str) -> Any:
    """The JSON in a file; - is standard input. Raises CommandError."""
    import sys

    try:
        text = sys.stdin.buffer.read() if path == "-" else read_bytes(path)
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{'standard input' if path == '-' else path} is not JSON: {error}") from None


def read_tools(path: str) -> list[Json]:
    """A list of tools, or one tool. Raises CommandError."""
    found = read_json(path)
    tools = found if isinstance(found, list) else [found]
    if not all(isinstance(tool, dict) and isinstance(tool.get("type"), str) for tool in tools):
        raise CommandError(
            f'{path} holds no tools: write [{{"type": "function", "name": …, "parameters": …}}]'
        )
    return tools


def read_schema(path: str) -> Json:
    """The response format of a JSON Schema, or of a file that is a whole format. Raises CommandError."""
    import re

    found = read_json(path)
    if not isinstance(found, dict):
        raise CommandError(f"{path} holds no JSON Schema: it is an object")
    if isinstance(found.get("schema"), dict) and "name" in found:
        return {"type": "json_schema", **found}
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", Path(path).stem)[:64] or "answer"
    return {"type": "json_schema", "name": name, "schema": found, "strict": True}
