"""What an MCP server answers, as the client's items tell it and as the model is given it."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..tool_results import as_text

if TYPE_CHECKING:
    from mcp_types import CallToolResult

Json = dict[str, Any]

MAX_IMAGE = 5 << 20  # characters of base64; models take no more
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@dataclass(frozen=True, slots=True)
class Result:
    """`output` is text; `error` one of OpenAI's three kinds, or None. `images` are parts for the model."""

    output: str | None
    error: Json | None = None
    images: list[Json] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """The kind of failure in the words of OpenTelemetry's `error.type`, None for none: `tool_error`, or a code."""
        if self.error is None:
            return None
        return "tool_error" if "content" in self.error else str(self.error["code"])

    def fields(self) -> Json:
        """Of the item `mcp_call`."""
        return {"output": self.output, "error": self.error}


def failed(message: str, *, code: int, protocol: bool = False) -> Result:
    """A call that came to no result. `code`: JSON-RPC's where the server said so (`protocol`), else HTTP's."""
    kind = "mcp_protocol_error" if protocol else "http_error"
    return Result(None, {"type": kind, "code": code, "message": message})


def result_of(answer: CallToolResult) -> Result:
    """A tool's own answer: its text, cut where it is too long, its images, and a note of what is neither."""
    lines: list[str] = []
    images: list[Json] = []
    for block in answer.content:
        lines.append(_line(block, images))
    if not lines and answer.structured_content is not None:
        lines.append(as_text(answer.structured_content))
    text = as_text("\n".join(lines))
    if answer.is_error:
        return Result(None, {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]})
    return Result(text, None, images)


def _is_seen(image: Any) -> bool:
    """Whether models take the image: one that none does would fail the turn, not the call."""
    if len(image.data) > MAX_IMAGE or image.mime_type not in IMAGES:
        return False
    try:
        return bool(b64decode(image.data, validate=True))
    except ValueError:
        return False


def _line(block: Any, images: list[Json]) -> str:
    """The block as text. An image is one of the model's parts besides."""
    if block.type == "text":
        return str(block.text)
    if block.type == "image" and _is_seen(block):
        images.append({"type": "input_image", "image_url": f"data:{block.mime_type};base64,{block.data}"})
    if block.type in ("image", "audio"):
        return f"[{block.type}: {block.mime_type}, {len(block.data) * 3 // 4} bytes]"
    if block.type == "resource_link":
        return f"[resource: {block.name}, {block.uri}]"
    resource = block.resource
    if (text := getattr(resource, "text", None)) is not None:
        return str(text)
    return f"[resource: {resource.uri}, {len(resource.blob) * 3 // 4} bytes that are not text]"


def told(item: Json) -> str:
    """What a call's item says to a model that is given its text alone."""
    error = item.get("error")
    if not error:
        return item.get("output") or ""
    if isinstance(error, str):
        return f"Error: {error}"
    if "content" in error:
        parts = error["content"] if isinstance(error["content"], list) else []
        return "Error: " + "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))
    return f"Error: {error.get('message', 'the call failed')}"
