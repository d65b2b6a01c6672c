"""Log lines of a worker: which workflow and activity they are of, and a failure that we expect as one line.

The SDK logs every failed attempt with its stack. For a failure of `domain.errors.Failure` (no capacity, throttled,
the database is away) the stack says nothing more than the message, and it hides the line that matters. Whatever else
an activity raises keeps its stack: it is a bug of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from domain.errors import Failure
from telemetry.logs import configure_logs

ACTIVITY_LOG = "temporalio.activity"
_EXPECTED = frozenset(failure.value for failure in Failure)


def configure_worker_logs(level: str) -> None:
    configure_logs(level, temporal_context)
    # The context has these IDs as keys; the SDK would add them to the text of the message.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    logging.getLogger(ACTIVITY_LOG).addFilter(ExpectedFailures())


def temporal_context() -> Mapping[str, object]:
    """The workflow that this thread or coroutine works for; also its server or operation, where its ID tells."""
    if activity.in_activity():
        its = activity.info()
        found = {"activity": its.activity_type, "attempt": its.attempt}
        return _workflow_keys(its.workflow_id) | found
    return _workflow_keys(workflow.info().workflow_id) if workflow.in_workflow() else {}


def _workflow_keys(workflow_id: str | None) -> dict[str, object]:
    if not workflow_id:
        return {}
    found: dict[str, object] = {"workflow_id": workflow_id}
    kind, _, rest = workflow_id.partition("/")
    if kind in ("server", "operation"):  # domain.names
        found[kind] = rest
    return found


class ExpectedFailures(logging.Filter):
    """Lets every record pass. One of an expected failure loses its stack, and its message says the failure."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ApplicationError) and error.type in _EXPECTED:
            record.msg = f"{record.getMessage()}: {error}"
            record.args = ()
            record.exc_info = None
            record.exc_text = None
        return True
