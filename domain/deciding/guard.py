"""A watch on the policy itself: what it would have cost here of late, against always on-demand.

A server on paper follows the policy through everything observed. While it has cost more than
on-demand, real servers stay on on-demand: some markets lose instances faster than any estimate from
their past foresees. The paper server goes on, so that spot is trusted again once it pays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from domain.deciding.appraisal import Appraisal
from domain.deciding.decision import Kind
from domain.deciding.facts import Needs, Placement
from domain.deciding.policy import decide
from domain.deciding.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Guard:
    """`excess_usd`: what the paper server paid beyond on-demand until `at_h`, old costs fading."""

    placed: Placement
    at_h: float
    excess_usd: float = 0.0

    def closed(self, needs: Needs, tuning: Tuning) -> bool:
        """Whether spot does not pay here: the excess is beyond what one loss can explain."""
        return self.excess_usd > tuning.guard_losses * needs.loss_usd


def begin(needs: Needs, at_h: float) -> Guard:
    return Guard(Placement(needs.on_demand_pool, at_h), at_h)


def follow(guard: Guard, market: Appraisal, tuning: Tuning) -> Guard:
    """The watch after one more appraisal: the paper server pays for the time that passed, then decides."""
    needs, passed = market.needs, market.at_h - guard.at_h
    if math.isinf(needs.on_demand_usd):
        return guard
    decision = decide(guard.placed, market, tuning)
    paid = guard.excess_usd + passed * (_price(guard.placed.pool, market) - needs.on_demand_usd)
    placed = guard.placed
    if decision.kind in (Kind.MOVE, Kind.ON_DEMAND) and decision.pool != placed.pool:
        paid += _change_usd(placed.pool, market)
        placed = Placement(decision.pool, market.at_h)
    faded = paid * math.exp(-passed / tuning.guard_memory_h)
    return replace(guard, placed=placed, at_h=market.at_h, excess_usd=max(faded, -tuning.guard_credit * needs.loss_usd))


def _price(pool: str, market: Appraisal) -> float:
    figures = market.by_pool.get(pool)
    return figures.price_usd if figures else market.needs.on_demand_usd


def _change_usd(pool: str, market: Appraisal) -> float:
    """A planned move costs its overlap, at the old price; a loss costs its outage."""
    needs, figures = market.needs, market.by_pool.get(pool)
    if figures and not figures.up:
        return needs.outage_usd_per_h * needs.loss_outage_h
    return needs.overlap_h * _price(pool, market)
