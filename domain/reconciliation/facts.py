"""The facts of a reconciliation: what EC2 has, what the records say, and the grace periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain.operations import Outcome


class ResourceKind(StrEnum):
    """As the ledger names them."""

    INSTANCE = "instance"
    VOLUME = "volume"
    SNAPSHOT = "snapshot"
    IMAGE = "image"
    ADDRESS = "address"
    SPOT_REQUEST = "spot_request"


# States in which EC2 still lists a resource that has ended.
_ENDED = frozenset({"shutting-down", "terminated", "deleting", "deleted", "closed", "cancelled", "failed"})


@dataclass(frozen=True)
class FoundResource:
    """A resource that EC2 has, with our tags or in our ledger."""

    kind: ResourceKind
    resource_id: str
    state: str
    client_id: str = ""  # our tags; empty: it carries none
    server_id: str = ""
    operation_id: str = ""
    token: str = ""  # of the call that made it
    made_at: datetime | None = None
    attached_to: str = ""  # the instance of a volume or an address
    made_of: str = ""  # the snapshot of a volume, the volume of a snapshot
    data_volumes: tuple[str, ...] = ()  # of an instance: all but its root
    image_id: str = ""  # of an instance
    impaired: bool = False  # an instance whose status checks fail
    why: str = ""  # the reason that EC2 gives for its state

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


@dataclass(frozen=True)
class ResourceRow:
    """A row of the ledger."""

    row_id: int
    kind: str
    state: str  # intended | live | gone
    client_id: str
    server_id: str
    operation_id: str
    resource_id: str = ""
    token: str = ""
    how: str = ""
    since: datetime | None = None  # when it came into this state


@dataclass(frozen=True)
class Retention:
    """How long what is no longer used is kept, per server (`ServerPolicy`)."""

    keep_retired_s: float = 3600.0
    keep_snapshots: int = 1  # sets: one of an operation each
    keep_snapshots_days: float = 30.0
    keep_images: int = 3
    keep_images_days: float = 90.0


@dataclass(frozen=True)
class ServerFacts:
    server_id: str
    client_id: str
    name: str
    active: bool
    primary: str = ""
    replica: str = ""
    busy: bool = False  # an operation is in progress, or was when the look began
    agent_seen_at: datetime | None = None
    agent_due_at: datetime | None = None  # in a large fleet heartbeats are rare: no silence before that time
    created_at: datetime | None = None
    retention: Retention = Retention()

    def is_silent(self, at: datetime, longest_s: float) -> bool:
        """Its agent was last heard too long ago, or never since it became a server."""
        heard = self.agent_seen_at or self.created_at
        if heard is None or (self.agent_due_at is not None and at <= self.agent_due_at):
            return False
        return (at - heard).total_seconds() > longest_s

    @property
    def instances(self) -> tuple[str, ...]:
        return tuple(one for one in (self.primary, self.replica) if one)


@dataclass(frozen=True)
class OperationFacts:
    operation_id: str
    server_id: str
    status: str

    @property
    def ended(self) -> bool:
        return self.status in frozenset(Outcome)

    @property
    def clean(self) -> bool:
        """Committed or undone. After one that needs attention, any instance may serve."""
        return self.status == Outcome.COMMITTED or self.undone

    @property
    def undone(self) -> bool:
        """It ended without effect: nobody uses what it made."""
        return self.status in (Outcome.ROLLED_BACK, Outcome.CANCELLED)


@dataclass(frozen=True)
class RegionFacts:
    region: str
    at: datetime
    found: Mapping[str, FoundResource] = field(default_factory=dict)  # by resource ID
    rows: tuple[ResourceRow, ...] = ()  # all that are open, and the closed ones of what EC2 has
    servers: Mapping[str, ServerFacts] = field(default_factory=dict)
    operations: Mapping[str, OperationFacts] = field(default_factory=dict)
    looked: frozenset[ResourceKind] = frozenset(ResourceKind)  # kinds that EC2 told completely


@dataclass(frozen=True)
class GracePeriods:
    """Seconds from the first sight of a finding to the action on it."""

    ours_s: float = 900.0  # the ledger has its token: our own call made it
    gone_s: float = 120.0  # longer than EC2's answers may be out of date
    silent_s: float = 120.0  # an agent's silence before the server is checked
