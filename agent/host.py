"""What the control plane may ask of this host: ready, inventory, quiesce, resume.

Blocking functions of a request and a deadline, without Temporal. `agent.activities` makes activities of them.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, replace
from datetime import UTC, datetime

from agent import __version__
from agent.boot import boot_id, booted_at
from agent.commands import run
from agent.deadline import Deadline, HostError, HostLock
from agent.filesystems import data_filesystems, mount, mounted, unmount
from agent.hooks import START, STOP, WARM_UP, Hooks
from agent.mount_holders import mount_holders
from agent.state_dir import QUIESCED, StateDir
from agent.state_dir import WARM_UP as WARM_UP_STATE
from domain.host import (
    HookRun,
    Inventory,
    InventoryRequest,
    QuiesceReport,
    QuiesceRequest,
    ReadyReport,
    ReadyRequest,
    ServeReport,
    ServeRequest,
)

log = logging.getLogger(__name__)

INVENTORY_S = 20.0


class Host:
    """This machine. Each verb is idempotent, and raises HostError when it cannot be done before its deadline."""

    def __init__(self, instance_id: str, hooks: Hooks, state: StateDir) -> None:
        self.instance_id = instance_id
        self._hooks = hooks
        self._state = state
        self._changes = HostLock()
        self._warming = threading.Lock()

    def ready(self, request: ReadyRequest, deadline: Deadline) -> ReadyReport:
        hooks = self._warm_up(request.operation_id, deadline)
        if request.check_health:
            hooks = self._hooks.until_healthy(request.operation_id, deadline, hooks)
        return ReadyReport(self.instance_id, __version__, booted_at(), hooks)

    def inventory(self, request: InventoryRequest, deadline: Deadline) -> Inventory:
        return Inventory(self.instance_id, data_filesystems(deadline), self._hooks.present(), __version__)

    def quiesce(self, request: QuiesceRequest, deadline: Deadline) -> QuiesceReport:
        """When this returns, nothing on this host writes to those filesystems any more."""
        with self._changes.hold(deadline):
            in_reserve = min(2.0, 0.2 * deadline.left)  # to flush and unmount once the stop hook has ended
            hooks = self._hooks.run_or_fail(STOP, request.operation_id, deadline.within(deadline.left - in_reserve), [])
            try:
                _flush(deadline)
                unmount(request.filesystems, deadline)
            except HostError as error:
                raise HostError(str(error) + mount_holders([fs.target for fs in request.filesystems]), hooks) from error
            now = datetime.now(UTC)
            marker: dict[str, object] = {"operation": request.operation_id, "instance": self.instance_id}
            self._state.write(QUIESCED, marker | {"at": now.isoformat()})
            return QuiesceReport(self.instance_id, now, request.filesystems, hooks)

    def resume(self, request: ServeRequest, deadline: Deadline) -> ServeReport:
        """Mount and start within `timeout_s`, then be healthy within `health_timeout_s`."""
        with self._changes.hold(deadline):
            start = deadline.within(request.timeout_s)
            if request.filesystems:
                now = mounted(start)
                for filesystem in sorted(request.filesystems, key=lambda fs: len(fs.target)):  # outer ones first
                    mount(filesystem, now, start)
            self._state.remove(QUIESCED)
            hooks = self._hooks.run_or_fail(START, request.operation_id, start, [])
            hooks = self._hooks.until_healthy(request.operation_id, deadline.within(request.health_timeout_s), hooks)
            mounted_here = [replace(filesystem, device="") for filesystem in request.filesystems]  # was the old host's
            return ServeReport(self.instance_id, datetime.now(UTC), mounted_here, hooks)

    def _warm_up(self, operation_id: str, deadline: Deadline) -> list[HookRun]:
        """Run the hook once a boot. A second request waits for the first one's run and returns that."""
        while not self._warming.acquire(timeout=0.05):
            deadline.pause(0.0)
            if not deadline.left:
                raise HostError("the warm-up hook is still running for an earlier request")
        try:
            boot = f"{self.instance_id}/{boot_id()}"
            kept = self._state.read(WARM_UP_STATE)
            if kept.get("boot") == boot and isinstance(kept.get("hooks"), list):
                return [HookRun(**run) for run in kept["hooks"]]  # type: ignore[attr-defined]
            hooks = self._hooks.run_or_fail(WARM_UP, operation_id, deadline, [])
            self._state.write(WARM_UP_STATE, {"boot": boot, "hooks": [asdict(hook) for hook in hooks]})
            return hooks
        finally:
            self._warming.release()


def _flush(deadline: Deadline) -> None:
    """Flush all filesystems: a handoff by image reads the root volume from outside."""
    outcome = run(["sync"], deadline)
    if not outcome.ok:
        raise HostError(f"could not flush to disk: {outcome.output.strip() or 'sync did not end in time'}")
