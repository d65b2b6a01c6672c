"""A model compared with the built-in policy: what it would have decided, and what that would cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.autopilot.appraisal import Appraisal, rate_offers
from domain.autopilot.decision import Decision, DecisionKind
from domain.autopilot.fleet_evaluation import ExperienceByKey, ServerCase, markets_of
from domain.autopilot.forecast_ratings import ForecastRatings
from domain.autopilot.pool_supply import RegionPlatform, Supply
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import DEFAULT_TUNING, Tuning


@dataclass(frozen=True)
class ShadowComparison:
    """One client's servers in one pass. Costs are USD per hour of the places that each would choose, price and risk
    as the built-in policy computes them."""

    model_id: str
    client_id: str
    decisions: int = 0
    agreed: int = 0
    fell_back: int = 0
    cost_usd: float = 0.0
    built_in_cost_usd: float = 0.0
    failure: str = ""


def compare_shadow(
    cases: Sequence[ServerCase],
    supplies: Mapping[RegionPlatform, Supply],
    informing: ForecastRatings,
    learnt: ExperienceByKey,
    at_h: float,
    tuning: Tuning = DEFAULT_TUNING,
) -> list[ShadowComparison]:
    """By client. Each server is decided separately: gates and limits on crowding are the same for both."""
    clients = {case.client_id for case in cases}
    if informing.fell_back:
        counts = {client: sum(case.client_id == client for case in cases) for client in clients}
        return [
            ShadowComparison(informing.model, client, fell_back=count, failure=informing.fell_back)
            for client, count in sorted(counts.items())
        ]
    rated = {
        where: {one.pool: one for one in rate_offers(supplies[where].offers.values(), tuning)} for where in supplies
    }
    built_in = markets_of(cases, supplies, rated, learnt, at_h, tuning, {})
    model = markets_of(cases, supplies, rated, learnt, at_h, tuning, dict.fromkeys(clients, informing))
    found: dict[str, ShadowComparison] = {}
    for case, ours, theirs in zip(cases, built_in, model, strict=True):
        one, other = (
            decide_server(case.position, ours.appraisal, tuning),
            decide_server(case.position, theirs.appraisal, tuning),
        )
        so_far = found.get(case.client_id) or ShadowComparison(informing.model, case.client_id)
        found[case.client_id] = ShadowComparison(
            informing.model,
            case.client_id,
            so_far.decisions + 1,
            so_far.agreed + ((one.kind, one.pool) == (other.kind, other.pool)),
            0,
            so_far.cost_usd + _cost(case, other, ours.appraisal),
            so_far.built_in_cost_usd + _cost(case, one, ours.appraisal),
        )
    return [found[client] for client in sorted(found)]


def _cost(case: ServerCase, decision: Decision, market: Appraisal) -> float:
    """Cost of the place it would be in; 0 where that is not known."""
    pool = decision.pool if decision.kind in (DecisionKind.MOVE, DecisionKind.ON_DEMAND) else case.position.pool
    if pool == market.needs.on_demand_pool:
        return market.needs.on_demand_usd if math.isfinite(market.needs.on_demand_usd) else 0.0
    known = market.by_pool.get(pool)
    return known.cost_usd if known else 0.0
