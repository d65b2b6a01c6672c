"""Forecaster: what is expected of each pool. The policy can always decide without it.

A forecaster sees offers, which hold nothing from after their time, and answers for each separately. It raises
`ForecastFailed` for anything that goes wrong; the same decision is then made with the built-in hazard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from domain.autopilot.decision_inputs import Offer

MOST_LOSSES_PER_H = 60.0  # one a minute
PRICE_RATIOS = (0.2, 5.0)


class ForecastFailed(Exception):
    """There is no usable forecast; the message says why."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one pool: losses per hour from now on, and its mean price of the next day divided by its price now."""

    losses_per_h: float
    price_ratio: float


class Forecaster(Protocol):
    @property
    def name(self) -> str:
        """ID of the model, for the record of a decision."""

    def forecast(self, offers: Sequence[Offer]) -> Sequence[Forecast]:
        """One for each offer, in their order. Raise ForecastFailed."""


def checked_forecasts(forecasts: Sequence[Forecast], count: int) -> Sequence[Forecast]:
    """Return the forecasts if there is one for each offer and each is possible; else raise ForecastFailed."""
    if len(forecasts) != count:
        raise ForecastFailed(f"{len(forecasts)} forecasts for {count} pools")
    for number, one in enumerate(forecasts):
        if problem := why_impossible(one):
            raise ForecastFailed(f"nonsense for pool {number + 1} of {count}: {problem}")
    return forecasts


def why_impossible(one: Forecast) -> str:
    """Why the forecast cannot be true; empty when it can."""
    low, high = PRICE_RATIOS
    if not math.isfinite(one.losses_per_h) or not 0 <= one.losses_per_h <= MOST_LOSSES_PER_H:
        return f"losses_per_h is {one.losses_per_h:g}, not from 0 to {MOST_LOSSES_PER_H:g}"
    if not math.isfinite(one.price_ratio) or not low <= one.price_ratio <= high:
        return f"price_ratio is {one.price_ratio:g}, not from {low:g} to {high:g}"
    return ""


MOST_IN_SHADOW = 5  # every pass of the autopilot asks each of them
PROOF_DAYS = 7.0  # the backtest that an activation needs covers at least these days, and is at most a month old
PROOF_AGE_DAYS = 31.0


class ForecasterState(StrEnum):
    SHADOW = "shadow"  # runs beside the built-in policy; decides for the clients that it was activated for
    RETIRED = "retired"  # does not run
