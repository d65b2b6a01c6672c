"""Structured log lines on standard error: one JSON object each, with the instance, without secrets."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class LineFormatter(logging.Formatter):
    """`log.info("message", extra={"fields": {...}})` becomes one line of JSON."""

    instance = ""  # unknown until IMDS has told it

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "log": record.name,
            "instance": self.instance,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logs(level: str) -> LineFormatter:
    """Send every logger to standard error; the answer is told the instance once it is known."""
    formatter = LineFormatter()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    logging.getLogger("agent").setLevel(level)
    # An activity that fails is our own log line, with the hooks' output; the SDK's would be a second one.
    logging.getLogger("temporalio.activity").setLevel("ERROR")
    return formatter
