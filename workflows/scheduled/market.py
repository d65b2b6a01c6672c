"""The market's collection and upkeep: each a workflow of one activity, started by a schedule.

One at a time: a schedule skips a turn while the last one runs, and what it would have found comes with the next.
"""

from __future__ import annotations

from temporalio import workflow

from domain.market import contract
from workflows.activity_calls import execute_upkeep
from workflows.timeouts import COLLECT


@workflow.defn(name=contract.COLLECT_SPOT_WORKFLOW)
class CollectSpotWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectSpotInput) -> contract.CollectSpotResult:
        return await execute_upkeep(contract.COLLECT_SPOT, given, contract.CollectSpotResult, COLLECT)


@workflow.defn(name=contract.COLLECT_ON_DEMAND_WORKFLOW)
class CollectOnDemandWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectOnDemandInput) -> contract.CollectOnDemandResult:
        return await execute_upkeep(contract.COLLECT_ON_DEMAND, given, contract.CollectOnDemandResult, COLLECT)


@workflow.defn(name=contract.COLLECT_SCORES_WORKFLOW)
class CollectScoresWorkflow:
    @workflow.run
    async def run(self, given: contract.CollectScoresInput) -> contract.CollectScoresResult:
        return await execute_upkeep(contract.COLLECT_SCORES, given, contract.CollectScoresResult, COLLECT)


@workflow.defn(name=contract.THIN_OUT_WORKFLOW)
class ThinOutWorkflow:
    @workflow.run
    async def run(self, given: contract.ThinOutInput) -> contract.ThinOutResult:
        return await execute_upkeep(contract.THIN_OUT, given, contract.ThinOutResult, COLLECT)


MARKET_WORKFLOWS: list[type] = [CollectSpotWorkflow, CollectOnDemandWorkflow, CollectScoresWorkflow, ThinOutWorkflow]
