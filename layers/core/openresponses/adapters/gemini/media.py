"""Images, files, audio and video as Gemini's parts: inlineData, fileData, or text.

Source: https://ai.google.dev/gemini-api/docs/file-input-methods.
"""

from __future__ import annotations

import mimetypes
import re
from urllib.parse import urlsplit

from ...protocol.errors import ApiError
from ..base import Json
from ..messages import Part, read_data_url, read_file, unsupported

FILES_API = "https://generativelanguage.googleapis.com/v1beta/"
FILE_NAME = re.compile(r"files/[a-z0-9-]{1,40}")
# What an address without a telling end is taken for.
DEFAULT_TYPES = {"input_image": "image/jpeg", "input_audio": "audio/mpeg", "input_video": "video/mp4"}
AUDIO_FORMATS = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
}
# Text under another name.
TEXT_TYPES = {"application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml",
              "application/javascript", "application/x-javascript", "application/x-sh", "application/sql"}  # fmt: skip
MEDIA = ("image/", "audio/", "video/", "text/")
# What may stand inside a function response; other media follow it.
IN_RESULTS = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}


def media_part(part: Part, *, url_input: bool) -> Json:
    """An image, file, audio or video part as Gemini's. Raises ApiError for what Gemini cannot be given."""
    content, kind = part.part, part.part["type"]
    if kind == "input_audio":
        audio = content["input_audio"]
        return _inline(AUDIO_FORMATS.get(audio["format"], f"audio/{audio['format']}"), audio["data"])
    named = mimetypes.guess_type(content.get("filename") or "")[0]
    if content.get("file_id"):
        return _file(content["file_id"], f"{part.path}.file_id", named or "", url_input=True)
    if content.get("file_data") and (found := read_file(part)):
        return _checked(found.mime, found.data, f"{part.path}.file_data")
    field = {"input_image": "image_url", "input_video": "video_url"}.get(kind, "file_url")
    place, url = f"{part.path}.{field}", content.get(field)
    if not url:
        raise ApiError("missing_required_parameter", f"'{part.path}' has no content.", param=place)
    if data := read_data_url(url, place):
        return _checked(data.mime, data.data, place)
    return _file(url, place, named or DEFAULT_TYPES.get(kind, ""), url_input=url_input, named=bool(named))


def mime_of(part: Json) -> str:
    """The type of a media part made here."""
    data: Json = part.get("inlineData") or part["fileData"]
    return str(data.get("mimeType", ""))


def _checked(mime: str, data: str, place: str) -> Json:
    if mime in TEXT_TYPES or (mime.endswith(("+json", "+xml")) and not mime.startswith(MEDIA)):
        mime = "text/plain"
    if not mime.startswith(MEDIA) and mime != "application/pdf":
        raise unsupported(place, f"a file of type {mime or 'unknown'!r:.80}")
    return _inline(mime, data)


def _inline(mime: str, data: str) -> Json:
    return {"inlineData": {"mimeType": mime, "data": data}}


def _file(uri: str, place: str, default: str, *, url_input: bool, named: bool = True) -> Json:
    """A file that Google reads itself: of its Files API, of Cloud Storage, on YouTube, or at an https URL.

    `default`: its type where the address does not tell it; `named`: because the file's name does.
    """
    if FILE_NAME.fullmatch(uri):
        uri = FILES_API + uri
    address = urlsplit(uri)
    if place.endswith("file_id") and not uri.startswith(("gs://", FILES_API)):
        raise unsupported(place, "a file id that is not Gemini's ('files/...')")
    if address.scheme not in ("gs", "https"):
        raise unsupported(place, "a file at this address: Gemini reads data:, https: and gs: URLs")
    google = address.scheme == "gs" or uri.startswith(FILES_API) or _is_youtube(address.hostname or "")
    if not google and not url_input:
        raise unsupported(place, "a file by URL; send it as a data URL")
    guessed = (
        "" if uri.startswith(FILES_API) and not named else default
    )  # its Files API knows the type itself
    mime = mimetypes.guess_type(address.path)[0] or guessed
    mime = mime.replace("/x-wav", "/wav")  # Python's name of it, which Gemini does not know
    return {"fileData": {**({"mimeType": mime} if mime else {}), "fileUri": uri}}


def _is_youtube(host: str) -> bool:
    return host == "youtu.be" or host == "youtube.com" or host.endswith(".youtube.com")
