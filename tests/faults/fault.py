"""A row of the matrix: what the provider does, and how that ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .outcomes import End
from .wire import DIALECTS, Dialect, Make

INVALID, UNAVAILABLE, SILENT = "provider_invalid_response", "provider_unavailable", "provider_timeout"
Ends = Mapping[str, End]


@dataclass(frozen=True)
class Fault:
    """
    name      what the provider does
    answer    the bytes that do it; None: nobody listens there
    end       how that ends
    but       dialects that end otherwise
    silent    whether the gateway's time limits have a part in it
    only      dialects that can do this; None: all
    """

    name: str
    answer: Make | None
    end: End
    but: Ends = field(default_factory=dict)
    silent: bool = False
    only: tuple[str, ...] | None = None

    def dialects(self) -> list[Dialect]:
        return [dialect for name, dialect in DIALECTS.items() if self.only is None or name in self.only]

    def end_of(self, dialect: Dialect) -> End:
        return self.but.get(dialect.name, self.end)
