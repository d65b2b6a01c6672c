"""Offers rated by a forecaster instead of by the built-in hazard: the one place where forecasts meet the policy.

A forecaster is asked once for all pools, before any server is decided for. Where it fails, the built-in rating is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.appraisal import RatedOffer, rate_offers
from domain.autopilot.decision_inputs import Offer
from domain.autopilot.pool_supply import RegionPlatform, Supply
from domain.autopilot.tuning import DEFAULT_TUNING, Tuning
from domain.forecasting.forecaster import Forecast, Forecaster, ForecastFailed, checked_forecasts


@dataclass(frozen=True, slots=True)
class OfferRatings:
    """`model`: the forecaster that was asked, empty for none. `fell_back`: why the built-in rating is used instead."""

    rated: Sequence[RatedOffer]
    model: str = ""
    fell_back: str = ""


def rate_with_forecaster(offers: Iterable[Offer], tuning: Tuning, forecaster: Forecaster | None = None) -> OfferRatings:
    """Rate the offers by the forecaster; without one, or when it fails, by the built-in hazard."""
    seen = list(offers)
    rated = rate_offers(seen, tuning)
    if forecaster is None:
        return OfferRatings(rated)
    try:
        forecasts = checked_forecasts(forecaster.forecast(seen), len(seen)) if seen else []
    except ForecastFailed as why:
        return OfferRatings(rated, forecaster.name, str(why))
    return OfferRatings([_rated_by(*one) for one in zip(seen, rated, forecasts, strict=True)], forecaster.name)


def _rated_by(offer: Offer, one: RatedOffer, forecast: Forecast) -> RatedOffer:
    """AWS's own warnings (rebalance recommendations, scores) are no feature of a model, so they are added here."""
    if not one.up:
        return one
    hazard = forecast.losses_per_h * math.exp(offer.warning)
    return replace(one, hazard_per_h=hazard, price_usd=one.price_usd * forecast.price_ratio)


@dataclass(frozen=True)
class ForecastRatings:
    """What a forecaster says of all regions. `fell_back`: why there is no forecast; the ratings are built-in then."""

    model: str
    rated: Mapping[RegionPlatform, Mapping[str, RatedOffer]]
    fell_back: str = ""

    @property
    def label(self) -> str:
        """Short form for the record of a decision."""
        return f"{self.model}:fell_back" if self.fell_back else self.model


def rate_by_forecast(
    supplies: Mapping[RegionPlatform, Supply], forecaster: Forecaster, tuning: Tuning = DEFAULT_TUNING
) -> ForecastRatings:
    """One question for all pools of all regions, so that it fails for all of them or for none."""
    places = [(where, offer) for where, supply in supplies.items() for offer in supply.offers.values()]
    found = rate_with_forecaster([offer for _, offer in places], tuning, forecaster)
    rated: dict[RegionPlatform, dict[str, RatedOffer]] = {where: {} for where in supplies}
    for (where, offer), one in zip(places, found.rated, strict=True):
        rated[where][offer.pool] = one
    return ForecastRatings(forecaster.name, rated, found.fell_back)
