"""Content parts of the protocol → Anthropic's content blocks.

input_text, output_text, refusal, ...   text (empty and blank text is left out: Anthropic refuses it)
input_image                             image: base64 from a data URL, or https by URL
input_file                              document: PDF as base64 or by https URL, text as text; an image as image
input_audio, input_video                400: the API takes neither
file_id                                 400: the file lies with another provider
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from ...protocol.errors import ApiError

Json = dict[str, Any]

TEXT_KEYS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
    (b"%PDF", "application/pdf"),
)
TEXT_TYPES = frozenset(
    {
        *(
            "application/json",
            "application/xml",
            "application/yaml",
            "application/x-yaml",
            "application/toml",
        ),
        *("application/javascript", "application/x-sh", "application/sql", "application/x-ndjson"),
    }
)
TEXT_SUFFIXES = (
    *(".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".htm", ".css", ".tex", ".log"),
    *(".yaml", ".yml", ".toml", ".ini", ".py", ".js", ".ts", ".java", ".c", ".h", ".cpp", ".go", ".rs"),
    *(".rb", ".sh", ".sql"),
)


def blocks(parts: Any, param: str) -> list[Json]:
    """The blocks of a content list (or a string); `param` is its path. Raises ApiError for what has no place."""
    if isinstance(parts, str):
        return text(parts)
    return [block for place, part in enumerate(parts or ()) for block in _block(part, f"{param}[{place}]")]


def text(value: str) -> list[Json]:
    """A text block; none for blank text."""
    return [{"type": "text", "text": value}] if value and not value.isspace() else []


def plain(parts: Any, param: str) -> str:
    """The text of content that may hold nothing else (system messages, assistant messages)."""
    if isinstance(parts, str):
        return parts
    pieces = []
    for place, part in enumerate(parts or ()):
        key = TEXT_KEYS.get(part.get("type"))
        if key is None:
            raise _unsupported(f"{param}[{place}]", f"A part of type '{part.get('type')}' cannot stand here")
        pieces.append(part.get(key) or "")
    return "".join(pieces)


def _block(part: Json, param: str) -> list[Json]:
    kind = part.get("type")
    if kind in TEXT_KEYS:
        return text(part.get(TEXT_KEYS[kind]) or "")
    if kind == "input_image":
        return [_image(part, param)]
    if kind == "input_file":
        return [_file(part, param)]
    raise _unsupported(param, f"Content of type '{kind}' is not supported by Anthropic")


def _image(part: Json, param: str) -> Json:
    url = part.get("image_url")
    if isinstance(url, dict):  # the form of Chat Completions, which some clients send
        url = url.get("url")
    if not url:
        raise _unsupported(
            f"{param}.file_id", "Images by 'file_id' are not supported by Anthropic; send 'image_url'"
        )
    param = f"{param}.image_url"
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": _https(url, param)}}
    media, data, raw = _data_url(url, param)
    return _image_block(_sniffed(raw, media), data, param)


def _image_block(media: str, data: str, param: str) -> Json:
    media = "image/jpeg" if media == "image/jpg" else media
    if media not in IMAGE_TYPES:
        raise _unsupported(param, f"Images of type '{media}' are not supported by Anthropic")
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}


def _file(part: Json, param: str) -> Json:
    name = part.get("filename")
    if data := part.get("file_data"):
        return _file_data(data, name, f"{param}.file_data")
    if url := part.get("file_url"):
        return _titled(_file_url(url, f"{param}.file_url"), name)
    raise _unsupported(
        f"{param}.file_id",
        "Files by 'file_id' are not supported by Anthropic; send 'file_data' or 'file_url'",
    )


def _file_url(url: str, param: str) -> Json:
    path = urlsplit(_https(url, param)).path.lower()
    if path.endswith(TEXT_SUFFIXES):
        raise _unsupported(
            param, "Anthropic fetches only PDFs and images by URL; send a text file as 'file_data'"
        )
    kind = "image" if path.endswith(IMAGE_SUFFIXES) else "document"
    return {"type": kind, "source": {"type": "url", "url": url}}


def _file_data(value: str, name: str | None, param: str) -> Json:
    if value.startswith("data:"):
        media, data, raw = _data_url(value, param)
    else:
        media, data, raw = "", value, _decoded(value, param)
    media = _sniffed(raw, media)
    if media == "application/pdf":
        source = {"type": "base64", "media_type": media, "data": data}
        return _titled({"type": "document", "source": source}, name)
    if media.startswith("image/"):
        return _image_block(media, data, param)
    if media.startswith("text/") or media in TEXT_TYPES or (name or "").lower().endswith(TEXT_SUFFIXES):
        source = {"type": "text", "media_type": "text/plain", "data": _utf8(raw, param)}
        return _titled({"type": "document", "source": source}, name)
    raise _unsupported(param, f"Files of type '{media or name or 'unknown'}' are not supported by Anthropic")


def _titled(block: Json, name: str | None) -> Json:
    return {**block, "title": name[:500]} if name and block["type"] == "document" else block


def _sniffed(raw: bytes, media: str) -> str:
    """What the bytes are: clients mislabel images, and Anthropic refuses a label that is wrong."""
    return next((found for magic, found in MAGIC if raw.startswith(magic)), media)


def _data_url(url: str, param: str) -> tuple[str, str, bytes]:
    """(media type, base64, bytes) of a data URL."""
    head, comma, data = url[5:].partition(",")
    media, *flags = head.split(";")
    if not comma:
        raise ApiError("invalid_value", f"'{param}' is not a valid data URL.", param=param)
    if "base64" in flags:
        return media.lower(), data, _decoded(data, param)
    raw = unquote_to_bytes(data)
    return media.lower() or "text/plain", base64.b64encode(raw).decode(), raw


def _decoded(data: str, param: str) -> bytes:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("invalid_value", f"'{param}' is not valid base64.", param=param) from None
    if not raw:
        raise ApiError("invalid_value", f"'{param}' is empty.", param=param)
    return raw


def _utf8(raw: bytes, param: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ApiError("invalid_value", f"'{param}' is not UTF-8 text.", param=param) from None


def _https(url: str, param: str) -> str:
    if not url.lower().startswith("https://"):
        raise ApiError("invalid_value", f"'{param}' must be a data URL or an https URL.", param=param)
    return url


def _unsupported(param: str, message: str) -> ApiError:
    return ApiError("unsupported_value", f"{message} ('{param}').", param=param)
