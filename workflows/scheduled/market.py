"""The market's collection and upkeep: each a workflow of one activity, started by a schedule.

One at a time: a schedule skips a turn while the last one runs, and what it would have found comes with the next.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority
from temporalio.common import RetryPolicy

from domain.market import contract
from domain.names import CONTROL_QUEUE
from domain.operations import Priority

R = TypeVar("R")

# A region's first collection takes minutes; a worker that dies in it is missed within seconds.
_ATTEMPT = timedelta(minutes=10)
_OVERALL = timedelta(minutes=30)
_HEARTBEAT = timedelta(seconds=15)
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=1), backoff_coefficient=2.0
)


@workflow.defn(name=contract.COLLECT_SPOT_WORKFLOW)
class CollectSpotWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectSpotInput) -> contract.CollectSpotResult:
        return await _upkeep(contract.COLLECT_SPOT, given, contract.CollectSpotResult)


@workflow.defn(name=contract.COLLECT_ON_DEMAND_WORKFLOW)
class CollectOnDemandWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectOnDemandInput) -> contract.CollectOnDemandResult:
        return await _upkeep(contract.COLLECT_ON_DEMAND, given, contract.CollectOnDemandResult)


@workflow.defn(name=contract.COLLECT_SCORES_WORKFLOW)
class CollectScoresWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectScoresInput) -> contract.CollectScoresResult:
        return await _upkeep(contract.COLLECT_SCORES, given, contract.CollectScoresResult)


@workflow.defn(name=contract.THIN_OUT_WORKFLOW)
class ThinOutWorkflow:
    @workflow.run
    async def run(self, given: contract.ThinOutInput) -> contract.ThinOutResult:
        return await _upkeep(contract.THIN_OUT, given, contract.ThinOutResult)


MARKET_WORKFLOWS: list[type] = [CollectSpotWorkflow, CollectOnDemandWorkflow, CollectScoresWorkflow, ThinOutWorkflow]


async def _upkeep(name: str, given: object, answer: type[R]) -> R:
    result: R = await workflow.execute_activity(
        name,
        given,
        result_type=answer,
        task_queue=CONTROL_QUEUE,
        start_to_close_timeout=_ATTEMPT,
        schedule_to_close_timeout=_OVERALL,
        heartbeat_timeout=_HEARTBEAT,
        retry_policy=_RETRY,
        priority=TemporalPriority(priority_key=Priority.UPKEEP.temporal_key),
    )
    return result
