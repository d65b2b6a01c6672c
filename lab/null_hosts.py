"""No hosts at all (`--no-hosts`): for tests of the EC2 half alone, and for fleets too large for processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from lab.contracts import AgentImage, BootSpec, DeviceBusy, HealthCheck


class NullHosts:
    """Remembers what it was told. `busy` names volumes that refuse to be unplugged, as mounted ones do.

    `journal`: a file that gets a line of JSON for each change, for a program that simulates the hosts.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._journal = journal.open("a", buffering=1) if journal else None
        self.live: dict[str, BootSpec] = {}
        self.volumes: dict[str, str | None] = {}
        self.snapshots: dict[str, str] = {}
        self.plugged: dict[str, tuple[str, str]] = {}
        self.addresses: dict[str, str | None] = {}
        self.targets: dict[str, dict[str, str]] = {}
        self.listeners: dict[str, str] = {}
        self.notices: dict[str, str | None] = {}
        self.rebalances: dict[str, str | None] = {}
        self.busy: set[str] = set()
        self.image = AgentImage()

    def boot(self, spec: BootSpec) -> None:
        self.live[spec.instance_id] = spec
        self._note(boot=spec.instance_id, region=spec.region, account=spec.account_id)

    def reboot(self, instance_id: str) -> None: ...

    def shutdown(self, instance_id: str) -> None: ...

    def power_off(self, instance_id: str) -> None:
        self.live.pop(instance_id, None)
        self._note(off=instance_id)

    def create_volume(self, volume_id: str, snapshot_id: str | None) -> None:
        self.volumes[volume_id] = snapshot_id

    def delete_volume(self, volume_id: str) -> None:
        self.volumes.pop(volume_id, None)

    def snapshot(self, snapshot_id: str, volume_id: str) -> None:
        self.snapshots[snapshot_id] = volume_id

    def delete_snapshot(self, snapshot_id: str) -> None:
        self.snapshots.pop(snapshot_id, None)

    def plug(self, volume_id: str, instance_id: str, device: str) -> None:
        self.plugged[volume_id] = (instance_id, device)
        self._note(plug=volume_id, instance=instance_id, device=device)

    def unplug(self, volume_id: str, force: bool = False) -> None:
        if volume_id in self.busy and not force:
            raise DeviceBusy(volume_id)
        self.plugged.pop(volume_id, None)
        self._note(unplug=volume_id)

    def mounted(self, volume_id: str) -> bool:
        return volume_id in self.busy

    def forward(self, address: str, instance_id: str | None) -> None:
        self.addresses[address] = instance_id

    def open_listener(self, target_group: str, address: str, port: int, check: HealthCheck) -> None:
        self.listeners[target_group] = f"{address}:{port}"

    def close_listener(self, target_group: str) -> None:
        self.listeners.pop(target_group, None)

    def register_target(self, target_group: str, instance_id: str, address: str, port: int) -> None:
        self.targets.setdefault(target_group, {})[instance_id] = "healthy"

    def deregister_target(self, target_group: str, instance_id: str, drain_s: float) -> None:
        self.targets.get(target_group, {}).pop(instance_id, None)

    def target_health(self, target_group: str) -> Mapping[str, str]:
        return dict(self.targets.get(target_group, {}))

    def spot_notice(self, instance_id: str, action: str | None, at: datetime | None) -> None:
        self.notices[instance_id] = action
        if action and at:
            self._note(notice=instance_id, action=action, at=at.isoformat())

    def rebalance_notice(self, instance_id: str, at: datetime | None) -> None:
        self.rebalances[instance_id] = at.isoformat() if at else None

    def kill_agent(self, instance_id: str) -> bool:
        return instance_id in self.live

    def kill_workload(self, instance_id: str) -> bool:
        return instance_id in self.live

    def hang_agent(self, instance_id: str, hung: bool) -> bool:
        return instance_id in self.live

    def partition(self, instance_id: str, cut: bool) -> None: ...

    def truth(self) -> Mapping[str, object]:
        return {
            "live": sorted(self.live),
            "volumes": dict(self.volumes),
            "snapshots": dict(self.snapshots),
            "plugged": dict(self.plugged),
            "addresses": dict(self.addresses),
            "listeners": dict(self.listeners),
            "notices": dict(self.notices),
            "rebalances": dict(self.rebalances),
        }

    def set_hook_faults(self, faults: Mapping[str, object]) -> None: ...

    def set_image(self, image: AgentImage) -> None:
        self.image = image

    def close(self) -> None:
        if self._journal:
            self._journal.close()

    def _note(self, **what: str) -> None:
        if self._journal:
            self._journal.write(json.dumps(what) + "\n")
