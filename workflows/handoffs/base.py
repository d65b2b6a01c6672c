"""What the handoffs share: traffic, addresses, fencing, and their undo."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from domain import ec2
from domain.blueprint import BlockDevice, Blueprint
from domain.host import HOST_QUIESCE, HOST_SERVE, Filesystem, QuiesceReport, QuiesceRequest, ServeReport, ServeRequest
from domain.servers import Handoff, Placement
from workflows.activity_calls import explain
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.replacement_instances import discard, end_instance
from workflows.timeouts import CALL, FENCE_RESERVE_S, FOREVER, UNDO, Limits, poll


@dataclass
class HandoffState:
    """From whom to whom, and what there is to carry."""

    before: Blueprint
    old: Placement
    new: Replacement
    filesystems: list[Filesystem] = field(default_factory=list)
    fenced: bool = False  # the old instance can no longer write or serve
    old_gone: bool = False  # the old instance has ended


class HandoffWork(ABC):
    """One handoff. `order` is the order of its steps between `copy` and `commit`."""

    kind: Handoff
    order: tuple[str, ...] = ("fence", "move", "serve")
    traffic_follows_commit = False

    def __init__(self, op: Operation, move: HandoffState) -> None:
        self.op = op
        self.state = move
        self.region = op.server.region
        self.outage_from = workflow.now()
        self.outage_ms: int | None = None

    async def copy(self) -> None:
        """What can move early, while the old instance serves."""
        self.op.note("nothing moves early")

    @abstractmethod
    async def fence(self) -> None: ...

    @abstractmethod
    async def move(self) -> None: ...

    @abstractmethod
    async def serve(self) -> None: ...

    @property
    def compared_in_last_step(self) -> bool:
        """Whether everything that is compared is in place before the last step of `order` begins."""
        return True

    async def open_traffic(self) -> None:
        """After the commit, where traffic follows it."""
        assert not self.traffic_follows_commit, "a handoff whose traffic follows its commit says how"

    async def clean_up(self) -> list[str]:
        """After the commit: remove what is no longer needed; return the snapshots that are kept."""
        return list(self.op.shape.kept_snapshots)

    def blueprint_after(self) -> Blueprint:
        """Of the new instance, as far as it is known without asking: what it would be rescued by."""
        new, pool = self.state.new, self.state.new.candidate.pool
        return replace(
            self.state.before,
            instance_id=new.instance_id,
            pool=str(pool),
            zone=pool.zone,
            subnet_id=new.candidate.subnet_id,
            network_interface_id=new.network_interface_id,
            private_ip=new.private_ip,
            spot_request_id=new.spot_request_id,
            block_devices=self.devices_after(),
        )

    def devices_after(self) -> list[BlockDevice]:
        """The data volumes that came along, and the new instance's own root."""
        own, root = self.state.new.volume_ids, self.state.before.root
        roots = [replace(root, volume_id=own[0])] if root and own else []
        return [*roots, *self.state.before.data_volumes]

    # --- fencing

    async def stop_old(self) -> None:
        """The old host stops writing, or its instance ends. Nothing else counts as fenced (invariant 1)."""
        if self.state.fenced or self.state.old_gone:
            return
        self.outage_from = workflow.now()
        budget = self.op.policy.quiesce_timeout_s
        left = self.op.urgency.seconds_left(FENCE_RESERVE_S / 2)
        budget = budget if left is None else max(2.0, min(budget, left))
        try:
            await self._quiesce(self.state.old.instance_id, budget)
        except ActivityError as error:
            if not self.op.emergency:
                raise
            self.op.note(f"not fenced from inside ({explain(error)}): its instance is ended first")
            await self.end_old()
        self.state.fenced = True

    async def end_old(self) -> None:
        """A host that cannot be fenced is ended, and its end is waited for."""
        await end_instance(self.op, self.state.old, self.state.before.dying_root, "could not be fenced")
        self.state.old_gone = True

    async def _quiesce(self, instance_id: str, budget: float) -> None:
        request = QuiesceRequest(self.op.start.operation_id, self.state.filesystems, budget)
        pickup = 5.0 if self.op.emergency else 15.0
        await self.op.host(instance_id, HOST_QUIESCE, request, QuiesceReport, budget, pickup)

    async def restart_as_replica(self) -> None:
        """What a former primary does as the replica: with state, nothing (invariant 1)."""
        self.op.note(f"{self.state.old.instance_id} stays as the replica")

    async def restart_old(self) -> None:
        """Undo of the fence: the old workload serves again, once the new one surely does not."""
        if self.op.doomed or self.state.old_gone:
            return
        await self._resume(self.state.old.instance_id)
        self.state.fenced = False

    async def stop_new(self) -> None:
        """Undo of serving: the new host stops and unmounts everything, or its instance is ended."""
        if self.state.new.discarded:
            return
        try:
            await self._quiesce(self.state.new.instance_id, min(15.0, self.op.policy.quiesce_timeout_s))
        except ActivityError:
            await discard(self.op, self.state.new)

    async def _resume(self, instance_id: str) -> ServeReport:
        policy = self.op.policy
        request = ServeRequest(
            self.op.start.operation_id, self.state.filesystems, policy.resume_timeout_s, policy.hook_timeout_s
        )
        seconds = policy.resume_timeout_s + policy.hook_timeout_s
        return await self.op.host(instance_id, HOST_SERVE, request, ServeReport, seconds)

    async def start_new(self) -> None:
        await self._resume(self.state.new.instance_id)
        self.mark_served()

    def mark_served(self) -> None:
        self.outage_ms = round((workflow.now() - self.outage_from) / timedelta(milliseconds=1))

    # --- addresses

    async def move_addresses(self) -> None:
        if not self._addresses():
            return
        self.op.undo.register("addresses back to the old instance", self.return_addresses)
        await self.op.ec2(ec2.MOVE_ADDRESSES, self._address_input(to_new=True), ec2.ActionResult, self._onward())

    async def return_addresses(self) -> None:
        if self.op.doomed or self.state.old_gone:
            return
        await self.op.ec2(ec2.MOVE_ADDRESSES, self._address_input(to_new=False), ec2.ActionResult, UNDO)

    def _onward(self) -> Limits:
        """Past the commit there is only forward, for as long as it takes."""
        return FOREVER if self.op.committed else CALL

    def _addresses(self) -> bool:
        return bool(self.state.before.elastic_ips or self._secondary())

    def _secondary(self) -> list[str]:
        """Secondary private addresses stay in their subnet: they move within the zone alone."""
        same = self.state.before.subnet_id == self.state.new.candidate.subnet_id
        return self.state.before.secondary_private_ips if same else []

    def _address_input(self, *, to_new: bool) -> ec2.AddressesInput:
        new, before = self.state.new, self.state.before
        return ec2.AddressesInput(
            region=self.region,
            instance_id=new.instance_id if to_new else before.instance_id,
            network_interface_id=new.network_interface_id if to_new else before.network_interface_id,
            elastic_ips=before.elastic_ips,
            secondary_private_ips=self._secondary(),
            former_primary_ip=before.private_ip,
        )

    # --- target groups

    def targets_of_new(self) -> ec2.TargetsInput:
        return ec2.TargetsInput(
            self.region, self.state.new.instance_id, self.state.new.private_ip, self.state.before.targets
        )

    def targets_of_old(self) -> ec2.TargetsInput:
        return ec2.TargetsInput(
            self.region, self.state.before.instance_id, self.state.before.private_ip, self.state.before.targets
        )

    async def enter_targets(self) -> None:
        """The new instance is healthy behind its target groups."""
        if not self.state.before.targets:
            return
        self.op.undo.register("new instance out of the target groups", self.withdraw_new)
        await self.op.ec2(ec2.REGISTER_TARGETS, self.targets_of_new(), ec2.ActionResult, self._onward())
        patience = None if self.op.committed else self.op.policy.resume_timeout_s
        await self.op.ec2(ec2.CONFIRM_TARGETS, self.targets_of_new(), ec2.ActionResult, poll(patience))

    async def withdraw_new(self) -> None:
        await self.op.ec2(ec2.DEREGISTER_TARGETS, self.targets_of_new(), ec2.ActionResult, UNDO)

    async def leave_targets(self) -> None:
        """The old instance drains: no new requests, those open may finish."""
        if not self.state.before.targets:
            return
        self.op.undo.register("old instance back into the target groups", self.readmit_old)
        await self.op.ec2(ec2.DEREGISTER_TARGETS, self.targets_of_old(), ec2.ActionResult, CALL)

    async def await_drained(self) -> None:
        if self.state.before.targets and not self.state.old_gone:
            seconds = self.op.policy.drain_s
            left = self.op.urgency.seconds_left(FENCE_RESERVE_S / 2)
            limit = seconds if left is None else min(seconds, left)
            try:
                await self.op.ec2(ec2.CONFIRM_DRAINED, self.targets_of_old(), ec2.ActionResult, poll(max(1.0, limit)))
            except ActivityError as error:
                # The load balancer closes requests that outlast the drain, after its own delay.
                self.op.note(f"still draining after {limit:.0f} s: {explain(error)}")

    async def readmit_old(self) -> None:
        if self.op.doomed or self.state.old_gone:
            return
        await self.op.ec2(ec2.REGISTER_TARGETS, self.targets_of_old(), ec2.ActionResult, UNDO)


async def run_concurrently(*works: Awaitable[None]) -> None:
    """Run several at once; when one fails, let the others end, then raise the first failure."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            if not task.done():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
