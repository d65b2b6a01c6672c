"""Data volumes into another zone: an early full snapshot while the old instance serves, a last
incremental one after fencing, and volumes made from it in the new zone.

The new instance writes to a copy: once clients reach it, going back would lose what it acknowledged.
So it is healthy and compared with the old one before any address leads to it, the commit comes
next, and only then traffic. That step goes forward alone (invariant 2).
"""

from __future__ import annotations

from dataclasses import replace

from domain import ec2
from domain.blueprint import BlockDevice
from domain.names import client_token
from domain.records import RecordKind
from domain.servers import Handoff
from workflows.handoffs.base import HandoffWork, run_concurrently
from workflows.timeouts import FOREVER, UNDO, poll

_SNAPSHOT_S = 6 * 3600.0  # the early one, of a large volume
_FINAL_S = 1800.0
_VOLUME_S = 300.0
_DEVICE_S = 60.0


class SnapshotHandoff(HandoffWork):
    kind = Handoff.SNAPSHOT
    traffic_follows_commit = True
    early: list[str]
    final: list[str]
    copies: list[str]

    async def copy(self) -> None:
        """Full while serving, so that the one within the outage holds the difference alone."""
        self.early = await self._snapshots("early")
        await self.op.ec2(ec2.CONFIRM_SNAPSHOTS, self._ids(self.early), ec2.ActionResult, poll(_SNAPSHOT_S))

    async def fence(self) -> None:
        self.op.undo.register("old workload started again", self.restart_old)
        await self.leave_targets()
        await self.stop_old()

    async def move(self) -> None:
        await self._move_volumes()

    async def serve(self) -> None:
        """Healthy, and reached by nobody yet."""
        self.op.undo.register("new workload stopped", self.stop_new)
        await self.start_new()

    async def open_traffic(self) -> None:
        await run_concurrently(self.move_addresses(), self.enter_targets())
        self.mark_served()

    def devices_after(self) -> list[BlockDevice]:
        copies = dict(zip((v.volume_id for v in self.state.before.data_volumes), self.copies, strict=True))
        return [
            replace(device, volume_id=copies.get(device.volume_id, device.volume_id))
            for device in super().devices_after()
        ]

    async def clean_up(self) -> list[str]:
        """The last snapshot is kept until the next; the old volumes and older snapshots go."""
        volumes = [volume.volume_id for volume in self.state.before.data_volumes]
        if not self.op.capacity.has_ended(self.state.old.instance_id):  # kept as the replica
            pairs = [ec2.Attachment(volume.volume_id, volume.device) for volume in self.state.before.data_volumes]
            on_old = ec2.AttachInput(self.region, self.state.old.instance_id, pairs)
            await self.op.ec2(ec2.DETACH_VOLUMES, on_old, ec2.ActionResult, FOREVER)
        await self._delete(ec2.DELETE_VOLUMES, volumes)
        await self._delete(ec2.DELETE_SNAPSHOTS, [*self.early, *self.op.shape.kept_snapshots])
        return self.final

    async def _move_volumes(self) -> None:
        self.final = await self._snapshots("final")
        await self.op.ec2(ec2.CONFIRM_SNAPSHOTS, self._ids(self.final), ec2.ActionResult, poll(_FINAL_S))
        self.copies = await self._volumes()
        await self.op.ec2(ec2.CONFIRM_VOLUMES, self._ids(self.copies), ec2.ActionResult, poll(_VOLUME_S))
        on_new = self._on_new()
        await self.op.ec2(ec2.ATTACH_VOLUMES, on_new, ec2.ActionResult, poll(_DEVICE_S))

    async def _snapshots(self, which: str) -> list[str]:
        volumes = [volume.volume_id for volume in self.state.before.data_volumes]
        token = client_token(self.op.start.operation_id, f"snapshot-{which}", 0, self.state.new.instance_id)
        self._intend(token, "snapshot", [volume.size_gib for volume in self.state.before.data_volumes])
        request = ec2.SnapshotInput(
            self.region,
            volumes,
            token,
            f"{self.op.server.name}: {which} copy of {self.state.old.instance_id}",
            self.op.tags,
        )
        made: list[str] = []
        self.op.undo.register(f"{which} snapshots deleted", lambda: self._unmake_snapshots(request, made))
        await self.op.await_ledger()
        made += (await self.op.ec2(ec2.CREATE_SNAPSHOTS, request, ec2.CreateResult)).ids
        self._made(token, "snapshot", made)
        return made

    async def _unmake_snapshots(self, request: ec2.SnapshotInput, made: list[str]) -> None:
        """Also when the answer was lost: what the token made is found by it."""
        search = replace(request, find_only=True)
        if not (found := made):
            found = (await self.op.ec2(ec2.CREATE_SNAPSHOTS, search, ec2.CreateResult, UNDO)).ids
            self._found(request.token, "snapshot", found, len(request.volume_ids))
        await self._delete(ec2.DELETE_SNAPSHOTS, found)

    async def _volumes(self) -> list[str]:
        token = client_token(self.op.start.operation_id, "volumes", 0, self.state.new.instance_id)
        data = self.state.before.data_volumes
        self._intend(token, "volume", [volume.size_gib for volume in data])
        request = ec2.CreateVolumesInput(
            self.region,
            self.state.new.candidate.pool.zone,
            [_copy_of(volume, snapshot) for volume, snapshot in zip(data, self.final, strict=True)],
            token,
            self.op.tags,
        )
        made: list[str] = []
        self.op.undo.register("copied volumes deleted", lambda: self._unmake_volumes(request, made))
        await self.op.await_ledger()
        made += (await self.op.ec2(ec2.CREATE_VOLUMES, request, ec2.CreateResult)).ids
        self._made(token, "volume", made)
        return made

    async def _unmake_volumes(self, request: ec2.CreateVolumesInput, made: list[str]) -> None:
        search = replace(request, find_only=True)
        if not (found := made):
            found = (await self.op.ec2(ec2.CREATE_VOLUMES, search, ec2.CreateResult, UNDO)).ids
            self._found(request.token, "volume", found, len(request.copies))
        if not self.state.new.discarded:
            attached = [ec2.Attachment(volume_id, "") for volume_id in found]
            on_new = ec2.AttachInput(self.region, self.state.new.instance_id, attached)
            await self.op.ec2(ec2.DETACH_VOLUMES, on_new, ec2.ActionResult, UNDO)
        await self._delete(ec2.DELETE_VOLUMES, found)

    async def _delete(self, activity: str, ids: list[str]) -> None:
        if not ids:
            return
        await self.op.ec2(activity, self._ids(ids), ec2.ActionResult, FOREVER if self.op.committed else UNDO)
        for resource_id in ids:
            self.op.recorder.add(RecordKind.RESOURCE_GONE, resource_id=resource_id, how="deleted")

    def _intend(self, token: str, kind: str, sizes: list[int]) -> None:
        for position, gib in enumerate(sizes):
            self.op.recorder.add(
                RecordKind.RESOURCE_INTENDED, token=f"{token}/{position}", type=kind, step="copy", details={"gib": gib}
            )

    def _made(self, token: str, kind: str, ids: list[str]) -> None:
        for position, resource_id in enumerate(ids):
            self.op.recorder.add(
                RecordKind.RESOURCE_MADE, token=f"{token}/{position}", type=kind, resource_id=resource_id
            )

    def _found(self, token: str, kind: str, ids: list[str], count: int) -> None:
        """What a call made whose answer was lost comes into the ledger; what it did not make goes out of it."""
        self._made(token, kind, ids)
        for position in range(len(ids), count):
            self.op.recorder.add(RecordKind.RESOURCE_GONE, token=f"{token}/{position}", how="never_made")

    def _ids(self, ids: list[str]) -> ec2.IdsInput:
        return ec2.IdsInput(self.region, ids)

    def _on_new(self) -> ec2.AttachInput:
        data = self.state.before.data_volumes
        pairs = [ec2.Attachment(copy, volume.device) for copy, volume in zip(self.copies, data, strict=True)]
        return ec2.AttachInput(self.region, self.state.new.instance_id, pairs)


def _copy_of(volume: BlockDevice, snapshot_id: str) -> ec2.VolumeCopy:
    return ec2.VolumeCopy(
        snapshot_id=snapshot_id,
        device=volume.device,
        size_gib=volume.size_gib,
        volume_type=volume.volume_type,
        iops=volume.iops,
        throughput_mib_s=volume.throughput_mib_s,
        encrypted=volume.encrypted,
        kms_key_id=volume.kms_key_id,
        tags=volume.tags,
    )
