"""The one place where forecasts meet the policy: offers in, rated offers out, and whose word they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.appraisal import RatedOffer, rate_offers
from domain.autopilot.decision_inputs import Offer
from domain.autopilot.tuning import Tuning
from domain.forecasting.forecaster import Forecast, Forecaster, ForecastFailed, checked_forecasts


@dataclass(frozen=True, slots=True)
class ForecastRating:
    """`model`: whose forecasts were asked for, empty for none; `fell_back`: why the built-in reckoning is used."""

    rated: Sequence[RatedOffer]
    model: str = ""
    fell_back: str = ""


def rate_with_forecaster(
    offers: Iterable[Offer], tuning: Tuning, forecaster: Forecaster | None = None
) -> ForecastRating:
    """The offers rated by the forecaster, or by the built-in reckoning where there is none or it fails."""
    seen = list(offers)
    rated = rate_offers(seen, tuning)
    if forecaster is None:
        return ForecastRating(rated)
    try:
        forecasts = checked_forecasts(forecaster.forecast(seen), len(seen)) if seen else []
    except ForecastFailed as why:
        return ForecastRating(rated, forecaster.name, str(why))
    return ForecastRating([_by(*one) for one in zip(seen, rated, forecasts, strict=True)], forecaster.name)


def _by(offer: Offer, one: RatedOffer, forecast: Forecast) -> RatedOffer:
    """What AWS itself says of a pool (rebalance recommendations, scores) is in no feature: it counts on top."""
    if not one.up:
        return one
    hazard = forecast.losses_per_h * math.exp(offer.warning)
    return replace(one, hazard_per_h=hazard, price_usd=one.price_usd * forecast.price_ratio)
