"""A provider's error body, in any of the shapes that OpenAI-compatible servers and Ollama use, as ours.

    {"error": {"message", "type", "code"}}     OpenAI and most others; Gemini's wraps it in a list
    {"error": "..."}                           Ollama, xAI (with "code")
    {"message": ...}, {"detail": ...}          Mistral, vLLM, FastAPI
    text, HTML                                 proxies

The provider's code decides, then its status; its words only where it gives nothing else for what clients branch on.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ..protocol.errors import ApiError
from .base import Json, provider_error

# The provider's `code` or `type` -> ours.
CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "insufficient_quota": "insufficient_quota",
    "billing_hard_limit_reached": "insufficient_quota",
    "credits_exhausted": "insufficient_quota",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "rate_limit_error": "rate_limit_exceeded",
    "tokens": "rate_limit_exceeded",
    "requests": "rate_limit_exceeded",
    "invalid_api_key": "provider_authentication_failed",
    "authentication_error": "provider_authentication_failed",
    "permission_error": "provider_authentication_failed",
    "model_not_found": "model_not_found",
    "model_decommissioned": "model_not_found",
    "invalid_model": "model_not_found",
    "deploymentnotfound": "model_not_found",
    "content_filter": "invalid_prompt",
    "content_policy_violation": "invalid_prompt",
    "invalid_prompt": "invalid_prompt",
    "image_content_policy_violation": "invalid_prompt",
    "bio_policy": "invalid_prompt",
    **dict.fromkeys(
        (
            *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
            *("invalid_image_mode", "image_too_large", "image_too_small", "image_parse_error"),
            *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
            *("failed_to_download_image", "image_file_not_found"),
        ),
        "invalid_value",
    ),
    "vector_store_timeout": "provider_timeout",
    "unsupported_parameter": "unsupported_parameter",
    "unsupported_value": "unsupported_value",
    "missing_required_parameter": "missing_required_parameter",
    "overloaded_error": "server_is_overloaded",
    "server_is_overloaded": "server_is_overloaded",
    "slow_down": "server_is_overloaded",
    "server_overloaded": "server_is_overloaded",
    "service_unavailable": "server_is_overloaded",
    "capacity_exceeded": "server_is_overloaded",
    "engine_overloaded_error": "server_is_overloaded",
    "timeout": "provider_timeout",
    "tool_use_failed": "model_error",
    "json_validate_failed": "model_error",
    "output_parse_failed": "model_error",
}
# Where neither code nor status tells: what servers say, status range -> words -> our code.
WORDS: list[tuple[range, re.Pattern[str], str]] = [
    (
        range(400, 600),
        re.compile(
            r"context (length|window|size)|maximum context|max context|prompt (is )?too long|too many tokens"
            r"|input length exceeds|longer than the model",
            re.IGNORECASE,
        ),
        "context_length_exceeded",
    ),
    (
        range(400, 403),
        re.compile(r"model\b.*\b(not found|does not exist|not exist)|invalid model\b", re.IGNORECASE),
        "model_not_found",
    ),
    (
        range(402, 430),
        re.compile(r"insufficient (balance|credit|quota|funds)", re.IGNORECASE),
        "insufficient_quota",
    ),
    (
        range(500, 501),  # also what a stream says in words alone, as Ollama's does
        re.compile(r"overloaded|(server|too) busy|pending requests exceeded", re.IGNORECASE),
        "server_is_overloaded",
    ),
    (range(500, 501), re.compile(r"too many requests|rate limit", re.IGNORECASE), "rate_limit_exceeded"),
]
TRY_AGAIN = re.compile(r"try again in (?:(\d+)m)?(\d+(?:\.\d+)?)(ms|s)", re.IGNORECASE)
MAX_MESSAGE = 2000


def read_failure(status: int, body: bytes) -> ApiError:
    """An HTTP error reply."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        data = None if text.startswith("<") else text
    return failure(status, data)


def failure(status: int, data: Any) -> ApiError:
    """The error in a JSON value. `status` is HTTP's; in mid-stream, under a 200, the provider's own code tells."""
    error = _error_object(data)
    message = _message(error) or _message(data)
    names = [str(error[key]).lower() for key in ("code", "type") if error.get(key)]
    own_status = next((int(name) for name in names if name.isdigit() and 400 <= int(name) < 600), None)
    if status < 300:
        status = own_status or 500
    code = next((CODES[name] for name in names if name in CODES), None)
    if status == 413 and code == "rate_limit_exceeded":
        code = "request_too_large"  # over a limit that waiting does not raise
    code = code or next(
        (ours for span, words, ours in WORDS if status in span and words.search(message)), None
    )
    return provider_error(status, message[:MAX_MESSAGE], code=code, retry_after=_retry_after(message))


def _error_object(data: Any) -> Json:
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return {"message": data if isinstance(data, str) else ""}
    error = data.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": error, "code": data.get("code")}
    return data


def _message(error: Any) -> str:
    """The words of an error; a list of FastAPI's complaints is told with its places."""
    if isinstance(error, str):
        return error
    if isinstance(error, list):
        return "; ".join(filter(None, map(_message, error)))
    if not isinstance(error, dict):
        return ""
    if "msg" in error:
        return f"{'.'.join(map(str, error.get('loc') or ()))}: {error['msg']}"
    return next((text for key in ("message", "detail", "error") if (text := _message(error.get(key)))), "")


def _retry_after(message: str) -> float | None:
    """Seconds, where the words say them ("Please try again in 1.5s")."""
    if not (found := TRY_AGAIN.search(message)):
        return None
    minutes, number, unit = found.groups()
    return int(minutes or 0) * 60 + float(number) / (1000 if unit.lower() == "ms" else 1)
