"""The figures of a decision, for its record and for people: what it was made on, and its result. USD, hours; JSON."""

from __future__ import annotations

import math
from typing import Any

from domain.autopilot.appraisal import CandidateCost
from domain.autopilot.fleet_evaluation import JudgedCase
from domain.pools import Pool

CANDIDATES_KEPT = 5  # candidates whose figures are kept with a decision


def decision_figures(one: JudgedCase, candidates: int = CANDIDATES_KEPT) -> dict[str, Any]:
    """`candidates`: how many of the best other pools are included; the chosen one is always among them."""
    decision, needs, position = one.verdict.decision, one.case.needs, one.case.position
    return {
        "cost_now_usd_per_h": _number(decision.cost_now_usd),
        "cost_then_usd_per_h": _number(decision.cost_then_usd),
        "gain_usd_per_h": _number(decision.gain_usd),
        "move_usd": _number(decision.move.usd),
        "move_overlap_usd": _number(decision.move.overlap_usd),
        "move_snapshot_usd": _number(decision.move.snapshot_usd),
        "move_outage_usd": _number(decision.move.outage_usd),
        "payback_h": _number(decision.payback_h),
        "on_demand_usd_per_h": _number(needs.on_demand_usd),
        "outage_usd_per_h": _number(needs.outage_usd_per_h),
        "loss_usd": _number(needs.loss_usd),
        "left_out": one.case.left_out or None,
        "since_h": _number(one.market.at_h - position.since_h),
        "here": pool_figures(one, position.pool),
        "replica": pool_figures(one, position.replica) if position.replica else None,
        "candidates": [pool_figures(one, pool) for pool in _others(one, candidates)],
        "model": _model(one),
    }


def _others(one: JudgedCase, count: int) -> list[str]:
    here, chosen = one.case.position.pool, one.verdict.decision.pool
    best = [found.pool for found in one.market.ranked[: count + 1] if found.pool != here][:count]
    if chosen in one.market.by_pool and chosen not in (here, *best):
        best[count - 1 :] = [chosen]
    return best


def _model(one: JudgedCase) -> dict[str, Any] | None:
    """Whose forecasts the figures use, or why they do not use them."""
    if one.informed is None:
        return None
    return {"id": one.informed.model, "used": not one.informed.fell_back, "fell_back": one.informed.fell_back}


def pool_figures(one: JudgedCase, pool: str) -> dict[str, Any]:
    """One pool as it was in the decision."""
    found = one.market.by_pool.get(pool)
    return {"pool": pool} if found is None else {"pool": pool} | _priced(found) | _inputs(one, pool)


def _priced(found: CandidateCost) -> dict[str, Any]:
    return {
        "usd_per_h": _number(found.price_usd),
        "losses_per_h": _number(found.hazard_per_h),
        "risk_usd_per_h": _number(found.risk_usd),
        "cost_usd_per_h": _number(found.cost_usd),
        "up_h": _number(found.rated.up_h),
        "up": found.up,
        "blocked": found.blocked,
    }


def _inputs(one: JudgedCase, pool: str) -> dict[str, Any]:
    """What went into the risk from our own history and from AWS's warnings."""
    offer, known, place = one.supply.offers[pool], one.supply.known, Pool.parse(pool)
    score = known.scores.get((place.zone, place.instance_type))
    return {
        "own_history": pool in known.histories,
        "losses": _number(offer.reliability.losses),
        "availability": _number(offer.reliability.availability),
        "tightness": _number(offer.tightness),
        "advisor_band": known.bands.get(place.instance_type),
        "placement_score": score.score if score else None,
        "score_fallen": score.fallen if score else None,
        "rebalance_h_ago": _number(known.rebalanced[pool]) if pool in known.rebalanced else None,
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
