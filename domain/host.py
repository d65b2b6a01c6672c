"""The agent's contract: what the control plane may request from a host, and the answers.

These are the agent's Temporal activities, on the queue `domain.names.instance_queue(id)`. Each is
idempotent: done twice, it finds its work done and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# Activity names
HOST_READY = "host_ready"
HOST_INVENTORY = "host_inventory"
HOST_QUIESCE = "host_quiesce"
HOST_SERVE = "host_resume"
HOST_WATCH = "host_watch"


@dataclass(frozen=True)
class HookRun:
    """One run of a hook executable (start, stop, health, warm-up). Absent hooks leave no trace."""

    name: str
    exit_code: int  # -1: killed at its timeout
    ms: int
    output: str = ""  # the last 2,000 characters, both streams


@dataclass(frozen=True)
class Filesystem:
    """A mounted data filesystem, by what identifies it wherever it is attached."""

    uuid: str
    target: str  # mount point, /data
    fstype: str
    options: str = ""
    device: str = ""  # as seen now; never relied on


@dataclass(frozen=True)
class ReadyRequest:
    """Is the host up? Runs the `warm-up` hook once, if there is one.

    `exclusive`: the workload must not be running yet (its state has not arrived): just report.
    """

    operation_id: str
    hook_timeout_s: float = 60.0
    check_health: bool = False  # stateless: the service must already answer (the `health` hook)


@dataclass(frozen=True)
class ReadyReport:
    instance_id: str
    agent_version: str
    booted_at: datetime
    hooks: list[HookRun] = field(default_factory=list)


@dataclass(frozen=True)
class InventoryRequest:
    operation_id: str


@dataclass(frozen=True)
class Inventory:
    """What the host has: its data filesystems and its hooks."""

    instance_id: str
    filesystems: list[Filesystem] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    agent_version: str = ""


@dataclass(frozen=True)
class QuiesceRequest:
    """Fence from inside: stop hook, flush, unmount. After it nothing on the host writes any more."""

    operation_id: str
    filesystems: list[Filesystem] = field(default_factory=list)  # to unmount; empty: none
    timeout_s: float = 60.0  # for all of it; a step under a deadline gets what is left


@dataclass(frozen=True)
class QuiesceReport:
    instance_id: str
    quiesced_at: datetime
    filesystems: list[Filesystem] = field(default_factory=list)  # what was unmounted (or already was)
    hooks: list[HookRun] = field(default_factory=list)


@dataclass(frozen=True)
class ServeRequest:
    """Serve: mount by filesystem identity, start hook, health hook until it passes.

    Never makes a filesystem; a filesystem that is not there yet is waited for, within timeout_s.
    """

    operation_id: str
    filesystems: list[Filesystem] = field(default_factory=list)
    timeout_s: float = 60.0
    health_timeout_s: float = 30.0


@dataclass(frozen=True)
class ServeReport:
    instance_id: str
    healthy_at: datetime
    filesystems: list[Filesystem] = field(default_factory=list)
    hooks: list[HookRun] = field(default_factory=list)


class NoticeKind(StrEnum):
    INTERRUPTION = "interruption"  # spot/instance-action; EC2 Spot Instance Interruption Warning
    REBALANCE = "rebalance"  # events/recommendations/rebalance; EC2 Instance Rebalance Recommendation


class NoticeSource(StrEnum):
    IMDS = "imds"
    EVENTBRIDGE = "eventbridge"
    PERSON = "person"
    LOST = "lost"  # no notice came: the instance was found gone


@dataclass(frozen=True)
class WatchRequest:
    """A long-running activity that returns the first notice not yet in `known`; it heartbeats."""

    known: list[str] = field(default_factory=list)  # notice IDs
    beat_s: float = 8.0  # between two heartbeats of it


@dataclass(frozen=True)
class Notice:
    """AWS's notice that an instance will be (interruption) or may be (rebalance) taken.

    The ID is derived from the instance and the kind, so that one notice heard in several ways is one.
    """

    instance_id: str
    kind: NoticeKind
    source: NoticeSource
    seen_at: datetime
    action: str = "terminate"  # terminate, stop, hibernate
    deadline: datetime | None = None  # when AWS will act; None for a rebalance recommendation

    @property
    def notice_id(self) -> str:
        return f"{self.instance_id}/{self.kind.value}"
