"""What a control plane would have known at each tick: built forward, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from domain.autopilot.decision_inputs import Offer
from domain.autopilot.pool_records import (
    PriceRecord,
    Reliability,
    first_observation,
    tightness,
    with_observation,
    with_price,
)
from domain.backtest.market_history import MarketHistory

Offers = tuple[Offer, ...]


def observe_market(market: MarketHistory) -> Iterator[Offers]:
    """The offers of each tick; each depends on the ticks up to its own alone."""
    reliability: list[Reliability] = []
    prices: list[PriceRecord] = []
    for tick in range(market.ticks):
        at_h = tick * market.gap_h
        reliability = _reliability(market, tick, reliability)
        prices = [
            with_price(prices[pool], at_h, usd) if prices else PriceRecord(at_h, usd)
            for pool, usd in enumerate(market.prices[tick])
        ]
        near = tightness(market.regions, reliability)
        yield tuple(map(Offer, market.pools, prices, reliability, near))


def _reliability(market: MarketHistory, tick: int, before: list[Reliability]) -> list[Reliability]:
    at_h, up = tick * market.gap_h, market.up[tick]
    if before:
        return [with_observation(record, at_h, now) for record, now in zip(before, up, strict=True)]
    priors: Sequence[float | None] = market.prior_hazards or [None] * len(up)
    return [first_observation(at_h, now, prior) for now, prior in zip(up, priors, strict=True)]
