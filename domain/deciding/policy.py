"""The decision for one server: an appraisal of the market and where the server is, in; what to do, out.

It reasons in cost per hour: price plus hazard times the cost of a loss. A falling hazard makes the
time to wait before a pool is entered follow from that: the pool is entered once its saving against
on-demand exceeds its risk. A server stays where it is unless another place is expected to bring a
multiple of the move's cost before that place is lost or the prices change again.
"""

from __future__ import annotations

import math

from domain.deciding.appraisal import Appraisal, Figures
from domain.deciding.decision import Decision, Kind, Reason
from domain.deciding.facts import Placement
from domain.deciding.tuning import Tuning


def decide(placed: Placement, market: Appraisal, tuning: Tuning, *, guarded: bool = False) -> Decision:
    """`guarded`: spot does not pay in this market (see guard): on-demand, until it does."""
    if placed.pool == market.needs.on_demand_pool:
        return _from_on_demand(placed, market, tuning, guarded)
    now = market.by_pool.get(placed.pool)
    if now is None or not now.up:
        return _after_loss(market, guarded)
    if guarded:
        return _leave(now, market, Reason.GUARDED)
    return _from_spot(placed, now, market, tuning)


def _after_loss(market: Appraisal, guarded: bool) -> Decision:
    needs, best = market.needs, market.best()
    if guarded:
        return Decision(Kind.ON_DEMAND, needs.on_demand_pool, Reason.GUARDED)
    if best is None and math.isinf(needs.on_demand_usd):
        return Decision(Kind.WAIT, "", Reason.NO_SPOT)
    if best is None:
        return Decision(Kind.ON_DEMAND, needs.on_demand_pool, Reason.NO_SPOT, cost_then_usd=needs.on_demand_usd)
    if best.entry_usd < needs.on_demand_usd:
        return Decision(Kind.MOVE, best.pool, Reason.LOST, cost_then_usd=best.cost_usd)
    return Decision(Kind.ON_DEMAND, needs.on_demand_pool, Reason.SPOT_TOO_RISKY, best.entry_usd, needs.on_demand_usd)


def _from_on_demand(placed: Placement, market: Appraisal, tuning: Tuning, guarded: bool) -> Decision:
    needs, best = market.needs, market.best()
    if guarded or best is None:
        reason = Reason.GUARDED if guarded else Reason.NO_SPOT
        return Decision(Kind.WAIT, placed.pool, reason, needs.on_demand_usd)
    move = needs.overlap_h * needs.on_demand_usd
    figures = (needs.on_demand_usd, best.entry_usd, move)
    if best.entry_usd >= needs.on_demand_usd:
        return Decision(Kind.WAIT, placed.pool, Reason.SPOT_TOO_RISKY, *figures)
    if _too_soon(placed, market):
        return Decision(Kind.WAIT, placed.pool, Reason.MINIMUM_STAY, *figures)
    # What a loss costs holds the way back to spot, so the stay is not cut short by the hazard once more.
    if (needs.on_demand_usd - best.entry_usd) * tuning.horizon_h <= tuning.margin * move:
        return Decision(Kind.WAIT, placed.pool, Reason.NOT_PAID_BACK, *figures)
    return Decision(Kind.MOVE, best.pool, Reason.CHEAPER, *figures)


def _from_spot(placed: Placement, now: Figures, market: Appraisal, tuning: Tuning) -> Decision:
    best = market.best(now.pool)
    if best is None or best.entry_usd >= now.cost_usd:
        return Decision(Kind.STAY, now.pool, Reason.BEST_ALREADY, now.cost_usd, best.entry_usd if best else 0.0)
    gain, move = now.cost_usd - best.entry_usd, market.needs.overlap_h * now.price_usd
    figures = (now.cost_usd, best.entry_usd, move)
    if _too_soon(placed, market):
        return Decision(Kind.STAY, now.pool, Reason.MINIMUM_STAY, *figures)
    if gain < _least_gain(now, best, tuning):
        return Decision(Kind.STAY, now.pool, Reason.GAIN_TOO_SMALL, *figures)
    if not _pays(gain, move, best, tuning):
        return Decision(Kind.STAY, now.pool, Reason.NOT_PAID_BACK, *figures)
    return Decision(Kind.MOVE, best.pool, Reason.CHEAPER, *figures)


def _leave(now: Figures, market: Appraisal, reason: Reason) -> Decision:
    needs = market.needs
    move = needs.overlap_h * now.price_usd
    return Decision(Kind.ON_DEMAND, needs.on_demand_pool, reason, now.cost_usd, needs.on_demand_usd, move)


def _too_soon(placed: Placement, market: Appraisal) -> bool:
    return market.at_h - placed.since_h < market.needs.minimum_stay_h


def _least_gain(now: Figures, best: Figures, tuning: Tuning) -> float:
    """Below it, the next change of either price may undo the gain; USD per hour."""
    usual = now.typical_change * now.price_usd + best.typical_change * best.price_usd
    return max(tuning.least_gain * now.price_usd, tuning.noise * usual)


def _pays(gain: float, move: float, best: Figures, tuning: Tuning) -> bool:
    """Whether the gain over the time one can expect to stay covers the move, with a margin."""
    stay = min(tuning.horizon_h, 1 / best.hazard_per_h) if best.hazard_per_h else tuning.horizon_h
    return gain * stay > tuning.margin * move
