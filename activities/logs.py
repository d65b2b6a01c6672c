"""An activity that fails in a way we know is one line in the log.

The SDK logs every failed attempt with its stack. For a failure of `domain.errors.Failure` (no capacity, throttled,
the database is away) that says nothing that its words do not, and buries the line that matters at three in the
morning. Whatever else an activity raises keeps its stack: it is a fault of ours.
"""

from __future__ import annotations

import logging

from temporalio.exceptions import ApplicationError

from domain.errors import Failure

ACTIVITY_LOG = "temporalio.activity"
_KNOWN = frozenset(failure.value for failure in Failure)


class KnownFailures(logging.Filter):
    """Lets every record through; one of a known failure without its stack, with its words."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError) and error.type in _KNOWN:
            record.msg = f"{record.getMessage()}: {error}"
            record.args = ()
            record.exc_info = None
            record.exc_text = None
        return True


def shorten_known_failures() -> None:
    logging.getLogger(ACTIVITY_LOG).addFilter(KnownFailures())
