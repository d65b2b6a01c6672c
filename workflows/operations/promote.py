"""Promote: the replica becomes the primary, by the same handoff as a switch."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain import ec2
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.operations import OperationInput, OperationResult
from workflows.activity_calls import explain
from workflows.handoffs.base import HandoffState, HandoffWork
from workflows.handoffs.execution import filesystems_of, finish_handoff, handoff_for, run_handoff
from workflows.operations.base import Operation
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.replica import existing_replica
from workflows.timeouts import CALL


@workflow.defn
class PromoteWorkflow:
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await run_to_outcome(self.op, self.promote)

    async def promote(self) -> None:
        op = self.op
        blueprint = await op.step("plan", self.look)
        work = await op.step("ready", lambda: self.prepare(blueprint))
        await run_handoff(op, work)
        await finish_handoff(op, work)

    async def look(self) -> Blueprint:
        primary = self.op.start.shape.primary
        assert primary is not None, "ServerWorkflow promotes only where there is a primary"
        request = ec2.InspectInput(self.op.server.region, primary.instance_id)
        blueprint = (await self.op.ec2(ec2.INSPECT, request, ec2.InspectResult, CALL)).blueprint
        self.op.shape_draft.refuse_if_broken_off(blueprint)
        return blueprint

    async def prepare(self, blueprint: Blueprint) -> HandoffWork:
        op, old = self.op, self.op.start.shape.primary
        assert old is not None
        filesystems = await filesystems_of(op, old.instance_id, blueprint)
        try:
            replica = await existing_replica(op, blueprint, patience_s=20.0)
        except ActivityError as error:
            raise ApplicationError(
                f"the replica is not ready: {explain(error)}; drop it and make another",
                type=Failure.REFUSED,
                non_retryable=True,
            ) from error
        return handoff_for(op, HandoffState(blueprint, old, replica, filesystems))
