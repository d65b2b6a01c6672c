"""The expected cost per hour of every candidate, once for all servers that are decided alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.deciding.facts import Needs, Offer
from domain.deciding.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Figures:
    """One candidate: what it costs to be in. USD per hour."""

    pool: str
    price_usd: float
    hazard_per_h: float  # losses per hour
    cost_usd: float  # price, and hazard times the cost of a loss
    entry_usd: float  # the same with the caution that entering asks for
    up: bool
    typical_change: float = 0.0  # of its price, relative
    blocked: str = ""

    @property
    def open(self) -> bool:
        return self.up and not self.blocked


@dataclass(frozen=True, slots=True)
class Appraisal:
    """The market at one moment for servers with the same needs."""

    at_h: float
    needs: Needs
    ranked: tuple[Figures, ...]  # every pool, by entry cost
    by_pool: Mapping[str, Figures]

    def best(self, *without: str) -> Figures | None:
        """The cheapest that may be entered, other than these."""
        return next((one for one in self.ranked if one.open and one.pool not in without), None)


def hazard(offer: Offer, tuning: Tuning) -> float:
    """Losses per hour: by age, by the pool's own record of losses and of absence, by its region now."""
    record = offer.reliability
    own = math.pow(record.factor(tuning.prior_losses), tuning.own)
    shared = math.exp(tuning.absence * (1 - record.availability) + tuning.tight * offer.tightness)
    return tuning.shape.rate(record.up_h) * own * shared


def appraise(offers: Iterable[Offer], needs: Needs, at_h: float, tuning: Tuning) -> Appraisal:
    found = [_figures(offer, needs, tuning) for offer in offers]
    found.sort(key=lambda one: (one.entry_usd, one.pool))
    return Appraisal(at_h, needs, tuple(found), {one.pool: one for one in found})


def _figures(offer: Offer, needs: Needs, tuning: Tuning) -> Figures:
    usd, rate = offer.price.usd, hazard(offer, tuning)
    risk = rate * needs.loss_usd
    change = offer.price.typical_change(tuning.noise_changes, tuning.noise_size)
    up, blocked = offer.reliability.up, offer.blocked
    return Figures(offer.pool, usd, rate, usd + risk, usd + tuning.caution * risk, up, change, blocked)
