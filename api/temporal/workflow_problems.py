"""The one place where errors of the Temporal client become problems of the API."""

from __future__ import annotations

import logging

from api.http import problems
from api.http.problems import Problem, ProblemKind
from api.temporal.client import (
    AlreadyRunning,
    NoSuchWorkflow,
    NoWorker,
    TemporalUnreachable,
    WorkflowCallError,
    WorkflowRefused,
)
from domain.errors import Failure
from domain.operations import Refusal

log = logging.getLogger(__name__)

_NO_WORKFLOW = (
    "no workflow runs for the server: it has ended, was let go, or Temporal lost its workflow; "
    "`spot server` tells whether it is active, and then `spot resume` brings it back"
)
RETRY_AFTER = {"Retry-After": "5"}

KIND_OF_REFUSAL: dict[str, ProblemKind] = {
    Refusal.BUSY: problems.BUSY,
    Refusal.SAME_POOL: problems.SAME_POOL,
    Refusal.NO_PRIMARY: problems.NO_PRIMARY,
    Refusal.NO_REPLICA: problems.NO_REPLICA,
    Refusal.HAS_REPLICA: problems.HAS_REPLICA,
    Refusal.ENDED: problems.ENDED,
    Refusal.REQUEST_ID_REUSED: problems.KEY_REUSED,
    Failure.REFUSED: problems.REFUSED,
    Failure.BAD_STATE: problems.REFUSED,
    Failure.NO_CAPACITY: problems.REFUSED,
    Failure.LIMIT_REACHED: problems.REFUSED,
    Failure.GONE: problems.INSTANCE_NOT_FOUND,
    Failure.PERMISSION_MISSING: problems.PERMISSION_MISSING,
    Failure.UNAVAILABLE: problems.AWS_UNAVAILABLE,
    Failure.THROTTLED: problems.AWS_UNAVAILABLE,
}


def problem_of(error: WorkflowCallError, refused: ProblemKind = problems.REFUSED) -> Problem:
    """The problem of a failed call; `refused` is what Failure.REFUSED means for this call."""
    match error:
        case TemporalUnreachable():
            return Problem(problems.TEMPORAL_UNREACHABLE, str(error), headers=RETRY_AFTER)
        case NoWorker():
            return Problem(problems.NO_WORKER, f"{error}; ask again with the same key", headers=RETRY_AFTER)
        case NoSuchWorkflow():
            return Problem(problems.ENDED, _NO_WORKFLOW)
        case AlreadyRunning():
            return Problem(problems.CONFLICT, str(error))
        case WorkflowRefused():
            return _of_refusal(error, refused)
    return _internal(error)


def _of_refusal(error: WorkflowRefused, refused: ProblemKind) -> Problem:
    kind = refused if error.type == Failure.REFUSED else KIND_OF_REFUSAL.get(error.type)
    if kind is None:
        return _internal(error)
    headers = RETRY_AFTER if kind.status == 503 else {}
    return Problem(kind, error.reason, headers=headers)


def _internal(error: WorkflowCallError) -> Problem:
    log.error("a workflow failed in a way the API has no answer for", exc_info=error)
    return Problem(problems.INTERNAL, "a workflow failed; the log has it under this request_id")
