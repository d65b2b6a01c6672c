"""The one format of log lines, of every program: one JSON object a line, on standard error.

Every line has `time`, `level`, `logger` and `message`. What a line is about has the same key everywhere: `server`,
`instance`, `operation`, `workflow_id`, `request_id`. Tokens, keys, headers and bodies are never logged.

It needs the standard library alone: the agent loads it while a rescue waits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

Context = Callable[[], Mapping[str, object]]

# What every record has, and what uvicorn and Temporal's SDK add to theirs: the former says the message once more, in
# colour; the latter's IDs come from the context.
_NOT_EXTRA = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "color_message"),
    *("temporal_activity", "temporal_workflow"),
}
# They log the URL of each request, and the URL of a webhook is often all it takes to post there.
_LOG_URLS = ("botocore", "httpx", "httpcore")


class JsonLines(logging.Formatter):
    """`log.info("message", extra={"server": ...})`: each extra field is a key of the line.

    `context` tells what each line of this moment is about; a field of the line itself wins over it.
    """

    def __init__(self, context: Context = dict) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= self._context()
        line |= {key: value for key, value in vars(record).items() if key not in _NOT_EXTRA}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logs(level: str, context: Context = dict) -> None:
    """Every logger writes to standard error. Libraries that log what they send say no more than warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(context))
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in _LOG_URLS:
        logging.getLogger(chatty).setLevel(logging.WARNING)
