"""ReconcileWorkflow: one pass over EC2 and the ledger. It looks, keeps what differs, and settles what is due.

A schedule starts it, and `spot doctor`. Two at once do no harm: a finding is open once, each action is looked at
again just before it, and what was done already is done again without effect.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

from domain.reconciliation import contract
from domain.reconciliation.drift import Finding
from workflows.scheduled.upkeep import upkeep
from workflows.timeouts import LOOK_AROUND, RECONCILE, RECORD


@workflow.defn
class ReconcileWorkflow:
    @workflow.run
    async def run(self, given: contract.Look) -> contract.Reconciled:
        surveyed = await upkeep(contract.SURVEY, given, contract.Surveyed, RECONCILE)
        if workflow.patched("servers-without-a-workflow-are-told"):
            unattended = await upkeep(contract.UNATTENDED, given, contract.Surveyed, LOOK_AROUND)
            surveyed = surveyed.after(unattended)
        resting = await _at_rest(surveyed.findings)
        report = contract.Report(surveyed, resting)
        reported = await upkeep(contract.REPORT, report, contract.Reported, RECORD)
        settled = await _settle(reported.due)
        return contract.Reconciled(
            resources=surveyed.resources,
            found=reported.found,
            open=reported.open,
            resolved=reported.resolved,
            done=len(settled.done),
            left=settled.left,
            problems=surveyed.problems,
        )


async def _settle(due: list[Finding]) -> contract.Settled:
    """Asked again whether the servers are at rest: an operation may have begun since the look."""
    if not due:
        return contract.Settled()
    given = contract.Settle(due, await _at_rest(due))
    settled = await upkeep(contract.SETTLE, given, contract.Settled, RECONCILE)
    for lost in settled.lost:
        try:
            await upkeep(contract.ASK, lost, bool, RECORD)
        except ActivityError as error:
            workflow.logger.warning("server %s could not be asked: %s", lost.server_id, error.cause)
    return settled


async def _at_rest(findings: list[Finding]) -> contract.Resting:
    servers = sorted({one.server_id for one in findings if one.server_id})
    if not servers:
        return contract.Resting()
    return await upkeep(contract.AT_REST, contract.Servers(servers), contract.Resting, LOOK_AROUND)
