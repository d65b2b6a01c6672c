"""What ran for a server, when, and as what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.market.observed_prices import PoolKey


class PaidRole(StrEnum):
    """As what an instance is paid for. `overlap`: it hands over, or takes over, and serves nobody yet or any more."""

    PRIMARY = "primary"
    REPLICA = "replica"
    OVERLAP = "overlap"


@dataclass(frozen=True, slots=True)
class InstanceUsage:
    """An instance while it was paid for: from EC2's `running` (or its adoption) until its end was asked for.

    `roles`: when it became `primary`, `replica`, or (None) neither; in the order of time.
    """

    zone: str
    instance_type: str
    spot: bool
    from_at: datetime
    until_at: datetime | None  # None: it runs
    roles: tuple[tuple[datetime, str | None], ...] = ()

    @property
    def pool(self) -> PoolKey:
        return self.zone, self.instance_type


@dataclass(frozen=True, slots=True)
class KeptSnapshot:
    """A snapshot that is kept for a server. What EC2 keeps of it is unknown; it is at most its volume's size."""

    gib: int
    from_at: datetime
    until_at: datetime | None


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """A server, and everything that ran for it in the time looked at. `home_type`: the type it came with."""

    server_id: str
    client_id: str
    region: str
    home_type: str
    instances: tuple[InstanceUsage, ...] = ()
    snapshots: tuple[KeptSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleStretch:
    role: PaidRole
    from_at: datetime
    until_at: datetime


def role_stretches(ran: InstanceUsage, from_at: datetime, until_at: datetime) -> Iterator[RoleStretch]:
    """The instance's time within these moments, by role, without gaps.

    Before its first role it is launched: a replica as what it becomes, any other as overlap.
    """
    start, end = max(ran.from_at, from_at), until_at if ran.until_at is None else min(ran.until_at, until_at)
    first = next((role for _, role in ran.roles if role), None)
    role = PaidRole.REPLICA if first == PaidRole.REPLICA else PaidRole.OVERLAP
    begins = start
    seen = False
    for at, said in ran.roles:
        if at >= end:
            break
        if at > begins:
            yield RoleStretch(role, begins, at)
            begins = at
        seen = seen or said is not None
        role = PaidRole(said) if said else (PaidRole.OVERLAP if seen else role)
    if begins < end:
        yield RoleStretch(role, begins, end)
