"""Log lines: which request, response, tenant and trace each is of; as text or JSON on the local server.

On AWS Powertools' formatter makes the JSON (`cloudwatch`); the fields are the same.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Literal

from . import spans
from .telemetry import REQUEST_ID, RESPONSE_ID, TENANT, TRACE, SampleReport, ToolReport, TurnReport

log = logging.getLogger(__name__)

# What every line of a request carries, as far as it is known → what it is.
FIELDS = {
    "request_id": "As in the answer's `x-request-id`",
    "response_id": "The response that is made",
    "tenant": "Whose request it is",
    "trace_id": "Of the client's `traceparent`, else a new one",
}
OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def named(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass, with FIELDS."""
    trace = TRACE.get()
    values = REQUEST_ID.get(), RESPONSE_ID.get(), TENANT.get(), trace.trace_id if trace else None
    for name, value in zip(FIELDS, values, strict=True):
        if value is not None:
            setattr(record, name, value)
    return True


def tell(line: str, report: TurnReport | SampleReport | ToolReport, level: int = logging.INFO) -> None:
    """Writes one of `spans.LINES`. A turn's ids are the report's: by its end its context may be another's."""
    if not log.isEnabledFor(level):
        return
    extra = spans.attributes(spans.LINES[line], report)
    if isinstance(report, TurnReport):
        extra |= {"response_id": report.response_id, "tenant": report.tenant}
    log.log(level, line, extra={**extra, "trace_id": report.trace.trace_id})


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries beyond its message."""
    return {name: value for name, value in vars(record).items() if name not in OF_RECORDS}


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "timestamp": f"{at}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """A line for people, with what it is of behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        behind = "".join(f" {name}={_plain(value)}" for name, value in extras(record).items())
        return _printable(super().formatMessage(record)) + behind


def _printable(text: str) -> str:
    """One line, whatever a name in it holds: nothing that a client sent can look like a line of its own."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if text.isprintable() and " " not in text else json.dumps(text)


def start_logging(level: str, form: Literal["text", "json"]) -> None:
    """Makes every logger of this process write such lines on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(named)
    logging.basicConfig(level=level, handlers=[handler])


class LogTelemetry:
    """A Telemetry that writes `spans.LINES` at `level`, but a turn that failed as a warning at least."""

    def __init__(self, level: int) -> None:
        self._level = level

    def turn_ended(self, report: TurnReport) -> None:
        level = max(self._level, logging.WARNING) if report.status == "failed" else self._level
        tell("turn ended", report, level)

    def sample_ended(self, report: SampleReport) -> None:
        tell("sample ended", report, self._level)

    def tool_ended(self, report: ToolReport) -> None:
        tell("tool ended", report, self._level)

    def counted(self, metric: str, provider: str, model: str) -> None:
        log.log(logging.DEBUG, "counted", extra={"metric": metric, "provider": provider, "model": model})
