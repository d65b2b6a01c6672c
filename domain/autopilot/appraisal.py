"""The expected cost per hour of every candidate, once for all servers that are decided alike."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.autopilot.decision_inputs import Needs, Offer, zone_of
from domain.autopilot.tuning import Tuning


@dataclass(frozen=True, slots=True)
class RatedOffer:
    """An offer and its risk, independent of any server."""

    pool: str
    zone: str
    price_usd: float
    typical_change: float  # of its price, relative
    hazard_per_h: float  # losses per hour, as foreseen
    up: bool
    up_h: float
    blocked: str


@dataclass(frozen=True, slots=True)
class CandidateCost:
    """A pool and what it costs to run in it, in USD per hour."""

    rated: RatedOffer
    hazard_per_h: float  # with the caution learnt from experience
    risk_usd: float  # hazard times the cost of a loss
    cost_usd: float  # price and risk

    @property
    def pool(self) -> str:
        return self.rated.pool

    @property
    def price_usd(self) -> float:
        return self.rated.price_usd

    @property
    def up(self) -> bool:
        return self.rated.up

    @property
    def blocked(self) -> str:
        return self.rated.blocked


@dataclass(frozen=True, slots=True)
class Appraisal:
    """The market at one moment for servers with the same needs."""

    at_h: float
    needs: Needs
    ranked: Sequence[CandidateCost]  # every pool, the least cost first
    by_pool: Mapping[str, CandidateCost]
    open: Sequence[CandidateCost]  # of the ranked, those that may be entered

    def best(self, barred: Collection[str] = (), other_than: str = "", zone: str = "") -> CandidateCost | None:
        """The cheapest that may be entered, other than these; only of `zone` if it is given."""
        return next(
            (
                one
                for one in self.open
                if one.pool != other_than and one.pool not in barred and (not zone or zone_of(one.pool) == zone)
            ),
            None,
        )


def hazard(offer: Offer, tuning: Tuning) -> float:
    """Losses per hour, from the pool's age, its own losses and absence, the state of its region, and AWS's warnings."""
    record = offer.reliability
    own = math.pow(record.factor(tuning.prior_losses), tuning.own)
    shared = math.exp(tuning.absence * (1 - record.availability) + tuning.tight * offer.tightness + offer.warning)
    return tuning.shape.rate(record.up_h) * own * shared


def rate_offers(offers: Iterable[Offer], tuning: Tuning) -> list[RatedOffer]:
    return [
        RatedOffer(
            pool=offer.pool,
            zone=offer.zone,
            price_usd=offer.price.usd,
            typical_change=offer.price.typical_change(tuning.noise_changes, tuning.noise_size),
            hazard_per_h=hazard(offer, tuning),
            up=offer.reliability.up,
            up_h=offer.reliability.up_h,
            blocked=offer.blocked,
        )
        for offer in offers
    ]


def caution(tuning: Tuning, losses: float = 0.0, expected: float = 0.0) -> float:
    """The factor for the foreseen risk, after so many losses where so many were expected."""
    suffered = tuning.caution_losses + losses
    return (suffered + tuning.caution_deviations * math.sqrt(suffered)) / (tuning.caution_losses + expected)


def appraise_rated(rated: Iterable[RatedOffer], needs: Needs, at_h: float, learnt: float) -> Appraisal:
    """The market for servers with these needs. `learnt`: the caution learnt from experience."""
    ranked = [_candidate_cost(one, learnt * one.hazard_per_h, needs.loss_usd) for one in rated]
    ranked.sort(key=lambda one: (one.cost_usd, one.rated.pool))
    candidates = [one for one in ranked if one.rated.up and not one.rated.blocked]
    return Appraisal(at_h, needs, ranked, {one.rated.pool: one for one in ranked}, candidates)


def _candidate_cost(one: RatedOffer, hazard_per_h: float, loss_usd: float) -> CandidateCost:
    risk = hazard_per_h * loss_usd
    return CandidateCost(one, hazard_per_h, risk, one.price_usd + risk)
