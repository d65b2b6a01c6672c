"""BacktestWorkflow: history replayed for a client. It survives a worker, can be cancelled, and always says its end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from domain.backtest import contract
from domain.backtest.contract import BacktestEnd, BacktestState, RunBacktestInput
from domain.names import CONTROL_QUEUE
from domain.operations import Priority
from workflows.timeouts import RECORD

_ATTEMPT, _OVERALL = timedelta(minutes=15), timedelta(minutes=45)
_HEARTBEAT = timedelta(seconds=15)
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=1))


@workflow.defn(name=contract.BACKTEST_WORKFLOW)
class BacktestWorkflow:
    @workflow.run
    async def run(self, given: RunBacktestInput) -> None:
        try:
            await workflow.execute_activity(
                contract.BACKTEST_RUN,
                given,
                task_queue=CONTROL_QUEUE,
                start_to_close_timeout=_ATTEMPT,
                schedule_to_close_timeout=_OVERALL,
                heartbeat_timeout=_HEARTBEAT,
                retry_policy=_RETRY,
                priority=TemporalPriority(priority_key=Priority.UPKEEP.temporal_key),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except BaseException as error:
            if is_cancelled_exception(error):
                await asyncio.shield(_settle(BacktestEnd(given.backtest_id, BacktestState.CANCELLED)))
                raise
            if not isinstance(error, ActivityError):
                raise
            await _settle(BacktestEnd(given.backtest_id, BacktestState.FAILED, _in_words(error)))


def _in_words(error: ActivityError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else str(cause or error)


async def _settle(end: BacktestEnd) -> None:
    await workflow.execute_activity(
        contract.BACKTEST_SETTLE,
        end,
        task_queue=CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=RECORD.attempt_s),
        retry_policy=RECORD.retry,
        priority=TemporalPriority(priority_key=Priority.UPKEEP.temporal_key),
    )
