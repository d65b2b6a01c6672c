"""A decision of the autopilot is looked at once more when its turn comes: the answer may be old by then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain.autopilot import contract
from domain.errors import Failure
from domain.names import CONTROL_QUEUE
from domain.operations import Priority
from workflows.operation import Operation
from workflows.planning import Looked
from workflows.timeouts import RECONSIDER


async def still_holds(op: Operation) -> None:
    """Raise Refused, with what has changed, when the decision behind the operation no longer holds."""
    if not (decision := op.start.request.decision_id):
        return
    try:
        found = await workflow.execute_activity(
            contract.RECONSIDER,
            contract.Reconsider(decision),
            result_type=contract.Reconsidered,
            task_queue=CONTROL_QUEUE,
            start_to_close_timeout=timedelta(seconds=RECONSIDER.attempt_s),
            schedule_to_close_timeout=timedelta(seconds=RECONSIDER.overall_s or RECONSIDER.attempt_s),
            heartbeat_timeout=timedelta(seconds=RECONSIDER.heartbeat_s or RECONSIDER.attempt_s),
            retry_policy=RECONSIDER.retry,
        )
    except ActivityError as error:
        found = contract.Reconsidered(False, f"its facts cannot be read now: {error.cause}")
    if not found.holds:
        raise ApplicationError(f"the decision was dropped: {found.why}", type=Failure.REFUSED, non_retryable=True)


def only_decided(op: Operation, looked: Looked) -> Looked:
    """An ordinary move is made for its price: another pool, or on-demand, is another decision."""
    request = op.start.request
    if not request.decision_id or request.priority > Priority.ORDINARY or not request.pool:
        return looked
    return replace(looked, candidates=[one for one in looked.candidates if str(one.pool) == request.pool])
