"""Training data: losses by stretch of a pool's life, and prices one day later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from domain.autopilot.decision_inputs import Offer
from domain.autopilot.tuning import Tuning
from domain.backtest.market_history import MarketHistory
from domain.backtest.offers_by_tick import observe_market
from domain.forecasting.features import feature_rows
from research.backtest.availability import ObservedMarket
from research.backtest.hazard_fitting import UpStretch, stretches
from research.backtest.market_sets import halves
from research.backtest.validation import whole_sets

Floats = NDArray[np.float64]
DAY_H, EVERY_H = 24, 12


@dataclass(frozen=True)
class LossSamples:
    """A row for each stretch: features, hours, and whether it ended in a loss."""

    features: Floats
    hours: Floats
    lost: Floats

    @classmethod
    def of(cls, found: Sequence[UpStretch]) -> LossSamples:
        return cls(
            np.array([one.features for one in found]),
            np.array([one.hours for one in found]),
            np.array([float(one.lost) for one in found]),
        )


def loss_samples(
    markets: Sequence[ObservedMarket], tuning: Tuning, names: Sequence[str]
) -> tuple[LossSamples, LossSamples]:
    """Samples of the first half in time of every set, for training, and of all the rest, for testing."""

    def of(offer: Offer) -> tuple[float, ...]:
        return tuple(feature_rows([offer], names)[0])

    early, late = list[UpStretch](), list[UpStretch]()
    for one in whole_sets(markets):
        middle = 0.5 if halves(one.market) else 0.0
        early += stretches(one, tuning, until=middle, features_of=of)
        late += stretches(one, tuning, since=middle, features_of=of)
    return LossSamples.of(early), LossSamples.of(late)


def price_ratios(markets: Iterable[MarketHistory], names: Sequence[str]) -> tuple[Floats, Floats]:
    """Features of pools twice a day, and the logarithm of the mean price of the day that follows against the price."""
    features, ratios = [], []
    for market in markets:
        seen = observe_market(market)
        for tick, offers in enumerate(islice(seen, market.ticks - DAY_H)):
            if tick % EVERY_H or tick < DAY_H:
                continue
            day = market.prices[tick + 1 : tick + 1 + DAY_H]
            features += feature_rows(offers, names)
            ratios += [
                math.log(sum(hour[pool] for hour in day) / DAY_H / usd) for pool, usd in enumerate(market.prices[tick])
            ]
    return np.array(features).reshape(-1, len(names)), np.array(ratios)
