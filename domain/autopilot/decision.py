"""What was decided, why, and on which figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.autopilot.move_cost import FREE_MOVE, MoveCost, payback_h


class DecisionKind(StrEnum):
    STAY = "stay"
    MOVE = "move"
    REPLICA = "replica"
    DROP_REPLICA = "drop_replica"
    ON_DEMAND = "on_demand"
    WAIT = "wait"


class DecisionReason(StrEnum):
    BEST_ALREADY = "best_already"  # no pool costs less
    GAIN_TOO_SMALL = "gain_too_small"  # below the least gain, or the next change of price may undo it
    NOT_PAID_BACK = "not_paid_back"  # the gain is not expected to last until the move is paid back
    MINIMUM_STAY = "minimum_stay"
    CHEAPER = "cheaper"  # a move that pays
    LOST = "lost"  # its pool is gone: it goes where it is cheapest
    SPOT_TOO_RISKY = "spot_too_risky"  # on-demand costs less than any pool with its risk
    NO_SPOT = "no_spot"  # no pool is up and open
    CROWDED = "crowded"  # a pool would do, but the client's limit for it or for its zone is reached
    ON_DEMAND_SHARE = "on_demand_share"  # the client wants this part of its fleet on on-demand
    RISK_AVERTED = "risk_averted"  # a replica averts more than it costs
    RISK_PASSED = "risk_passed"
    REPLICA_LOST = "replica_lost"
    ALWAYS_REPLICA = "always_replica"
    NOT_WANTED = "not_wanted"  # the server's policy asks for no replica


@dataclass(frozen=True, slots=True)
class Decision:
    """`pool`: where the server, or its replica, is to run. Money in USD, gain per hour. `move`: the cost of moving."""

    kind: DecisionKind
    pool: str
    reason: DecisionReason
    cost_now_usd: float = 0.0  # expected per hour where it is, risk included
    cost_then_usd: float = 0.0  # expected per hour in the best other place
    move: MoveCost = FREE_MOVE

    @property
    def gain_usd(self) -> float:
        return self.cost_now_usd - self.cost_then_usd

    @property
    def payback_h(self) -> float:
        """Hours until the move has paid for itself; infinite if it never does."""
        return payback_h(self.move.usd, self.gain_usd)
