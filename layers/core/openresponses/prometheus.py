"""`GET /metrics` of the local server: the table of `metrics` for Prometheus, in a registry of the app's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from . import __version__, metrics
from .telemetry import SampleReport, ToolReport, TurnReport

# Upper ends in seconds: from an answer out of a cache to a turn of ten minutes.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
# Read when Prometheus asks, not counted: name → labels, meaning.
GAUGES = {
    "openresponses_in_flight": ((), "Turns that run now"),
    "openresponses_circuit_open": (
        ("provider",),
        "1 while the provider is left alone, 0 while it is watched",
    ),
    "openresponses_build_info": (("version",), "1, by the version that runs"),
}


class PrometheusTelemetry:
    """A Telemetry, and the page that is made of it. Counts since the start, in memory."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._metrics = {row.name: _metric(row, self._registry) for row in metrics.METRICS}
        gauges = {
            name: Gauge(name, meaning, labels, registry=self._registry)
            for name, (labels, meaning) in GAUGES.items()
        }
        gauges["openresponses_build_info"].labels(__version__).set(1)
        self._in_flight = gauges["openresponses_in_flight"]
        self._circuits = gauges["openresponses_circuit_open"]
        self._circuit_states: Callable[[], Iterable[tuple[str, bool]]] = lambda: ()

    def watch(self, in_flight: Callable[[], int], circuits: Callable[[], Iterable[tuple[str, bool]]]) -> None:
        """Where the gauges are read."""
        self._in_flight.set_function(in_flight)
        self._circuit_states = circuits

    def page(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type, in the format that `accept`, the request's header, asks for."""
        self._circuits.clear()
        for provider, is_open in self._circuit_states():
            self._circuits.labels(provider).set(is_open)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    # ---------------------------------------------------------------- Telemetry

    def turn_ended(self, report: TurnReport) -> None:
        self._add(metrics.of_turn(report), metrics.labels_of(report))

    def sample_ended(self, report: SampleReport) -> None:
        """Its tokens are the turn's."""

    def tool_ended(self, report: ToolReport) -> None:
        self._add(metrics.of_tool(report), {"kind": report.kind})

    def counted(self, metric: str, provider: str, model: str) -> None:
        self._add({metric: 1}, {"provider": provider, "model": model})

    def _add(self, values: dict[str, float], labels: dict[str, str]) -> None:
        for name, value in values.items():
            scaled = value * metrics.UNITS[metrics.BY_NAME[name].unit][1]
            child = self._metrics[name].labels(**labels)
            if isinstance(child, Histogram):
                child.observe(scaled)
            else:
                child.inc(scaled)


def _metric(row: metrics.Metric, registry: CollectorRegistry) -> Any:
    if row.unit == "Milliseconds":
        return Histogram(row.prometheus, row.meaning, row.labels, registry=registry, buckets=BUCKETS)
    return Counter(row.prometheus, row.meaning, row.labels, registry=registry)
