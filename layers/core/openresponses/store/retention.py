"""How long what a tenant says is kept: the limits of an API key may ask for less than the deployment keeps, or more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol.errors import ApiError

Json = dict[str, Any]


MOST_DAYS = 36_525  # a century; more would pass the end of what stores can date


@dataclass(frozen=True, slots=True)
class Retention:
    """lifetime  seconds that a response or conversation lives after its last use; None: as the deployment's
    nothing   whether nothing at all is kept: every request is as with `store: false`
    """

    lifetime: int | None = None
    nothing: bool = False

    @classmethod
    def of(cls, limits: Mapping[str, Any]) -> Retention:
        """What an API key's limits say: `retention_days`, a number above 0, and `zero_retention`. Raises ApiError for
        what cannot be understood: to keep too much would be the worse mistake."""
        days, nothing = limits.get("retention_days"), limits.get("zero_retention", False)
        known = days is None or (type(days) in (int, float) and 0 < days <= MOST_DAYS)
        if not known or not isinstance(nothing, bool):
            raise ApiError("server_error", "The retention limits of this API key cannot be understood.")
        return cls(None if days is None else max(1, int(days * 86400)), nothing)

    def applied(self, body: Json) -> Json:
        """The body of a create request, as this tenant may ask it."""
        return {**body, "store": False} if self.nothing else body

    def require_storage(self) -> None:
        """Raises ApiError where a request has no meaning but to store something."""
        if self.nothing:
            raise ApiError(
                "permission_denied", "Nothing is stored for this API key: it has no conversations."
            )


DEPLOYMENTS = Retention()
