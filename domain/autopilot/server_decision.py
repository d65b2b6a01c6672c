"""The decision for one server, from an appraisal of the market and the server's position.

It compares costs per hour: price plus hazard times the cost of a loss. The hazard of a pool falls with its age, so a
pool is entered once its saving against on-demand exceeds its risk; no waiting time has to be configured. A server
stays where it is unless another place is expected to bring a multiple of the move's cost before that place is lost or
prices change again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from domain.autopilot.appraisal import Appraisal, CandidateCost
from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.decision_inputs import Needs, ServerPosition, zone_of
from domain.autopilot.tuning import Tuning


def decide_server(
    position: ServerPosition, market: Appraisal, tuning: Tuning, barred: Collection[str] = ()
) -> Decision:
    """`barred`: pools that this server must not enter now, though others may; see fleet_decision."""
    if position.pool == market.needs.on_demand_pool:
        return _from_on_demand(position, market, tuning, barred)
    now = market.by_pool.get(position.pool)
    if now is None or not now.up:
        return _after_loss(market, tuning, barred)
    return _from_spot(position, now, market, tuning, barred)


def _after_loss(market: Appraisal, tuning: Tuning, barred: Collection[str]) -> Decision:
    needs, best = market.needs, market.best(barred)
    if best is None and math.isinf(needs.on_demand_usd):
        return Decision(DecisionKind.WAIT, "", DecisionReason.NO_SPOT)
    if best is None:
        return Decision(
            DecisionKind.ON_DEMAND, needs.on_demand_pool, DecisionReason.NO_SPOT, cost_then_usd=needs.on_demand_usd
        )
    for one in market.open:
        if one.pool not in barred and (one.cost_usd < needs.on_demand_usd or _worth_a_try(one, needs, tuning)):
            return Decision(DecisionKind.MOVE, one.pool, DecisionReason.LOST, cost_then_usd=one.cost_usd)
    return Decision(
        DecisionKind.ON_DEMAND, needs.on_demand_pool, DecisionReason.SPOT_TOO_RISKY, best.cost_usd, needs.on_demand_usd
    )


def _worth_a_try(one: CandidateCost, needs: Needs, tuning: Tuning) -> bool:
    """Whether to enter a young pool right after a loss, instead of going to on-demand first.

    It saves the move back if the pool lives until it is old enough to be entered, and is cheaper meanwhile. It risks
    one more outage. The hazard is scale * age ** -power, so that age, and the chance to reach it, have a closed form.
    The time in the pool is computed with a constant hazard.
    """
    saving, shape = needs.on_demand_usd - one.price_usd, tuning.shape
    if saving <= 0 or one.hazard_per_h <= 0 or not tuning.at_once:
        return False
    age = one.rated.up_h + shape.offset_h
    lasts = age * math.pow(one.risk_usd / saving, 1 / shape.power) - age
    foreseen = one.hazard_per_h / shape.rate(one.rated.up_h) * shape.expected(one.rated.up_h, one.rated.up_h + lasts)
    lost = -math.expm1(-foreseen)
    return (1 - lost) * needs.back_to_spot_usd + saving * lasts * lost / foreseen > lost * needs.outage_usd


def _from_on_demand(position: ServerPosition, market: Appraisal, tuning: Tuning, barred: Collection[str]) -> Decision:
    needs, now_usd = market.needs, market.needs.on_demand_usd

    # The cost of a loss includes the move back to spot, so the hazard must not shorten the stay a second time.
    def brings(one: CandidateCost) -> float:
        return (now_usd - one.cost_usd) * tuning.horizon_h

    best = _destination(position, (now_usd, now_usd), market, tuning, barred, brings)
    if best is None:
        return Decision(DecisionKind.WAIT, position.pool, DecisionReason.NO_SPOT, now_usd)
    move = needs.move(position, best.pool, now_usd)
    figures = (now_usd, best.cost_usd, move)
    if best.cost_usd >= now_usd:
        return Decision(DecisionKind.WAIT, position.pool, DecisionReason.SPOT_TOO_RISKY, *figures)
    if within_minimum_stay(position, market):
        return Decision(DecisionKind.WAIT, position.pool, DecisionReason.MINIMUM_STAY, *figures)
    if brings(best) <= tuning.margin * move.usd:
        return Decision(DecisionKind.WAIT, position.pool, DecisionReason.NOT_PAID_BACK, *figures)
    return Decision(DecisionKind.MOVE, best.pool, DecisionReason.CHEAPER, *figures)


def _from_spot(
    position: ServerPosition, now: CandidateCost, market: Appraisal, tuning: Tuning, barred: Collection[str]
) -> Decision:
    def brings(one: CandidateCost) -> float:
        return _gain(now, one, tuning) * _lasts(one, tuning)

    best = _destination(position, (now.cost_usd, now.price_usd), market, tuning, barred, brings)
    if best is None or best.cost_usd >= now.cost_usd:
        return Decision(
            DecisionKind.STAY, now.pool, DecisionReason.BEST_ALREADY, now.cost_usd, best.cost_usd if best else 0.0
        )
    move = market.needs.move(position, best.pool, now.price_usd)
    figures = (now.cost_usd, best.cost_usd, move)
    if within_minimum_stay(position, market):
        return Decision(DecisionKind.STAY, now.pool, DecisionReason.MINIMUM_STAY, *figures)
    if _gain(now, best, tuning) <= tuning.noise * _usual_change(now, best):
        return Decision(DecisionKind.STAY, now.pool, DecisionReason.GAIN_TOO_SMALL, *figures)
    if brings(best) <= tuning.margin * move.usd:
        return Decision(DecisionKind.STAY, now.pool, DecisionReason.NOT_PAID_BACK, *figures)
    return Decision(DecisionKind.MOVE, best.pool, DecisionReason.CHEAPER, *figures)


def _destination(
    position: ServerPosition,
    now: tuple[float, float],
    market: Appraisal,
    tuning: Tuning,
    barred: Collection[str],
    brings: Callable[[CandidateCost], float],
) -> CandidateCost | None:
    """The cheapest other pool, or the cheapest of its own zone if the cheaper move makes up for the higher cost.

    `now`: cost and price per hour where it is. `brings`: USD that a candidate brings until the stay there ends.
    """
    best, needs = market.best(barred, position.pool), market.needs
    if best is None or needs.within == needs.beyond:
        return best
    near = market.best(barred, position.pool, zone_of(position.pool))
    if near is None or near.cost_usd >= now[0]:
        return best
    return max(best, near, key=lambda one: brings(one) - tuning.margin * needs.move(position, one.pool, now[1]).usd)


def within_minimum_stay(position: ServerPosition, market: Appraisal) -> bool:
    """Whether its minimum stay is not over yet."""
    return market.at_h - position.since_h < market.needs.minimum_stay_h


def _gain(now: CandidateCost, best: CandidateCost, tuning: Tuning) -> float:
    """USD per hour that a move brings: the whole difference in price, and a part of that in risk."""
    return now.price_usd - best.price_usd + tuning.risk_believed * (now.risk_usd - best.risk_usd)


def _usual_change(now: CandidateCost, best: CandidateCost) -> float:
    """USD per hour that the next change of either price may take from a gain."""
    return now.rated.typical_change * now.price_usd + best.rated.typical_change * best.price_usd


def _lasts(best: CandidateCost, tuning: Tuning) -> float:
    """Expected hours of the stay there."""
    return min(tuning.horizon_h, 1 / best.hazard_per_h) if best.hazard_per_h else tuning.horizon_h
