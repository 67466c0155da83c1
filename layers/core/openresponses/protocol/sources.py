"""Where images and files come from: a URL of a scheme that providers read, or base64 that can be read.

Nothing is fetched. The gateway passes URLs on untouched, so a scheme that only means something on
this machine is refused here.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .errors import ApiError

Json = dict[str, Any]

SCHEMES = ("https://", "http://", "gs://", "s3://")
# Part -> the fields of which it needs one, and those that hold a URL or a data URL.
SOURCES = {
    "input_image": (("image_url", "file_id"), ("image_url",)),
    "input_file": (("file_data", "file_url", "file_id"), ("file_url",)),
    "input_video": (("video_url",), ("video_url",)),
}
# Items whose parts are checked to be parts; a message may lack its type.
WITH_PARTS = (None, "message", "function_call_output", "custom_tool_call_output")


def check_sources(given: str | list[Json] | None, name: str = "input") -> None:
    """Raises ApiError naming the first image, file, audio or video of the items `name` that has no readable source."""
    if not isinstance(given, list):
        return
    for index, item in enumerate(given):
        for place, part in _parts(item, f"{name}[{index}]"):
            if part["type"] in SOURCES:
                _check_part(part, place)
            elif part["type"] == "input_audio":
                _check_base64(part["input_audio"]["data"], f"{place}.input_audio.data")


def _parts(item: Json, place: str) -> Iterator[tuple[str, Json]]:
    if item.get("type") not in WITH_PARTS:
        return
    for field in ("content", "output"):
        parts = item.get(field)
        if isinstance(parts, list):
            for index, part in enumerate(parts):
                if isinstance(part, dict) and "type" in part:
                    yield f"{place}.{field}[{index}]", part


def _check_part(part: Json, place: str) -> None:
    needed, urls = SOURCES[part["type"]]
    if not any(part.get(field) for field in needed):
        path = f"{place}.{needed[0]}"
        raise ApiError("missing_required_parameter", f"Missing required parameter: '{path}'.", param=path)
    for field in urls:
        if part.get(field):
            _check_url(part[field], f"{place}.{field}")
    data = part.get("file_data")
    if data:
        path = f"{place}.file_data"
        _check_url(data, path) if data.startswith("data:") else _check_base64(data, path)


def _check_url(url: str, place: str) -> None:
    if url[:5].lower() == "data:":
        head, comma, data = url.partition(",")
        if not comma:
            raise ApiError("invalid_value", f"'{place}' is a data URL without data.", param=place)
        if head.lower().endswith(";base64"):
            _check_base64(data, place)
    elif not url.lower().startswith(SCHEMES) or not _is_split(url):
        raise ApiError("invalid_value", f"'{place}' must be an https URL or a data URL.", param=place)


def _is_split(url: str) -> bool:
    try:
        return bool(urlsplit(url))
    except ValueError:  # brackets that are no IPv6 address
        return False


def _check_base64(data: str, place: str) -> None:
    try:
        valid = bool(data) and bool(binascii.a2b_base64(data, strict_mode=True))
    except ValueError:  # not ASCII, or not base64
        valid = False
    if not valid:
        raise ApiError("invalid_value", f"'{place}' is not valid base64.", param=place)
