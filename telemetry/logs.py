"""What the worker logs: no address of a webhook, and a failure that we know as one line.

What a webhook's URL holds is often all it takes to post there, and httpx and httpcore log every URL they ask.

The SDK logs every failed attempt with its stack. For a failure of `domain.errors.Failure` (no capacity, throttled,
the database is away) that says nothing that its words do not, and buries the line that matters at three in the
morning. Whatever else an activity raises keeps its stack: it is a fault of ours.
"""

from __future__ import annotations

import logging

from temporalio.exceptions import ApplicationError

from domain.errors import Failure

ACTIVITY_LOG = "temporalio.activity"
_LOG_URLS = ("botocore", "httpx", "httpcore")
_KNOWN = frozenset(failure.value for failure in Failure)


class ExpectedFailures(logging.Filter):
    """Lets every record through; one of a known failure without its stack, with its words."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError) and error.type in _KNOWN:
            record.msg = f"{record.getMessage()}: {error}"
            record.args = ()
            record.exc_info = None
            record.exc_text = None
        return True


def configure_logs(level: str) -> None:
    """`level`: of our own lines; libraries that log what they send say no more than warnings, whatever it is."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in _LOG_URLS:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger(ACTIVITY_LOG).addFilter(ExpectedFailures())
