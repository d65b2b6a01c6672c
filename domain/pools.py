"""A pool: where capacity is bought."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lifecycle(StrEnum):
    SPOT = "spot"
    ON_DEMAND = "on-demand"


@dataclass(frozen=True)
class Pool:
    """Availability zone, instance type and lifecycle; written `us-east-1a/m5.large/spot`."""

    zone: str
    instance_type: str
    lifecycle: Lifecycle

    @classmethod
    def parse(cls, text: str) -> Pool:
        """Raise ValueError, with the form to use, when the text names no pool."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts) or parts[2] not in set(Lifecycle):
            raise ValueError(f"{text!r} is not a pool; write zone/type/lifecycle, us-east-1a/m5.large/spot")
        return cls(parts[0], parts[1], Lifecycle(parts[2]))

    def __str__(self) -> str:
        return f"{self.zone}/{self.instance_type}/{self.lifecycle.value}"

    @property
    def spot(self) -> bool:
        return self.lifecycle is Lifecycle.SPOT


@dataclass(frozen=True)
class Candidate:
    """A pool a server can run in, with the figures and the reason for its place in the ranking."""

    pool: Pool
    subnet_id: str
    usd_per_hour: float
    on_demand_usd_per_hour: float
    reason: str
    placement_score: int | None = None  # 1 to 10, GetSpotPlacementScores
