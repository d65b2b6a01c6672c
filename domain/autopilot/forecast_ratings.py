"""A model's word on everything that is offered: asked once for all pools, before anybody is decided for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.autopilot.appraisal import Rated
from domain.autopilot.pool_supply import Supply
from domain.autopilot.tuning import DEFAULT, Tuning
from domain.forecasting.forecaster import Forecaster
from domain.forecasting.rating import rate_informed

Where = tuple[str, str]  # region, platform


@dataclass(frozen=True)
class Informing:
    """`rated`: by the model, or by the built-in reckoning where `fell_back` says why there is no forecast."""

    model: str
    rated: Mapping[Where, Mapping[str, Rated]]
    fell_back: str = ""

    @property
    def said(self) -> str:
        """For the record of a decision, in short."""
        return f"{self.model}:fell_back" if self.fell_back else self.model


def inform(supplies: Mapping[Where, Supply], forecaster: Forecaster, tuning: Tuning = DEFAULT) -> Informing:
    """One question for all pools of all regions; it fails for all of them or for none."""
    places = [(where, offer) for where, supply in supplies.items() for offer in supply.offers.values()]
    found = rate_informed([offer for _, offer in places], tuning, forecaster)
    rated: dict[Where, dict[str, Rated]] = {where: {} for where in supplies}
    for (where, offer), one in zip(places, found.rated, strict=True):
        rated[where][offer.pool] = one
    return Informing(forecaster.name, rated, found.fell_back)
