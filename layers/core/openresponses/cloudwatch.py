"""Telemetry on Lambda: CloudWatch metrics in the embedded metric format, and JSON log lines, both on stdout.

Every metric stands under its service alone, which alarms and the dashboard read, and under what it is counted by. What
is 0 is left out: CloudWatch bills each metric that it sees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from . import metrics
from .logs import named, tell
from .telemetry import SampleReport, ToolReport, TurnReport

NAMESPACE = "OpenResponses"
SERVICE = "openresponses"


def start_logging(level: str) -> None:
    """Makes every logger of the gateway write JSON lines that say which request, response and tenant they are of."""
    from aws_lambda_powertools import Logger

    handler = Logger(service=SERVICE, level=level).registered_handler
    if named not in handler.filters:
        handler.addFilter(named)


class CloudWatchTelemetry:
    """A Telemetry. Each call writes its lines before it returns, so nothing is left when Lambda freezes the process."""

    def turn_ended(self, report: TurnReport) -> None:
        tell("turn ended", report)
        emit(metrics.of_turn(report), **metrics.labels_of(report))

    def sample_ended(self, report: SampleReport) -> None:
        tell("sample ended", report)

    def tool_ended(self, report: ToolReport) -> None:
        tell("tool ended", report)
        emit(metrics.of_tool(report), kind=report.kind)

    def counted(self, metric: str, provider: str, model: str) -> None:
        emit({metric: 1}, provider=provider, model=model)


def emit(values: Mapping[str, float], **dimensions: str) -> None:
    """One line on stdout, under the service, and under the service and `dimensions`."""
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    made = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=SERVICE)
    for name, value in values.items():
        unit = metrics.BY_NAME[name].unit
        made.add_metric(name, "NoUnit" if unit == "None" else unit, value)
    made.add_dimensions(service=SERVICE, **dimensions)
    print(json.dumps(made.serialize_metric_set(), separators=(",", ":")), file=sys.stdout, flush=True)
