"""A decision of the autopilot is evaluated again just before it is acted on: by then its facts may have changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain.autopilot import contract
from domain.errors import Failure
from domain.operations import Priority
from workflows.activity_calls import execute
from workflows.operations.base import Operation
from workflows.operations.planning import PlanningResult
from workflows.timeouts import RECONSIDER


async def reconsider_decision(op: Operation) -> None:
    """Raise Refused, with what has changed, when the decision behind the operation no longer holds."""
    if not (decision := op.start.request.decision_id):
        return
    if op.emergency:
        return
    try:
        question = contract.ReconsiderInput(decision)
        looking = asyncio.ensure_future(execute(contract.RECONSIDER, question, contract.ReconsiderResult, RECONSIDER))
        if await _notice_came_first(op, looking):
            return
        found = await looking
    except ActivityError as error:
        found = contract.ReconsiderResult(False, f"its facts cannot be read now: {error.cause}")
    if not found.holds:
        raise ApplicationError(f"the decision was dropped: {found.why}", type=Failure.REFUSED, non_retryable=True)


async def _notice_came_first(op: Operation, looking: asyncio.Future[contract.ReconsiderResult]) -> bool:
    """Wait for the answer, or for a notice: a rescue has no time to wait for the answer (invariant 6)."""
    try:
        await workflow.wait_condition(lambda: looking.done() or op.emergency)
    finally:
        if not looking.done():
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)  # its cancellation, which nobody else waits for
    return op.emergency


def decided_pool_only(op: Operation, planned: PlanningResult) -> PlanningResult:
    """An ordinary move is made for its price: another pool, or on-demand, is another decision. A rescue takes any."""
    request = op.start.request
    if not request.decision_id or request.priority > Priority.ORDINARY or not request.pool:
        return planned
    if op.emergency:
        return planned
    return replace(planned, candidates=[one for one in planned.candidates if str(one.pool) == request.pool])
