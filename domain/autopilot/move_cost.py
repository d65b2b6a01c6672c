"""What a planned move costs its owner, part by part. Decisions, plans and backtests all use this calculation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from domain.autopilot.tuning import DEFAULT_TUNING
from domain.savings.accrual import MONTH_H, SNAPSHOT_MICRO_USD_PER_GIB_MONTH
from domain.savings.amounts import MICRO_PER_USD

SNAPSHOT_USD_PER_GIB_H = SNAPSHOT_MICRO_USD_PER_GIB_MONTH / MICRO_PER_USD / MONTH_H  # as the ledger of savings books it
# The last snapshots stay until the next move to another zone replaces them. Nobody knows when that is, so a move pays
# for them as long as its gain counts.
SNAPSHOTS_KEPT_H = DEFAULT_TUNING.horizon_h


@dataclass(frozen=True, slots=True)
class MoveCost:
    """USD. `overlap_usd`: both instances run. `snapshot_usd`: of data volumes. `outage_usd`: its cost to the owner."""

    overlap_usd: float = 0.0
    snapshot_usd: float = 0.0
    outage_usd: float = 0.0

    @property
    def usd(self) -> float:
        return self.overlap_usd + self.snapshot_usd + self.outage_usd


FREE_MOVE = MoveCost()


@dataclass(frozen=True, slots=True)
class MoveProfile:
    """How a server moves. `overlap_h`: both instances are paid for. `outage_h`: its service is down.

    `copies`: its data volumes are copied by snapshots: an early one while it serves, deleted after the move, and a last
    one, which is kept. Each counts with the size of the whole volume, since EC2 does not tell what a snapshot holds.
    """

    overlap_h: float = 0.2
    outage_h: float = 0.0
    copies: bool = False

    def snapshot_usd(self, data_gib: float) -> float:
        return data_gib * SNAPSHOT_USD_PER_GIB_H * (self.overlap_h + SNAPSHOTS_KEPT_H) if self.copies else 0.0

    def cost(self, price_usd: float, outage_usd_per_h: float, data_gib: float) -> MoveCost:
        """Cost of leaving a place with this price per hour. With an infinite (unknown) price, no overlap."""
        overlap_usd = self.overlap_h * price_usd if math.isfinite(price_usd) else 0.0
        return MoveCost(overlap_usd, self.snapshot_usd(data_gib), self.outage_h * outage_usd_per_h)


USUAL_MOVE = MoveProfile()


def payback_h(move_usd: float, gain_usd: float) -> float:
    """Hours until a move has paid for itself, with this gain per hour; infinite if it never does."""
    return move_usd / gain_usd if gain_usd > 0 else math.inf
