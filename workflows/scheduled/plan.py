"""PlanWorkflow: the dry run that a person reads before the first switch. It changes nothing."""

from __future__ import annotations

from temporalio import workflow

from domain.adoption import Plan, PlanInput
from workflows.activity_calls import execute_ec2
from workflows.operations.planning import survey_and_plan


@workflow.defn
class PlanWorkflow:
    @workflow.run
    async def run(self, start: PlanInput) -> Plan:
        planned = await survey_and_plan(
            execute_ec2,
            start.server,
            start.policy,
            start.primary.instance_id,
            pool=start.pool,
            cool_downs=start.cool_downs,
            terms=start.terms,
        )
        return planned.plan
