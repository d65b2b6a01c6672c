"""The end of a server: its instances are terminated, or let go of. What holds data is always left."""

from __future__ import annotations

from functools import partial

from temporalio import workflow

from domain import ec2
from domain.instance_states import InstanceState
from domain.names import OWN_TAGS
from domain.operations import OperationInput, OperationKind, OperationResult
from domain.records import RecordKind
from domain.servers import Placement, ServerShape
from workflows.operations.base import Operation
from workflows.operations.outcome import connect_signals, run_to_outcome
from workflows.operations.replacement_instances import ec2_volumes_deleted_with, end_instance, volumes_deleted_with
from workflows.timeouts import FOREVER


@workflow.defn
class TerminateWorkflow:
    """Terminate (`terminate`) or release (`release`) every instance of the server; then it has ended."""

    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        self.op = Operation(start)
        self.roots: list[str] = []  # of the instances that are released
        connect_signals(self.op)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        release = start.request.kind is OperationKind.RELEASE
        return await run_to_outcome(self.op, self.release if release else self.terminate)

    @property
    def instances(self) -> list[Placement]:
        shape = self.op.start.shape
        return [placement for placement in (shape.replica, shape.primary) if placement]

    async def terminate(self) -> bool:
        op = self.op
        await op.step("commit", lambda: op.commit(ServerShape()))
        for placement in self.instances:
            await op.step("retire", partial(self.end, placement))
        await op.step("release", self.remove_tags)
        return True

    async def end(self, placement: Placement) -> None:
        await end_instance(self.op, placement, await volumes_deleted_with(self.op, placement))

    async def release(self) -> bool:
        op = self.op
        await op.step("commit", lambda: op.commit(ServerShape()))
        for placement in self.instances:
            self.roots += await ec2_volumes_deleted_with(op, placement)
            op.recorder.add(
                RecordKind.INSTANCE, instance_id=placement.instance_id, state=InstanceState.RELEASED.value, role=None
            )
        await op.step("release", self.remove_tags)
        return True

    async def remove_tags(self) -> None:
        """Our tags come off what stays: data volumes, addresses, kept snapshots, released instances."""
        kept = self.kept()
        if kept:
            tags = dict.fromkeys(OWN_TAGS, "")
            untag = ec2.TagInput(self.op.server.region, kept, tags, remove=True)
            await self.op.ec2(ec2.TAG, untag, ec2.ActionResult, FOREVER)
        for resource_id in kept:
            self.op.recorder.add(RecordKind.RESOURCE_GONE, resource_id=resource_id, how="released")
        self.op.note(f"{', '.join(kept) or 'nothing'} stays, without our tags")

    def kept(self) -> list[str]:
        shape = self.op.start.shape
        kept = list(shape.kept_snapshots)
        if shape.blueprint:
            kept += [volume.volume_id for volume in shape.blueprint.data_volumes]
            kept += [address.allocation_id for address in shape.blueprint.elastic_ips]
        if self.op.start.request.kind is OperationKind.RELEASE:
            kept += [placement.instance_id for placement in self.instances]
            kept += [placement.spot_request_id for placement in self.instances if placement.spot_request_id]
            kept += self.roots
            if shape.blueprint and shape.blueprint.root and shape.blueprint.root.volume_id not in kept:
                kept.append(shape.blueprint.root.volume_id)
        return kept
