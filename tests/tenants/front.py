"""Two tenants at one front door."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from .owned import Owned


@dataclass
class Front:
    """`first` owns what is `owned`; `second` tries to reach it. `bearers`: their headers, where keys are checked."""

    first: httpx.Client
    second: httpx.Client
    owned: Owned
    bearers: list[dict[str, str]] = field(default_factory=list)
