"""ReconcileWorkflow: one pass over EC2 and the ledger. It looks, keeps what differs, and settles what is due.

A schedule starts it, and `spot doctor`. Two at once do no harm: a finding is open once, each action is looked at
again just before it, and what was done already is done again without effect.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

from domain.reconciliation import contract
from domain.reconciliation.drift import DriftFinding
from workflows.activity_calls import execute_upkeep
from workflows.timeouts import ASK_ALL_SERVERS, RECONCILE, STORE


@workflow.defn
class ReconcileWorkflow:
    @workflow.run
    async def run(self, given: contract.ReconcileInput) -> contract.ReconcileResult:
        surveyed = await execute_upkeep(contract.RECONCILE_SURVEY, given, contract.DriftSurvey, RECONCILE)
        unattended = await execute_upkeep(contract.UNATTENDED, given, contract.DriftSurvey, ASK_ALL_SERVERS)
        surveyed = surveyed.after(unattended)
        resting = await _at_rest(surveyed.findings)
        report = contract.ReportInput(surveyed, resting)
        reported = await execute_upkeep(contract.REPORT, report, contract.ReportResult, STORE)
        settled = await _settle(reported.due)
        return contract.ReconcileResult(
            resources=surveyed.resources,
            found=reported.found,
            open=reported.open,
            resolved=reported.resolved,
            done=len(settled.done),
            left=settled.left,
            problems=surveyed.problems,
        )


async def _settle(due: list[DriftFinding]) -> contract.SettleResult:
    """Asked again whether the servers are at rest: an operation may have begun since the look."""
    if not due:
        return contract.SettleResult()
    given = contract.SettleInput(due, await _at_rest(due))
    settled = await execute_upkeep(contract.SETTLE, given, contract.SettleResult, RECONCILE)
    for lost in settled.lost:
        try:
            await execute_upkeep(contract.REPLACE_LOST, lost, bool, STORE)
        except ActivityError as error:
            workflow.logger.warning("server %s could not be asked: %s", lost.server_id, error.cause)
    return settled


async def _at_rest(findings: list[DriftFinding]) -> contract.AtRestResult:
    servers = sorted({one.server_id for one in findings if one.server_id})
    if not servers:
        return contract.AtRestResult()
    return await execute_upkeep(contract.AT_REST, contract.AtRestInput(servers), contract.AtRestResult, ASK_ALL_SERVERS)
