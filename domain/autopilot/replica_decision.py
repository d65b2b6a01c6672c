"""Whether a server should have a replica now, and where.

A replica costs the price of its pool every hour. When the server's pool is lost, the replica is promoted within seconds
and so averts the outage, unless both pools are lost together. The risk that remains is added to the price when a place
is chosen, so a cheap pool that is lost together with the server's own is a bad place.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from domain.autopilot.appraisal import Appraisal, CandidateCost
from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.decision_inputs import ServerPosition
from domain.autopilot.policy import ReplicaMode
from domain.autopilot.tuning import Tuning


def decide_replica(
    position: ServerPosition, market: Appraisal, tuning: Tuning, barred: Collection[str] = ()
) -> Decision:
    """STAY: leave it as it is, with or without a replica. The costs are per hour, without a replica and with one."""
    risk = outage_risk(position.pool, market)
    lost = bool(position.replica) and not _runs(position.replica, market)
    if market.needs.replica is ReplicaMode.NONE:
        return _without(position, DecisionReason.NOT_WANTED, risk)
    place = position.replica if position.replica and not lost else _place(position, market, tuning, barred, risk)
    if not place:
        return _without(position, DecisionReason.NO_SPOT, risk)
    cost = _price(place, market) + risk * tuning.together * _is_spot(place, market)
    if market.needs.replica is ReplicaMode.ALWAYS:
        return _with(
            position, place, DecisionReason.REPLICA_LOST if lost else DecisionReason.ALWAYS_REPLICA, risk, cost
        )
    # An existing replica is kept until it averts less than it costs, so that it is not dropped and created in turns.
    asked = 1.0 if position.replica and not lost else tuning.replica_margin
    averted = risk * (1 - tuning.together * _is_spot(place, market))
    if averted > asked * _price(place, market):
        return _with(position, place, DecisionReason.REPLICA_LOST if lost else DecisionReason.RISK_AVERTED, risk, cost)
    return _without(position, DecisionReason.RISK_PASSED, risk, cost)


def outage_risk(pool: str, market: Appraisal) -> float:
    """USD per hour that outages are expected to cost a server in that pool; 0 on on-demand."""
    figures = market.by_pool.get(pool)
    return figures.hazard_per_h * market.needs.outage_usd if figures else 0.0


def _place(position: ServerPosition, market: Appraisal, tuning: Tuning, barred: Collection[str], risk: float) -> str:
    """The pool with the least sum of price and remaining risk, never the server's own; on-demand if that costs less."""
    best: CandidateCost | None = min(
        (one for one in market.open if one.pool != position.pool and one.pool not in barred),
        key=lambda one: (one.price_usd, one.pool),
        default=None,
    )
    spot_usd = best.price_usd + risk * tuning.together if best else math.inf
    on_demand = market.needs.on_demand_usd
    if best and spot_usd <= on_demand:
        return best.pool
    return market.needs.on_demand_pool if math.isfinite(on_demand) else (best.pool if best else "")


def _with(position: ServerPosition, place: str, reason: DecisionReason, risk: float, cost: float) -> Decision:
    kind = DecisionKind.STAY if place == position.replica else DecisionKind.REPLICA
    return Decision(kind, place, reason, risk, cost)


def _without(position: ServerPosition, reason: DecisionReason, risk: float, cost: float = 0.0) -> Decision:
    return Decision(DecisionKind.DROP_REPLICA if position.replica else DecisionKind.STAY, "", reason, risk, cost)


def _runs(pool: str, market: Appraisal) -> bool:
    figures = market.by_pool.get(pool)
    return figures.up if figures else pool == market.needs.on_demand_pool


def _is_spot(pool: str, market: Appraisal) -> bool:
    return pool != market.needs.on_demand_pool


def _price(pool: str, market: Appraisal) -> float:
    return market.by_pool[pool].price_usd if _is_spot(pool, market) else market.needs.on_demand_usd
