"""BacktestWorkflow: history replayed for a client. It survives a worker, can be cancelled, and always says its end."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain.backtest import contract
from domain.backtest.contract import BacktestEnd, BacktestState, RunBacktestInput
from workflows.activity_calls import execute_upkeep
from workflows.timeouts import BACKTEST, STORE


@workflow.defn(name=contract.BACKTEST_WORKFLOW)
class BacktestWorkflow:
    @workflow.run
    async def run(self, given: RunBacktestInput) -> None:
        try:
            await execute_upkeep(contract.BACKTEST_RUN, given, type(None), BACKTEST, wait_when_cancelled=True)
        except asyncio.CancelledError:
            await asyncio.shield(_settle(BacktestEnd(given.backtest_id, BacktestState.CANCELLED)))
            raise
        except ActivityError as error:
            await _settle(BacktestEnd(given.backtest_id, BacktestState.FAILED, _in_words(error)))


def _in_words(error: ActivityError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else str(cause or error)


async def _settle(end: BacktestEnd) -> None:
    await execute_upkeep(contract.BACKTEST_SETTLE, end, type(None), STORE)
