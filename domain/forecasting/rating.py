"""The one place where forecasts meet the policy: offers in, rated offers out, and whose word they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.appraisal import Rated, rate
from domain.autopilot.decision_inputs import Offer
from domain.autopilot.tuning import Tuning
from domain.forecasting.forecaster import Forecast, Forecaster, ForecastFailed, sound


@dataclass(frozen=True, slots=True)
class Informed:
    """`model`: whose forecasts were asked for, empty for none; `fell_back`: why the built-in reckoning is used."""

    rated: Sequence[Rated]
    model: str = ""
    fell_back: str = ""


def rate_informed(offers: Iterable[Offer], tuning: Tuning, forecaster: Forecaster | None = None) -> Informed:
    """The offers rated by the forecaster, or by the built-in reckoning where there is none or it fails."""
    seen = list(offers)
    rated = rate(seen, tuning)
    if forecaster is None:
        return Informed(rated)
    try:
        forecasts = sound(forecaster.forecast(seen), len(seen)) if seen else []
    except ForecastFailed as why:
        return Informed(rated, forecaster.name, str(why))
    return Informed([_by(*one) for one in zip(seen, rated, forecasts, strict=True)], forecaster.name)


def _by(offer: Offer, one: Rated, forecast: Forecast) -> Rated:
    """What AWS itself says of a pool (rebalance recommendations, scores) is in no feature: it counts on top."""
    if not one.up:
        return one
    hazard = forecast.losses_per_h * math.exp(offer.warning)
    return replace(one, hazard_per_h=hazard, price_usd=one.price_usd * forecast.price_ratio)
