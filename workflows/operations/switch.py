"""Switch: a server moves to a better pool. The replacement is healthy before anything stops.

    plan launch ready copy [fence move serve] commit retire receipt

Up to `commit` every step has its undo; after it the operation only goes forward. When the instance
being replaced gets an interruption notice meanwhile, this switch is the rescue and gets a deadline.
"""

from __future__ import annotations

from temporalio import workflow

from domain.operations import OperationInput, OperationResult
from workflows.handoffs.base import HandoffWork, Move
from workflows.handoffs.execution import filesystems_of, hand_over, handoff_for, wind_up
from workflows.operations.base import Operation
from workflows.operations.capacity import obtain, ready
from workflows.operations.outcome import carry_out, wired
from workflows.operations.planning import Looked, look, refuse_if_blocked
from workflows.operations.reconsider import only_decided, still_holds
from workflows.operations.replacement import Replacement


@workflow.defn
class SwitchWorkflow:
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        wired(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await carry_out(self.op, self.switch)

    async def switch(self) -> None:
        op = self.op
        looked = await op.step("plan", self.plan)
        replacement = await op.step("launch", lambda: obtain(op, looked.blueprint, looked.candidates))
        work = await op.step("ready", lambda: self.prepare(looked, replacement))
        await hand_over(op, work)
        await wind_up(op, work)

    async def plan(self) -> Looked:
        primary = self.op.start.shape.primary
        assert primary is not None, "ServerWorkflow starts a switch only for a server with a primary"
        await still_holds(self.op)
        looked = await look(
            self.op.ec2,
            self.op.server,
            self.op.policy,
            primary.instance_id,
            pool=self.op.start.request.pool,
            cool_downs=self.op.cool_downs,
        )
        self.op.refuse_if_broken_off(looked.blueprint)
        refuse_if_blocked(looked.plan, self.op.policy.accepted_findings)
        looked = only_decided(self.op, looked)
        self.op.describe(hourly_before=looked.plan.hourly_now, from_pool=primary.pool)
        self.op.note(looked.plan.reason)
        return looked

    async def prepare(self, looked: Looked, replacement: Replacement) -> HandoffWork:
        """The new host is ready, and what the old one carries is known."""
        op, old = self.op, self.op.start.shape.primary
        assert old is not None
        filesystems = await filesystems_of(op, old.instance_id, looked.blueprint)
        await ready(op, replacement, check_health=not looked.blueprint.data_volumes)
        work = handoff_for(op, Move(looked.blueprint, old, replacement, filesystems))
        op.describe(hourly_before=looked.plan.hourly_now)
        return work
