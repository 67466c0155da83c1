"""Telemetry on Lambda: CloudWatch metrics in the embedded metric format, and a JSON log line a turn, both on stdout.

Every metric stands under its service alone, which alarms and the dashboard read, and under provider and model. What is
0 is left out: CloudWatch bills each metric that it sees.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from .telemetry import REQUEST_ID, TurnReport

NAMESPACE = "OpenResponses"
SERVICE = "openresponses"
OTHER_MODEL = "other"
UNITS = {"TimeToFirstToken": "Milliseconds", "Duration": "Milliseconds"}  # the others are counts
BY_STATUS = {"failed": "ResponsesFailed", "incomplete": "ResponsesIncomplete", "refused": "ResponsesRefused"}

log = logging.getLogger(__name__)


def start_logging(level: str) -> None:
    """Makes every logger of the gateway write JSON lines that carry the request's id."""
    from aws_lambda_powertools import Logger

    handler = Logger(service=SERVICE, level=level).registered_handler
    if _name_request not in handler.filters:
        handler.addFilter(_name_request)


def _name_request(record: logging.LogRecord) -> bool:
    if request_id := REQUEST_ID.get():
        record.request_id = request_id
    return True


class CloudWatchTelemetry:
    """A Telemetry. Each call writes its lines before it returns, so nothing is left when Lambda freezes the process."""

    def turn_ended(self, report: TurnReport) -> None:
        log.info("turn ended", extra=_line(report))
        model = report.model if report.known_model else OTHER_MODEL
        emit(_metrics(report), provider=report.provider, model=model)

    def retried(self, provider: str) -> None:
        emit({"Retries": 1}, provider=provider)

    def throttled(self, provider: str) -> None:
        emit({"Throttled": 1}, provider=provider)

    def key_refused(self, provider: str) -> None:
        emit({"ProviderKeyRefused": 1}, provider=provider)

    def fell_back(self, provider: str) -> None:
        emit({"Fallbacks": 1}, provider=provider)

    def circuit_opened(self, provider: str) -> None:
        emit({"CircuitsOpened": 1}, provider=provider)


def emit(metrics: Mapping[str, float], **dimensions: str) -> None:
    """One line on stdout, under the service, and under the service and `dimensions`."""
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

    made = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service=SERVICE)
    for name, value in metrics.items():
        if value:
            made.add_metric(name, UNITS.get(name, "Count"), value)
    made.add_dimensions(service=SERVICE, **dimensions)
    print(json.dumps(made.serialize_metric_set(), separators=(",", ":")), file=sys.stdout, flush=True)


def _metrics(report: TurnReport) -> dict[str, float]:
    usage = report.usage or {}
    metrics = {
        "Responses": 1,
        "Duration": round(report.duration, 1),
        "TimeToFirstToken": round(report.first_token or 0, 1),
        "InputTokens": usage.get("input_tokens", 0),
        "OutputTokens": usage.get("output_tokens", 0),
        "CachedTokens": usage.get("input_tokens_details", {}).get("cached_tokens", 0),
        "ReasoningTokens": usage.get("output_tokens_details", {}).get("reasoning_tokens", 0),
    }
    if name := BY_STATUS.get(report.status):
        metrics[name] = 1
    return metrics


def _line(report: TurnReport) -> dict[str, Any]:
    return {
        "response_id": report.response_id,
        "tenant": report.tenant,
        "provider": report.provider,
        "model": report.model,
        "status": report.status,
        "reason": report.reason,
        "duration_ms": round(report.duration, 1),
        "first_token_ms": None if report.first_token is None else round(report.first_token, 1),
    }
