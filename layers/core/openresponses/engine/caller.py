"""Who asks, as every front door tells the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..store.retention import Retention


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant; with an API key, its id (never the key) and the limits that it was given."""

    tenant: str
    key_id: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def retention(self) -> Retention:
        """How long what it says is kept. Raises ApiError for limits that cannot be understood."""
        return Retention.of(self.limits)
