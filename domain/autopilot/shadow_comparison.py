"""A model beside the built-in policy: what it would have decided, and what that would cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.autopilot.appraisal import Appraisal, rate
from domain.autopilot.decision import Decision, Kind
from domain.autopilot.fleet_evaluation import Case, Learnt, markets_of
from domain.autopilot.forecast_ratings import Informing, Where
from domain.autopilot.pool_supply import Supply
from domain.autopilot.server_decision import decide
from domain.autopilot.tuning import DEFAULT, Tuning


@dataclass(frozen=True)
class Shadowed:
    """One client's servers in one pass. Costs: USD per hour, price and risk as the built-in reckoning has them, of the
    places each would have the servers in."""

    model_id: str
    client_id: str
    decisions: int = 0
    agreed: int = 0
    fell_back: int = 0
    cost_usd: float = 0.0
    built_in_cost_usd: float = 0.0
    failure: str = ""


def shadowed(
    cases: Sequence[Case],
    supplies: Mapping[Where, Supply],
    informing: Informing,
    learnt: Learnt,
    at_h: float,
    tuning: Tuning = DEFAULT,
) -> list[Shadowed]:
    """By client. What it decides for each server by itself: gates and limits on crowding are the same for both."""
    clients = {case.client_id for case in cases}
    if informing.fell_back:
        counts = {client: sum(case.client_id == client for case in cases) for client in clients}
        return [
            Shadowed(informing.model, client, fell_back=count, failure=informing.fell_back)
            for client, count in sorted(counts.items())
        ]
    rated = {where: {one.pool: one for one in rate(supplies[where].offers.values(), tuning)} for where in supplies}
    built_in = markets_of(cases, supplies, rated, learnt, at_h, tuning, {})
    model = markets_of(cases, supplies, rated, learnt, at_h, tuning, dict.fromkeys(clients, informing))
    found: dict[str, Shadowed] = {}
    for case, ours, theirs in zip(cases, built_in, model, strict=True):
        one, other = decide(case.placed, ours.appraisal, tuning), decide(case.placed, theirs.appraisal, tuning)
        so_far = found.get(case.client_id) or Shadowed(informing.model, case.client_id)
        found[case.client_id] = Shadowed(
            informing.model,
            case.client_id,
            so_far.decisions + 1,
            so_far.agreed + ((one.kind, one.pool) == (other.kind, other.pool)),
            0,
            so_far.cost_usd + _cost(case, other, ours.appraisal),
            so_far.built_in_cost_usd + _cost(case, one, ours.appraisal),
        )
    return [found[client] for client in sorted(found)]


def _cost(case: Case, decision: Decision, market: Appraisal) -> float:
    """Of the place it would be in; nothing where that is not known."""
    pool = decision.pool if decision.kind in (Kind.MOVE, Kind.ON_DEMAND) else case.placed.pool
    if pool == market.needs.on_demand_pool:
        return market.needs.on_demand_usd if math.isfinite(market.needs.on_demand_usd) else 0.0
    known = market.by_pool.get(pool)
    return known.cost_usd if known else 0.0
