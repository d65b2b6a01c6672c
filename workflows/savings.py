"""The ledger's accrual, the weekly summary and the expiry of events: each one activity, started by a schedule."""

from __future__ import annotations

from temporalio import workflow

from domain.savings import contract
from workflows.timeouts import LEDGER
from workflows.upkeep import upkeep


@workflow.defn(name=contract.ACCRUE_WORKFLOW)
class AccrueSavingsWorkflow:
    @workflow.run
    async def run(self, given: contract.Accrue) -> contract.Accrued:
        return await upkeep(contract.ACCRUE, given, contract.Accrued, LEDGER)


@workflow.defn(name=contract.WEEKLY_SUMMARY_WORKFLOW)
class WeeklySummaryWorkflow:
    @workflow.run
    async def run(self, given: contract.TellWeek) -> contract.Told:
        return await upkeep(contract.TELL_WEEK, given, contract.Told, LEDGER)


@workflow.defn(name=contract.EXPIRE_WORKFLOW)
class ExpireEventsWorkflow:
    @workflow.run
    async def run(self, given: contract.Expire) -> contract.Expired:
        return await upkeep(contract.EXPIRE, given, contract.Expired, LEDGER)


SAVINGS_WORKFLOWS: list[type] = [AccrueSavingsWorkflow, WeeklySummaryWorkflow, ExpireEventsWorkflow]
