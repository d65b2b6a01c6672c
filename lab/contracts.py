"""What the lab's two halves know about each other.

The EC2 half (`lab.ec2`) answers the wire protocol and decides what is allowed; the host half
(`lab.hosts`) is what can be felt: processes, directories, sockets. The EC2 half calls `Hosts`;
the host half asks back through `Cloud`.

Addresses are real: the lab's VPC is carved from the loopback range, so an instance's private
address (for example 127.20.1.10) can be bound by its workload and reached by its clients, and an
Elastic IP (127.20.200.1) is a TCP forwarder on that address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


class DeviceBusy(Exception):
    """The volume is mounted on a live host, so it cannot be unplugged."""


@dataclass(frozen=True)
class Profile:
    """How long things take in the lab, seconds. `fast` is for tests, `realistic` for measuring."""

    name: str
    launch_s: float  # pending -> running
    boot_s: float  # running -> the host's processes start
    terminate_s: float  # shutting-down -> terminated
    stop_s: float  # stopping -> stopped
    describe_lag_s: float  # how long a new instance is unknown to describes
    attach_s: float  # attaching -> attached
    detach_s: float  # detaching -> available
    snapshot_s: float  # pending -> completed, first (full) snapshot
    snapshot_delta_s: float  # the same for a later one of the same volume
    volume_s: float  # creating -> available
    address_s: float  # an address moves


FAST = Profile("fast", 1.5, 0.2, 0.8, 0.6, 0.3, 0.3, 0.3, 1.0, 0.4, 0.4, 0.1)
REALISTIC = Profile("realistic", 25.0, 8.0, 35.0, 20.0, 3.0, 3.0, 4.0, 90.0, 15.0, 4.0, 1.2)
PROFILES: Mapping[str, Profile] = {p.name: p for p in (FAST, REALISTIC)}


@dataclass(frozen=True)
class AgentImage:
    """What the machine image contains for the agent, as /etc/spot-optimizer/agent.json would.

    The lab hands it to every host it boots, as environment of the agent process.
    """

    control_url: str = ""
    token: str = ""
    temporal_address: str = ""
    temporal_namespace: str = "default"
    hooks: str = ""  # folder of hook executables; empty: the lab's own for the workload


@dataclass(frozen=True)
class BootSpec:
    """One instance as its host sees it when it boots."""

    instance_id: str
    private_ip: str
    region: str
    zone: str
    instance_type: str
    image_id: str
    account_id: str
    user_data: str  # decoded; the lab's image reads JSON: {"workload": "stateless" | "volume", ...}
    tags: Mapping[str, str] = field(default_factory=dict)
    lifecycle: str = "on-demand"


@dataclass(frozen=True)
class HealthCheck:
    """A target group's health check. `path` empty: TCP connect. Intervals in seconds."""

    path: str = "/health"
    interval_s: float = 0.2
    timeout_s: float = 1.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2


class Hosts(Protocol):
    """Processes, directories and sockets. Every method is thread-safe and quick unless it says otherwise."""

    def boot(self, spec: BootSpec) -> None:
        """Start the host's processes: volumes that are plugged are mounted as its fstab says."""

    def reboot(self, instance_id: str) -> None: ...

    def shutdown(self, instance_id: str) -> None:
        """The instance is shutting down or stopping: SIGTERM to the host's process group."""

    def power_off(self, instance_id: str) -> None:
        """SIGKILL the group and wait until it is gone; its mounts end with it."""

    def create_volume(self, volume_id: str, snapshot_id: str | None) -> None:
        """An empty formatted volume (a directory with its filesystem UUID), or a copy of the snapshot."""

    def delete_volume(self, volume_id: str) -> None: ...

    def snapshot(self, snapshot_id: str, volume_id: str) -> None:
        """Copy the volume as it is at this moment. The filesystem UUID is part of the copy."""

    def delete_snapshot(self, snapshot_id: str) -> None: ...

    def plug(self, volume_id: str, instance_id: str, device: str) -> None:
        """The volume is attached. Not mounted: that is the host's affair."""

    def unplug(self, volume_id: str, force: bool = False) -> None:
        """Detach; raises DeviceBusy when mounted on a live host and not forced."""

    def mounted(self, volume_id: str) -> bool: ...

    def forward(self, address: str, instance_id: str | None) -> None:
        """Connections to `address` on the service port reach that instance; None: refused.

        Connections already open to the former instance are closed. The instance's own primary
        private address needs no forwarder.
        """

    def open_listener(self, target_group: str, address: str, port: int, check: HealthCheck) -> None:
        """A load balancer's listener in front of a target group."""

    def close_listener(self, target_group: str) -> None: ...

    def register_target(self, target_group: str, instance_id: str, address: str, port: int) -> None: ...

    def deregister_target(self, target_group: str, instance_id: str, drain_s: float) -> None:
        """No new connections; open ones may finish for `drain_s` seconds."""

    def target_health(self, target_group: str) -> Mapping[str, str]:
        """instance_id -> initial, healthy, unhealthy, draining. Deregistered and drained: absent."""

    def spot_notice(self, instance_id: str, action: str | None, at: datetime | None) -> None:
        """What IMDS `spot/instance-action` says from now on; None: 404 again."""

    def rebalance_notice(self, instance_id: str, at: datetime | None) -> None:
        """What IMDS `events/recommendations/rebalance` says from now on; None: 404 again."""

    def kill_agent(self, instance_id: str) -> bool:
        """SIGKILL to the agent process alone (its host restarts it); False when there is none."""

    def kill_workload(self, instance_id: str) -> bool: ...

    def hang_agent(self, instance_id: str, hung: bool) -> bool:
        """SIGSTOP or SIGCONT to the agent."""

    def partition(self, instance_id: str, cut: bool) -> None:
        """Cut the host's agent off from the control plane and Temporal (best effort in the lab)."""

    def set_hook_faults(self, faults: Mapping[str, object]) -> None:
        """Which hooks of the lab's image fail from now on, and where; {} ends it."""

    def truth(self) -> Mapping[str, object]:
        """Live hosts with pids, mounts, running workloads; volumes with their directories; listeners."""

    def set_image(self, image: AgentImage) -> None: ...

    def close(self) -> None:
        """End every process and socket."""


class InstanceFacts(Protocol):
    """What the host half asks of the EC2 half, for IMDS."""

    def instance_facts(self, instance_id: str) -> Mapping[str, object]:
        """Live facts: instanceType, availabilityZone, imageId, privateIp, tags, userData,
        networkInterfaces ([{mac, privateIps, subnetId}]), lifecycle, metadata options."""


@dataclass(frozen=True)
class LabSettings:
    """All settings of the lab."""

    state_dir: Path
    port: int  # the EC2 endpoint and `/_lab/`
    imds_port: int
    service_port: int  # the workload's port on every host and address
    network: str = "127.20"  # the first two octets of the lab's VPC, inside the loopback range
    region: str = "us-east-1"
    profile: Profile = FAST
    seed: int = 1
    prices: Path | None = None
    access_log: Path | None = None  # a file for a line of JSON per call
