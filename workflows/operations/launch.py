"""Launch: a new server's first instance."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain import ec2
from domain.adoption import LaunchSpec
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.instance_states import InstanceState
from domain.operations import OperationInput, OperationResult
from domain.pools import Candidate, Pool
from domain.records import RecordKind
from domain.servers import ServerShape
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.replacement_instances import await_ready, obtain


@workflow.defn
class LaunchWorkflow:
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await run_to_outcome(self.op, self.launch)

    async def launch(self) -> None:
        op, spec = self.op, self.op.start.request.launch
        assert spec is not None, "ServerWorkflow launches only what is described"
        candidate = self.candidate(spec)
        blueprint = _blueprint(spec, op.server.region)
        instance = await op.step("launch", lambda: obtain(op, blueprint, [candidate]))
        await op.step("ready", lambda: await_ready(op, instance, check_health=False))
        await op.step("commit", lambda: self.commit(instance))

    def candidate(self, spec: LaunchSpec) -> Candidate:
        pool = Pool.parse(spec.pool)
        subnet = spec.subnet_id or self.op.policy.subnets.get(pool.zone, "")
        if not subnet:
            raise ApplicationError(
                f"no subnet for zone {pool.zone}: give launch.subnet_id, or policy.subnets[{pool.zone!r}]",
                type=Failure.REFUSED,
                non_retryable=True,
            )
        return Candidate(pool, subnet, 0.0, 0.0, "asked for")

    async def commit(self, instance: Replacement) -> None:
        op = self.op
        look = ec2.InspectInput(op.server.region, instance.instance_id)
        blueprint = (await op.ec2(ec2.INSPECT, look, ec2.InspectResult)).blueprint
        op.recorder.add(RecordKind.PRIMARY, instance_id=instance.instance_id)
        op.recorder.add(
            RecordKind.INSTANCE,
            instance_id=instance.instance_id,
            state=InstanceState.RUNNING_PRIMARY.value,
            role="primary",
        )
        op.describe(to_pool=str(instance.candidate.pool))
        blueprint = replace(blueprint, own_tags={})
        await op.commit(ServerShape(primary=instance.placement, blueprint=blueprint))


def _blueprint(spec: LaunchSpec, region: str) -> Blueprint:
    """A blueprint of an instance that is not there yet: what the spec says, EC2's defaults for the rest."""
    pool = Pool.parse(spec.pool)
    return Blueprint(
        instance_id="",
        state="",
        region=region,
        account_id="",
        pool=spec.pool,
        image_id=spec.image_id,
        architecture="",
        virtualization_type="",
        root_device_type="ebs",
        root_device_name="",
        vpc_id="",
        subnet_id=spec.subnet_id,
        zone=pool.zone,
        private_ip="",
        public_ip="",
        network_interface_id="",
        security_group_ids=list(spec.security_group_ids),
        key_name=spec.key_name,
        instance_profile_arn=spec.instance_profile_arn,
        user_data_base64=spec.user_data_base64,
        metadata_options={"HttpTokens": "required", "HttpEndpoint": "enabled"},
        tags=dict(spec.tags),
    )
