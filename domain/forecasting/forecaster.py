"""Forecaster: what is expected of each pool. Whoever decides by it can do without it, at any moment.

A forecaster sees offers, which hold nothing from after their time, and answers for each by itself. It raises
`ForecastFailed` for whatever goes wrong: then the built-in reckoning decides, in the same decision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.autopilot.decision_inputs import Offer

MOST_LOSSES_PER_H = 60.0  # one a minute
PRICE_RATIOS = (0.2, 5.0)


class ForecastFailed(Exception):
    """No forecast that could be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one pool: losses per hour from now on, and its mean price of the next day against its price now."""

    losses_per_h: float
    price_ratio: float


class Forecaster(Protocol):
    @property
    def name(self) -> str:
        """Which model it is, for the record of a decision."""

    def forecast(self, offers: Sequence[Offer]) -> Sequence[Forecast]:
        """One for each offer, in their order. Raise ForecastFailed."""


def checked_forecasts(forecasts: Sequence[Forecast], count: int) -> Sequence[Forecast]:
    """The forecasts, if there are as many as offers and each could be true. Raise ForecastFailed."""
    if len(forecasts) != count:
        raise ForecastFailed(f"{len(forecasts)} forecasts for {count} pools")
    for number, one in enumerate(forecasts):
        if problem := why_impossible(one):
            raise ForecastFailed(f"nonsense for pool {number + 1} of {count}: {problem}")
    return forecasts


def why_impossible(one: Forecast) -> str:
    """Why it cannot be true; empty when it can."""
    low, high = PRICE_RATIOS
    if not math.isfinite(one.losses_per_h) or not 0 <= one.losses_per_h <= MOST_LOSSES_PER_H:
        return f"losses_per_h is {one.losses_per_h:g}, not from 0 to {MOST_LOSSES_PER_H:g}"
    if not math.isfinite(one.price_ratio) or not low <= one.price_ratio <= high:
        return f"price_ratio is {one.price_ratio:g}, not from {low:g} to {high:g}"
    return ""
