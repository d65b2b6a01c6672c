"""What a decision is made on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from domain.autopilot.move_cost import USUAL_MOVE, MoveCost, MoveProfile
from domain.autopilot.policy import ReplicaMode
from domain.autopilot.pool_records import PriceRecord, Reliability

SHARE_BACK_TO_SPOT = 0.5  # part of the losses after which only on-demand is left, and a move back to spot to pay for


@dataclass(frozen=True, slots=True)
class Needs:
    """What losing and moving a server costs its owner; equal for servers that are decided alike."""

    on_demand_pool: str
    on_demand_usd: float  # per hour; math.inf: there is no on-demand capacity, or its price is not known
    outage_usd_per_h: float
    loss_outage_h: float = 1 / 6  # 0.2 h to replace an instance, less the notice of two minutes
    within: MoveProfile = USUAL_MOVE  # a planned move to a place in the same zone
    beyond: MoveProfile = USUAL_MOVE  # a planned move to any other place
    minimum_stay_h: float = 0.0
    replica: ReplicaMode = ReplicaMode.NONE

    def move(self, position: ServerPosition, to: str, price_usd: float) -> MoveCost:
        """Cost of a planned move to the pool `to`. `price_usd`: per hour, of the pool that it leaves."""
        move_profile = self.within if zone_of(position.pool) == zone_of(to) else self.beyond
        return move_profile.cost(price_usd, self.outage_usd_per_h, position.data_gib)

    @property
    def outage_usd(self) -> float:
        """Cost of the outage of one loss."""
        return self.outage_usd_per_h * self.loss_outage_h

    @property
    def back_to_spot_usd(self) -> float:
        """Cost of the overlap when a server moves from on-demand back to spot."""
        return self.beyond.overlap_h * self.on_demand_usd if math.isfinite(self.on_demand_usd) else 0.0

    @property
    def loss_usd(self) -> float:
        """Cost of one loss: its outage, and the move back from on-demand where nothing else was left."""
        return self.outage_usd + SHARE_BACK_TO_SPOT * self.back_to_spot_usd


@dataclass(frozen=True, slots=True)
class Offer:
    """A spot pool a server can run in, as it is now. Prices in USD per hour."""

    pool: str
    price: PriceRecord
    reliability: Reliability
    tightness: float = 0.0  # of capacity in its region, see pool_records
    blocked: str = ""  # why it must not be entered now: cool-down, limits; empty: it may be
    zone: str = ""  # for limits per zone
    warning: float = 0.0  # log of the factor by which AWS's warnings (scores, rebalance) raise the hazard; 0: none


@dataclass(frozen=True, slots=True)
class ServerPosition:
    """Where a server runs. `replica`: the pool of its replica, empty if it has none."""

    pool: str
    since_h: float
    replica: str = ""
    data_gib: int = 0  # of its data volumes


def zone_of(pool: str) -> str:
    """The first part of a pool's name, see domain.pools."""
    return pool.partition("/")[0]
