"""What a turn works with, made once by a composition root and passed on; nothing here is global."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..routing import Router
from ..sealing import Sealer
from ..secrets import Secrets
from ..settings import Settings
from ..store.base import Store
from ..telemetry import NoTelemetry, Telemetry
from ..upstream.breaker import Breaker
from ..upstream.client import Upstream
from ..upstream.guard import Lookup, system_lookup
from ..upstream.retry import RetryBudget
from .admission import Turns
from .hosted_tools import HostedTools
from .middleware import Middlewares


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    router: Router
    secrets: Secrets
    store: Store
    upstream: Upstream
    tools: HostedTools = field(default_factory=HostedTools)
    retry_budget: RetryBudget = field(default_factory=RetryBudget)
    clock: Callable[[], float] = time.time
    telemetry: Telemetry = field(default_factory=NoTelemetry)
    sealer: Sealer = field(kw_only=True)
    mcp: Sequence[dict[str, Any]] = field(kw_only=True, default=())  # the `[[mcp]]` rows
    mcp_lists: dict[bytes, tuple[float, list[dict[str, Any]]]] = field(kw_only=True, default_factory=dict)
    lookup: Lookup = field(kw_only=True, default=system_lookup)  # of the hosts of MCP servers in requests
    middlewares: Middlewares = field(kw_only=True, default_factory=Middlewares)
    breaker: Breaker = field(kw_only=True, default_factory=Breaker)
    turns: Turns = field(kw_only=True, default_factory=Turns)
