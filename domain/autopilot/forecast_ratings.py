"""A model's word on everything that is offered: asked once for all pools, before anybody is decided for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.autopilot.appraisal import RatedOffer
from domain.autopilot.pool_supply import Supply
from domain.autopilot.tuning import DEFAULT_TUNING, Tuning
from domain.forecasting.forecaster import Forecaster
from domain.forecasting.rating import rate_with_forecaster

RegionPlatform = tuple[str, str]  # region, platform


@dataclass(frozen=True)
class ForecastRatings:
    """`rated`: by the model, or by the built-in reckoning where `fell_back` says why there is no forecast."""

    model: str
    rated: Mapping[RegionPlatform, Mapping[str, RatedOffer]]
    fell_back: str = ""

    @property
    def label(self) -> str:
        """For the record of a decision, in short."""
        return f"{self.model}:fell_back" if self.fell_back else self.model


def rate_by_forecast(
    supplies: Mapping[RegionPlatform, Supply], forecaster: Forecaster, tuning: Tuning = DEFAULT_TUNING
) -> ForecastRatings:
    """One question for all pools of all regions; it fails for all of them or for none."""
    places = [(where, offer) for where, supply in supplies.items() for offer in supply.offers.values()]
    found = rate_with_forecaster([offer for _, offer in places], tuning, forecaster)
    rated: dict[RegionPlatform, dict[str, RatedOffer]] = {where: {} for where in supplies}
    for (where, offer), one in zip(places, found.rated, strict=True):
        rated[where][offer.pool] = one
    return ForecastRatings(forecaster.name, rated, found.fell_back)
