"""Switch: a server moves to a better pool. The replacement is healthy before anything stops.

    plan launch ready copy [fence move serve] commit retire receipt

Up to `commit` every step has its undo; after it the operation only goes forward. When the instance
being replaced gets an interruption notice meanwhile, this switch is the rescue and gets a deadline.
"""

from __future__ import annotations

from temporalio import workflow

from domain.operations import OperationInput, OperationResult
from workflows.handoffs.base import HandoffState, HandoffWork
from workflows.handoffs.execution import filesystems_of, finish_handoff, handoff_for, run_handoff
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.planning import PlanningResult, refuse_if_blocked, survey_and_plan
from workflows.operations.reconsider import decided_pool_only, reconsider_decision
from workflows.operations.replacement_instances import await_ready, obtain


@workflow.defn
class SwitchWorkflow:
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await run_to_outcome(self.op, self.switch)

    async def switch(self) -> None:
        op = self.op
        planned = await op.step("plan", self.plan)
        replacement = await op.step("launch", lambda: obtain(op, planned.blueprint, planned.candidates))
        work = await op.step("ready", lambda: self.prepare(planned, replacement))
        await run_handoff(op, work)
        await finish_handoff(op, work)

    async def plan(self) -> PlanningResult:
        primary = self.op.start.shape.primary
        assert primary is not None, "ServerWorkflow starts a switch only for a server with a primary"
        await reconsider_decision(self.op)
        planned = await survey_and_plan(
            self.op.ec2,
            self.op.server,
            self.op.policy,
            primary.instance_id,
            pool=self.op.start.request.pool,
            cool_downs=self.op.capacity.cool_downs,
        )
        self.op.shape_draft.refuse_if_broken_off(planned.blueprint)
        refuse_if_blocked(planned.plan, self.op.policy.accepted_findings)
        planned = decided_pool_only(self.op, planned)
        self.op.describe(hourly_before=planned.plan.hourly_now, from_pool=primary.pool)
        self.op.note(planned.plan.reason)
        return planned

    async def prepare(self, planned: PlanningResult, replacement: Replacement) -> HandoffWork:
        """The new host is ready, and what the old one carries is known."""
        op, old = self.op, self.op.start.shape.primary
        assert old is not None
        filesystems = await filesystems_of(op, old.instance_id, planned.blueprint)
        await await_ready(op, replacement, check_health=not planned.blueprint.data_volumes)
        work = handoff_for(op, HandoffState(planned.blueprint, old, replacement, filesystems))
        op.describe(hourly_before=planned.plan.hourly_now)
        return work
