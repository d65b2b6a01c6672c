"""A server as its owner describes it, and how it may be moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from domain.autopilot.policy import AutopilotPreferences
from domain.blueprint import Blueprint
from domain.host import Filesystem


class Handoff(StrEnum):
    """How the state of a server follows it to another instance: the handoff."""

    STATELESS = "stateless"
    VOLUMES = "volumes"
    SNAPSHOT = "snapshot"


class ServiceAddress(StrEnum):
    """Where clients find the server, when its owner says so; AUTO: as inspection finds."""

    AUTO = "auto"
    PRIMARY = "primary"  # the primary private address: it can never move


class Retire(StrEnum):
    TERMINATE = "terminate"
    KEEP_REPLICA = "keep_replica"


@dataclass(frozen=True)
class ServerPolicy:
    """What its owner allows. Times in seconds, money in USD per hour."""

    handoff: Handoff = Handoff.STATELESS
    instance_types: list[str] = field(default_factory=list)  # empty: whatever fits, see ranking
    denied_types: list[str] = field(default_factory=list)  # types (m5.large) and families (m5)
    min_network_gbps: float | None = None  # baseline; a type of which it is not known is left out
    min_ebs_mbps: float | None = None
    zones: list[str] = field(default_factory=list)  # empty: every zone with a subnet of ours
    denied_zones: list[str] = field(default_factory=list)
    subnets: dict[str, str] = field(default_factory=dict)  # zone -> subnet ID; empty: found in its VPC
    service_address: ServiceAddress = ServiceAddress.AUTO
    accepted_findings: list[str] = field(default_factory=list)  # codes its owner accepted at adoption
    retire: Retire = Retire.TERMINATE
    launch_timeout_s: float = 300.0
    terminate_timeout_s: float = 180.0
    quiesce_timeout_s: float = 60.0
    resume_timeout_s: float = 60.0
    hook_timeout_s: float = 60.0
    drain_s: float = 30.0
    cool_down_s: float = 1800.0
    failover_pools: int = 3  # pools asked at once in a failover
    max_spot_usd_per_hour: float | None = None
    autopilot: AutopilotPreferences = field(default_factory=AutopilotPreferences)
    keep_retired_s: float = 3600.0  # an instance that the server does without
    keep_snapshots: int = 1  # sets of one operation each
    keep_snapshots_days: float = 30.0  # what is beyond the count
    keep_images: int = 3
    keep_images_days: float = 90.0

    def denies(self, instance_type: str) -> bool:
        return not {instance_type, instance_type.split(".")[0]}.isdisjoint(self.denied_types)

    def contradiction(self) -> str:
        """In what the lists contradict each other, and what to change; empty when they do not."""
        if both := [name for name in self.instance_types if self.denies(name)]:
            return f"{', '.join(both)}: both in instance_types and denied; take it out of one"
        if both := sorted({*self.zones, *self.subnets} & {*self.denied_zones}):
            return f"{', '.join(both)}: both allowed (zones, subnets) and in denied_zones; take it out of one"
        return ""


@dataclass(frozen=True)
class ServerRef:
    """Which server this is about. Small: it travels in every activity input."""

    server_id: str
    client_id: str
    name: str
    region: str


@dataclass(frozen=True)
class Placement:
    """An instance of a server: where it is and what it is."""

    instance_id: str
    pool: str  # str(Pool)
    spot_request_id: str = ""
    usd_per_hour: float = 0.0
    dies_with: list[str] = field(default_factory=list)  # of a replica: its volumes that end with it


@dataclass(frozen=True)
class ServerShape:
    """What ServerWorkflow alone may change, and hands to an operation when it starts it."""

    primary: Placement | None = None
    replica: Placement | None = None
    filesystems: list[Filesystem] = field(default_factory=list)
    cool_downs: dict[str, float] = field(default_factory=dict)  # pool -> epoch seconds it ends
    blueprint: Blueprint | None = None  # of the primary as last inspected: a dead instance tells nothing
    kept_snapshots: list[str] = field(default_factory=list)  # of the last snapshot handoff
    # An operation was broken off and did not put everything back on the primary: what the server has is what
    # `blueprint` says, from before that operation, and not what a look at the instance tells.
    broken_off: bool = False
