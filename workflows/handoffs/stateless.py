"""Nothing on the machine to keep: the new instance serves before the old one drains.

Both serve for a moment, by design: that is what makes the outage nil. The order of the steps is
therefore serve, move, fence, where a stateful handoff fences first.
"""

from __future__ import annotations

from domain import ec2
from domain.servers import Handoff
from workflows.handoffs.base import HandoffWork
from workflows.timeouts import poll


class StatelessHandoff(HandoffWork):
    kind = Handoff.STATELESS
    order = ("serve", "move", "fence")

    async def serve(self) -> None:
        """Its health was checked when it got ready; now its target groups agree."""
        await self.enter_targets()

    async def move(self) -> None:
        await self.move_addresses()

    async def fence(self) -> None:
        await self.leave_targets()
        await self.await_drained()
        self.op.undo.register("old workload started again", self.restart_old)
        await self.stop_old()
        if not self.state.before.targets and not self._addresses():
            self.mark_served()
        else:
            self.outage_ms = 0

    async def readmit_old(self) -> None:
        """Healthy again before the new one leaves: a rollback has no outage either."""
        await super().readmit_old()
        if not (self.op.doomed or self.state.old_gone):
            patience = poll(self.op.policy.resume_timeout_s)
            await self.op.ec2(ec2.CONFIRM_TARGETS, self.targets_of_old(), ec2.ActionResult, patience)

    async def restart_as_replica(self) -> None:
        """It runs beside the primary, out of the target groups, so that it can take over at once."""
        await self.restart_old()
        await super().restart_as_replica()
