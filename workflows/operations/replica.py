"""A replica: a warm instance that is ready to become the primary. It never runs the workload of a
server that has state, since one workload runs in one place (invariant 1)."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from domain import ec2
from domain.blueprint import Blueprint
from domain.instance_states import InstanceState
from domain.operations import OperationInput, OperationKind, OperationResult
from domain.pools import Candidate, Pool
from domain.records import RecordKind
from domain.servers import Placement
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.planning import PlanningResult, refuse_if_blocked, survey_and_plan
from workflows.operations.reconsider import reconsider_decision
from workflows.operations.replacement_instances import await_ready, end_instance, obtain, volumes_deleted_with
from workflows.timeouts import poll


@workflow.defn
class ReplicaWorkflow:
    """Make a replica (`replica_create`) or end it (`replica_drop`)."""

    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        drop = start.request.kind is OperationKind.REPLICA_DROP
        return await run_to_outcome(self.op, self.drop if drop else self.create)

    async def create(self) -> None:
        op = self.op
        planned = await op.step("plan", self.plan)
        replica = await op.step("launch", lambda: obtain(op, planned.blueprint, planned.candidates))
        await op.step("ready", lambda: await_ready(op, replica, check_health=not planned.blueprint.data_volumes))
        await op.step("commit", lambda: self.commit(replica, planned.blueprint))

    async def plan(self) -> PlanningResult:
        """Another pool than the primary's: one notice must not take both."""
        op, primary = self.op, self.op.start.shape.primary
        assert primary is not None, "ServerWorkflow makes a replica only beside a primary"
        await reconsider_decision(op)
        planned = await survey_and_plan(
            op.ec2,
            op.server,
            op.policy,
            primary.instance_id,
            pool=op.start.request.pool,
            cool_downs=op.capacity.cool_downs,
        )
        refuse_if_blocked(planned.plan, op.policy.accepted_findings)
        return planned

    async def commit(self, replica: Replacement, blueprint: Blueprint) -> None:
        op = self.op
        primary = op.shape.primary
        before = primary.usd_per_hour if primary else 0.0
        price = replica.candidate.usd_per_hour
        op.describe(to_pool=str(replica.candidate.pool), hourly_before=before, hourly_after=before + price)
        op.recorder.add(
            RecordKind.INSTANCE,
            instance_id=replica.instance_id,
            state=InstanceState.RUNNING_REPLICA.value,
            role="replica",
        )
        placement = replace(replica.placement, dies_with=replica.volume_ids if blueprint.dying_root else [])
        await op.commit(replace(op.shape, replica=placement))

    async def drop(self) -> None:
        op, replica = self.op, self.op.start.shape.replica
        assert replica is not None, "ServerWorkflow drops only a replica that exists"
        await reconsider_decision(op)
        op.describe(from_pool=replica.pool)
        await op.step("commit", lambda: op.commit(replace(op.shape, replica=None)))
        await op.step("retire", lambda: self.end(replica))

    async def end(self, replica: Placement) -> None:
        volumes = await volumes_deleted_with(self.op, replica)
        await end_instance(self.op, replica, volumes, "replica dropped")


async def existing_replica(op: Operation, blueprint: Blueprint, patience_s: float) -> Replacement:
    """The server's replica, if it answers within `patience_s`. No rollback ends it: it was there before."""
    replica = op.start.shape.replica
    assert replica is not None, "asked for only where there is one"
    where = ec2.InstanceInput(op.server.region, replica.instance_id)
    confirmed = await op.ec2(ec2.CONFIRM_RUNNING, where, ec2.ConfirmResult, poll(patience_s))
    found = Replacement(
        Candidate(Pool.parse(replica.pool), confirmed.subnet_id, replica.usd_per_hour, 0.0, "its replica"),
        token="",
        instance_id=replica.instance_id,
        spot_request_id=replica.spot_request_id,
        private_ip=confirmed.private_ip,
        network_interface_id=confirmed.network_interface_id,
    )
    op.capacity.add_replacement(replica.instance_id)
    found.volume_ids = list(confirmed.volume_ids[:1])  # its root: nothing else is attached to it yet
    await await_ready(op, found, check_health=not blueprint.data_volumes, pickup_s=patience_s)
    return found
