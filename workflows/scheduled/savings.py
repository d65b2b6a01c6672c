"""The ledger's accrual, the weekly summary and the expiry of events: each one activity, started by a schedule."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

from domain.market import contract as market
from domain.savings import contract
from workflows.activity_calls import execute_upkeep
from workflows.timeouts import COLLECT


@workflow.defn(name=contract.ACCRUE_WORKFLOW)
class AccrueSavingsWorkflow:
    """What could not be priced is asked for at once: the next accrual, or the daily one, puts it right."""

    @workflow.run
    async def run(self, given: contract.AccrueInput) -> contract.AccrueResult:
        accrued = await execute_upkeep(contract.ACCRUE, given, contract.AccrueResult, COLLECT)
        for region, types in sorted(accrued.lacking.items()):
            await _price(region, types)
        return accrued


@workflow.defn(name=contract.WEEKLY_SUMMARY_WORKFLOW)
class WeeklySummaryWorkflow:
    @workflow.run
    async def run(self, given: contract.WeeklySummaryInput) -> contract.WeeklySummaryResult:
        return await execute_upkeep(contract.SEND_WEEKLY_SUMMARY, given, contract.WeeklySummaryResult, COLLECT)


@workflow.defn(name=contract.EXPIRE_WORKFLOW)
class ExpireEventsWorkflow:
    @workflow.run
    async def run(self, given: contract.ExpireInput) -> contract.ExpireResult:
        return await execute_upkeep(contract.EXPIRE_EVENTS, given, contract.ExpireResult, COLLECT)


async def _price(region: str, types: list[str]) -> None:
    try:
        await execute_upkeep(
            market.COLLECT_ON_DEMAND,
            market.CollectOnDemandInput(region, types=types),
            market.CollectOnDemandResult,
            COLLECT,
        )
    except ActivityError as error:
        workflow.logger.warning("on-demand prices of %s cannot be had: %s", region, error.cause)


SAVINGS_WORKFLOWS: list[type] = [AccrueSavingsWorkflow, WeeklySummaryWorkflow, ExpireEventsWorkflow]
