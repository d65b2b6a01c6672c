"""Operations: what is asked of a server, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from domain.adoption import LaunchSpec
from domain.host import HookRun, Notice
from domain.servers import ServerPolicy, ServerRef, ServerShape


class OperationKind(StrEnum):
    LAUNCH = "launch"
    SWITCH = "switch"
    FAILOVER = "failover"
    TERMINATE = "terminate"  # the server's instances; the server ends
    REPLICA_CREATE = "replica_create"
    REPLICA_DROP = "replica_drop"
    PROMOTE = "promote"
    RELEASE = "release"  # let go: leaves the instance running


class Outcome(StrEnum):
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"


class OperationStatus(StrEnum):
    """queued -> running -> an Outcome. `attention` is a flag beside it, not a status."""

    QUEUED = "queued"
    RUNNING = "running"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"


class Priority(IntEnum):
    """As the field knows them; higher goes first."""

    EMERGENCY = 100
    PERSON = 75
    URGENT = 50
    ORDINARY = 25
    UPKEEP = 10

    @property
    def temporal_key(self) -> int:
        """Temporal's priority key: 1 is first, 5 last."""
        return {100: 1, 75: 2, 50: 3, 25: 4, 10: 5}[self.value]


@dataclass(frozen=True)
class OperationRequest:
    """What is asked of ServerWorkflow, by update `request`."""

    request_id: str
    kind: OperationKind
    priority: Priority = Priority.PERSON
    pool: str = ""  # asked-for pool; empty: the best
    wait: bool = True  # False: refuse with `busy` instead of queueing
    requested_by: str = ""  # token ID, or "autopilot", or "notice"
    notice: Notice | None = None
    launch: LaunchSpec | None = None  # of a new server
    body_digest: str = ""  # of what the caller sent: the same request ID with another digest is refused
    decision_id: str = ""  # of the autopilot: looked at once more before anything is done
    keep_old_s: float = 0.0  # of a switch: the old instance ends so long after the commit, or when more is asked


@dataclass(frozen=True)
class AcceptedRequest:
    operation_id: str
    status: OperationStatus = OperationStatus.QUEUED
    repeated: bool = False  # this request ID was accepted before; nothing new was started


class Refusal(StrEnum):
    """Why ServerWorkflow refuses; the failure's type on the wire is this value."""

    BUSY = "busy"
    SAME_POOL = "same_pool"
    NO_PRIMARY = "no_primary"
    NO_REPLICA = "no_replica"
    HAS_REPLICA = "has_replica"
    ENDED = "ended"
    REQUEST_ID_REUSED = "request_id_reused"


@dataclass(frozen=True)
class OperationInput:
    """What an operation's workflow starts with."""

    operation_id: str
    request: OperationRequest
    server: ServerRef
    policy: ServerPolicy
    shape: ServerShape
    requested_at: datetime
    after_operation: str = ""  # the server's operation before this one: records go after its


@dataclass(frozen=True)
class StepReport:
    name: str
    started_at: datetime
    ms: int
    calls: list[str] = field(default_factory=list)  # "RunInstances", "DescribeInstances x4"
    hooks: list[HookRun] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class AttributeChange:
    """One attribute before and after, and why it may differ; no reason: unexplained."""

    attribute: str
    before: str
    after: str
    reason: str = ""


@dataclass(frozen=True)
class Receipt:
    """The measured record of an operation."""

    operation_id: str
    kind: OperationKind
    outcome: Outcome
    handoff: str = ""
    from_pool: str = ""
    to_pool: str = ""
    reason: str = ""
    requested_at: datetime | None = None
    finished_at: datetime | None = None
    control_outage_ms: int | None = None  # fence began -> serve healthy, by the control plane's clock
    steps: list[StepReport] = field(default_factory=list)
    changes: list[AttributeChange] = field(default_factory=list)
    unexplained_changes: int = 0
    calls: int = 0
    hourly_before: float = 0.0
    hourly_after: float = 0.0
    tried_pools: list[str] = field(default_factory=list)  # "pool: NoCapacity"


@dataclass(frozen=True)
class OperationResult:
    """What an operation hands back to ServerWorkflow: the outcome and the server's new shape."""

    outcome: Outcome
    shape: ServerShape
    receipt: Receipt
    ended: bool = False  # the server has no instance any more, on purpose


@dataclass(frozen=True)
class ServerInput:
    """ServerWorkflow's input, also across continue-as-new."""

    server: ServerRef
    policy: ServerPolicy
    shape: ServerShape = field(default_factory=ServerShape)
    requests: dict[str, str] = field(default_factory=dict)  # request ID -> body digest, latest 500
    notices: list[str] = field(default_factory=list)  # notice IDs already acted on
    last_operation: str = ""
    record_seq: int = 0
    ended: bool = False
    outcomes: dict[str, OperationStatus] = field(default_factory=dict)  # of the requests' operations


@dataclass(frozen=True)
class OperationView:
    operation_id: str
    kind: OperationKind
    priority: int
    status: OperationStatus
    step: str = ""


@dataclass(frozen=True)
class ServerView:
    """ServerWorkflow's answer to the query `state`."""

    shape: ServerShape
    running: OperationView | None = None
    queue: list[OperationView] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class CommitReport:
    """An operation's word to ServerWorkflow that its commit is done: from here it only tidies up."""

    operation_id: str
    shape: ServerShape


# Workflow and handler names, for callers that must not import the workflows.
SERVER_WORKFLOW = "ServerWorkflow"
ADOPT_WORKFLOW = "AdoptWorkflow"
PLAN_WORKFLOW = "PlanWorkflow"
UPDATE_REQUEST = "request"  # OperationRequest -> AcceptedRequest
UPDATE_POLICY = "change_policy"  # ServerPolicy -> None
SIGNAL_NOTICE = "notice"  # Notice, to ServerWorkflow, and from it to an operation
SIGNAL_CANCEL = "cancel_operation"  # operation_id: str, to ServerWorkflow
SIGNAL_COMMITTED = "operation_settled"  # CommitReport, from an operation to ServerWorkflow
SIGNAL_ABORT = "abort"  # reason: str, from ServerWorkflow to an operation
SIGNAL_STOP_KEEPING_OLD = "hurry"  # from ServerWorkflow to an operation: something else waits
QUERY_STATE = "state"  # -> ServerView
