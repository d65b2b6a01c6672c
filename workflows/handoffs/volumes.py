"""Data volumes in the same zone: fence, detach, attach, mount. The outage is from stop to start."""

from __future__ import annotations

from domain import ec2
from domain.servers import Handoff
from workflows.handoffs.base import HandoffWork, run_concurrently
from workflows.operations.replacement_instances import discard
from workflows.timeouts import UNDO, poll

_DEVICE_S = 60.0  # a detach or attach that takes longer hangs on a busy device


class VolumesHandoff(HandoffWork):
    kind = Handoff.VOLUMES

    async def fence(self) -> None:
        self.op.undo.register("old workload started again", self.restart_old)
        await self.leave_targets()
        await self.stop_old()

    async def move(self) -> None:
        self.op.undo.register("volumes back to the old instance", self.return_volumes)
        await run_concurrently(self._move_volumes(), self.move_addresses())

    async def serve(self) -> None:
        self.op.undo.register("new workload stopped", self.stop_new)
        await self.start_new()
        await self.enter_targets()

    @property
    def compared_in_last_step(self) -> bool:
        return not self.state.before.targets  # the last step registers them

    async def _move_volumes(self) -> None:
        old, new = self._on(self.state.old.instance_id), self._on(self.state.new.instance_id)
        await self.op.ec2(ec2.DETACH_VOLUMES, old, ec2.ActionResult, poll(_DEVICE_S))
        await self.op.ec2(ec2.ATTACH_VOLUMES, new, ec2.ActionResult, poll(_DEVICE_S))

    async def return_volumes(self) -> None:
        """Take the volumes from the replacement, and give them back to the old one if it lives on."""
        old, new = self._on(self.state.old.instance_id), self._on(self.state.new.instance_id)
        if not self.state.new.discarded:
            await self.op.ec2(ec2.DETACH_VOLUMES, new, ec2.ActionResult, UNDO)
        if self.op.doomed or self.state.old_gone:
            await discard(self.op, self.state.new)
            return
        await self.op.ec2(ec2.ATTACH_VOLUMES, old, ec2.ActionResult, UNDO)

    def _on(self, instance_id: str) -> ec2.AttachInput:
        return ec2.AttachInput(
            self.region,
            instance_id,
            [ec2.Attachment(volume.volume_id, volume.device) for volume in self.state.before.data_volumes],
        )
