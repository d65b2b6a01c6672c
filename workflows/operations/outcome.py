"""The frame around every operation: run it, and end it in exactly one of four ways (invariant 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from temporalio import workflow
from temporalio.exceptions import FailureError

from domain.operations import (
    SIGNAL_ABORT,
    SIGNAL_NOTICE,
    SIGNAL_STOP_KEEPING_OLD,
    OperationResult,
    Outcome,
)
from domain.records import RecordKind
from workflows.activity_calls import explain
from workflows.operations.base import Operation
from workflows.operations.urgency import OperationAborted
from workflows.recorder import as_json

Body = Callable[[], Awaitable[bool | None]]


async def run_to_outcome(op: Operation, body: Body) -> OperationResult:
    """Run `body`; it returns True when the server has ended on purpose.

    A cancellation from Temporal is an abort like any other: it is honoured up to the commit, and
    what was done is undone. So the work runs shielded from it.
    """
    work = asyncio.ensure_future(_run_recorded(op, body))
    while True:
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if work.done():
                raise  # the worker drops this workflow and cancels its tasks: another worker goes on
            op.urgency.abort("cancelled in Temporal")


async def _run_recorded(op: Operation, body: Body) -> OperationResult:
    op.recorder.add(
        RecordKind.OPERATION_STARTED,
        kind=op.start.request.kind.value,
        handoff=op.policy.handoff.value,
        from_pool=op.shape.primary.pool if op.shape.primary else "",
    )
    result = await _outcome(op, body)
    op.recorder.add(
        RecordKind.OPERATION_FINISHED,
        outcome=result.outcome.value,
        reason=result.receipt.reason,
        receipt=as_json(asdict(result.receipt)),
    )
    await op.recorder.flush()
    return result


async def _outcome(op: Operation, body: Body) -> OperationResult:
    try:
        ended = bool(await body())
    except (FailureError, OperationAborted) as error:
        return await _roll_back(op, error)
    if op.attention:
        return op.finish(Outcome.NEEDS_ATTENTION, op.attention, ended=ended)
    return op.finish(Outcome.COMMITTED, "", ended=ended)


async def _roll_back(op: Operation, error: FailureError | OperationAborted) -> OperationResult:
    reason = explain(error)
    if op.committed:
        # Nothing is undone past the commit. The record says what could not be finished, and why.
        op.needs_attention(reason)
        return op.finish(Outcome.NEEDS_ATTENTION, reason)
    failed = await op.undo.unwind()
    if failed:
        op.needs_attention("; ".join([reason, *failed]))
        return op.finish(Outcome.NEEDS_ATTENTION, op.attention)
    if op.attention:
        return op.finish(Outcome.NEEDS_ATTENTION, op.attention)
    cancelled = isinstance(error, OperationAborted) and not error.by_notice
    return op.finish(Outcome.CANCELLED if cancelled else Outcome.ROLLED_BACK, reason)


def connect_signals(op: Operation) -> None:
    """Let a workflow's operation hear notices, aborts, and that something else waits."""
    workflow.set_signal_handler(SIGNAL_STOP_KEEPING_OLD, op.urgency.stop_keeping_old)
    workflow.set_signal_handler(SIGNAL_NOTICE, op.take_notice)
    workflow.set_signal_handler(SIGNAL_ABORT, op.urgency.abort)
