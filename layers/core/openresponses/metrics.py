"""The metrics: one table, for CloudWatch (`cloudwatch`), Prometheus (`prometheus`) and docs/observability.md.

By provider and model, where only models that the catalog lists have their names; never by tenant.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .telemetry import OTHER_MODEL, ToolReport, TurnReport

BY_MODEL = ("provider", "model")
BY_KIND = ("kind",)
# A unit as CloudWatch calls it → how Prometheus' name ends, and what a value is multiplied by for it.
UNITS = {"Count": ("_total", 1.0), "Milliseconds": ("_seconds", 0.001), "None": ("_dollars_total", 1.0)}


class Metric(NamedTuple):
    """A row. `name` is CloudWatch's; what is in milliseconds is a histogram, the others are counters."""

    name: str
    unit: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def prometheus(self) -> str:
        """The name in Prometheus."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", self.name).lower()
        return f"openresponses_{words}{UNITS[self.unit][0]}"


METRICS = (
    Metric("Responses", "Count", BY_MODEL, "Turns that ended, however they did"),
    Metric("ResponsesFailed", "Count", BY_MODEL, "Those that failed, before or after their first byte"),
    Metric("ResponsesIncomplete", "Count", BY_MODEL, "Those that ended incomplete"),
    Metric("ResponsesRefused", "Count", BY_MODEL, "Those that were answered with a 4xx: no response was made"),
    Metric("ResponsesCancelled", "Count", BY_MODEL, "Those whose client left, or cancelled them"),
    Metric("Duration", "Milliseconds", BY_MODEL, "From a request's arrival to its end"),
    Metric("TimeToFirstToken", "Milliseconds", BY_MODEL, "From a request's arrival to its first output item"),
    Metric("InputTokens", "Count", BY_MODEL, "As the provider counts them, cached ones included"),
    Metric("OutputTokens", "Count", BY_MODEL, "The same, reasoning included"),
    Metric("CachedTokens", "Count", BY_MODEL, "Of the input, those from the provider's cache"),
    Metric("ReasoningTokens", "Count", BY_MODEL, "Of the output, those of reasoning"),
    Metric("Cost", "None", BY_MODEL, "US dollars, where the model has a `price`"),
    Metric("ToolCalls", "Count", BY_KIND, "Calls of tools that ran in the gateway; kind: `hosted` or `mcp`"),
    Metric("ToolFailures", "Count", BY_KIND, "Those that failed, or were given up"),
    Metric("Retries", "Count", BY_MODEL, "Further attempts at a provider"),
    Metric("Throttled", "Count", BY_MODEL, "Attempts that a provider answered with 429"),
    Metric("ProviderKeyRefused", "Count", BY_MODEL, "Keys that were refused, also after they were read afresh"),
    Metric("Fallbacks", "Count", BY_MODEL, "Times that this model failed and another route was tried instead"),
    Metric("CircuitsOpened", "Count", BY_MODEL,
           "Times that a provider failed so often that it is left alone for a while"),
    Metric("StoreFailures", "Count", BY_MODEL, "Responses that could not be stored"),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}

# What `Telemetry.counted` is told.
RETRIES = "Retries"
THROTTLED = "Throttled"
KEY_REFUSED = "ProviderKeyRefused"
FALLBACKS = "Fallbacks"
CIRCUITS_OPENED = "CircuitsOpened"
STORE_FAILURES = "StoreFailures"
EVENTS = frozenset({RETRIES, THROTTLED, KEY_REFUSED, FALLBACKS, CIRCUITS_OPENED, STORE_FAILURES})

BY_STATUS = {
    "failed": "ResponsesFailed",
    "incomplete": "ResponsesIncomplete",
    "refused": "ResponsesRefused",
    "cancelled": "ResponsesCancelled",
}


def of_turn(report: TurnReport) -> dict[str, float]:
    """Values by name, without those that are 0."""
    usage = report.usage or {}
    metrics: dict[str, float] = {
        "Responses": 1,
        "Duration": round(report.duration, 1),
        "TimeToFirstToken": round(report.first_token or 0, 1),
        "InputTokens": usage.get("input_tokens", 0),
        "OutputTokens": usage.get("output_tokens", 0),
        "CachedTokens": usage.get("input_tokens_details", {}).get("cached_tokens", 0),
        "ReasoningTokens": usage.get("output_tokens_details", {}).get("reasoning_tokens", 0),
        "Cost": report.cost or 0,
    }
    if name := BY_STATUS.get(report.status):
        metrics[name] = 1
    return {name: value for name, value in metrics.items() if value}


def of_tool(report: ToolReport) -> dict[str, float]:
    """The same."""
    return {"ToolCalls": 1, "ToolFailures": 1} if report.error else {"ToolCalls": 1}


def labels_of(report: TurnReport) -> dict[str, str]:
    """What a turn is counted by."""
    return {"provider": report.provider, "model": report.model if report.known_model else OTHER_MODEL}
