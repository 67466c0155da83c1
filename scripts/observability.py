"""The tables of docs/observability.md: metrics, log lines and spans as the code has them."""

from __future__ import annotations

from openresponses import logs, metrics, prometheus, spans

Row = tuple[str, ...]


def metric_rows() -> list[Row]:
    """Name in CloudWatch, name in Prometheus, what it is counted by, meaning."""
    rows: list[Row] = [
        (f"`{row.name}`", f"`{row.prometheus}`", ", ".join(row.labels), row.meaning)
        for row in metrics.METRICS
    ]
    gauges = prometheus.GAUGES.items()
    return rows + [("", f"`{name}`", ", ".join(labels), meaning) for name, (labels, meaning) in gauges]


def field_rows() -> list[Row]:
    """What every line of a request carries."""
    return [(f"`{name}`", meaning) for name, meaning in logs.FIELDS.items()]


def attribute_rows(line: str) -> list[Row]:
    """What one of the lines carries besides."""
    return [(f"`{row.name}`", row.meaning) for row in spans.LINES[line]]
