"""How a provider is reached: what `routing` finds out, and `client` sends requests to."""

from __future__ import annotations

from typing import NamedTuple

from .sigv4 import Signer


class Endpoint(NamedTuple):
    """The URL that the adapter's paths follow, and the headers, with the key; `signer` where the key is a signature."""

    base_url: str
    headers: dict[str, str]
    signer: Signer | None = None
