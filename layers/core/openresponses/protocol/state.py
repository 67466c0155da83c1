"""Provider state: what only its own provider can read, carried in a reasoning item's `encrypted_content`.

Signatures, redacted thinking and encrypted reasoning must come back to their provider byte for byte and must never
reach another one. So the token names its provider: `or1.<provider>.<base64url of JSON>`. Content without that tag is
OpenAI's own.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

# What a state must be like: a type, [what each is like], {name: what it is like}, (one, or another). A name with "?"
# may be absent.
Shape = type | list[Any] | dict[str, Any] | tuple[Any, ...]
TAG = "or1."
UNTAGGED_PROVIDER = "openai"


def seal(provider: str, payload: dict[str, Any] | str) -> str:
    """The token for `payload`; OpenAI's own strings stay as they are."""
    if isinstance(payload, str) and provider == UNTAGGED_PROVIDER:
        return payload
    return f"{TAG}{provider}.{base64.urlsafe_b64encode(orjson.dumps(payload)).decode()}"


def unseal(token: str) -> tuple[str, Any] | None:
    """(provider, payload) of a token; None if it bears our tag but is damaged."""
    if not token.startswith(TAG):
        return UNTAGGED_PROVIDER, token
    provider, _, data = token[len(TAG) :].partition(".")
    try:
        return provider, orjson.loads(base64.urlsafe_b64decode(data))
    except (binascii.Error, ValueError):
        return None


def fits(value: Any, shape: Shape) -> bool:
    """Whether a payload has the shape. Tokens pass through clients: anyone can make one."""
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            fits(value[name], of) if (name := key.rstrip("?")) in value else name != key
            for key, of in shape.items()
        )
    return isinstance(value, shape)
