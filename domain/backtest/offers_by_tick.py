"""What the autopilot would have known at each tick: offers and supplies, built forward with the product's own code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from domain.autopilot.appraisal import RatedOffer, rate_offers
from domain.autopilot.decision_inputs import Offer
from domain.autopilot.forecast_ratings import rate_with_forecaster
from domain.autopilot.pool_records import (
    PriceRecord,
    Reliability,
    first_observation,
    tightness,
    with_observation,
    with_price,
)
from domain.autopilot.pool_supply import PoolKnowledge, Supply, prior_of, supply_of
from domain.autopilot.tuning import Tuning
from domain.backtest.contract import BacktestError
from domain.backtest.history import PoolHistory, RegionHistory, ReplayHistory
from domain.backtest.market_history import MarketHistory
from domain.forecasting.forecaster import Forecaster
from domain.market.pool_reliability import InstanceStay, PoolFact, PoolFactKind, pool_reliability
from domain.pools import Pool

Offers = tuple[Offer, ...]


def observe_market(market: MarketHistory) -> Iterator[Offers]:
    """The offers of each tick. Each depends only on the ticks up to its own."""
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


def tick_count(past: ReplayHistory) -> int:
    return int((past.until_h - past.from_h) / past.gap_h + 1e-9)


def supply_by_tick(past: ReplayHistory, region: RegionHistory) -> Iterator[Supply]:
    """The region's supply at each tick, of what was known by then."""
    lived = [_Pool(one, region) for one in region.pools]
    for tick in range(tick_count(past)):
        at_h = past.from_h + tick * past.gap_h
        for pool in lived:
            pool.reach(at_h)
        known = PoolKnowledge(
            histories={one.name: one.record(at_h) for one in lived if one.has_history(at_h)},
            watched=frozenset(one.name for one in lived if one.watched(at_h)),
            bands=region.bands,
        )
        prices = {one.key: one.price for one in lived if one.price is not None}
        yield supply_of(prices, known, datetime.fromtimestamp(at_h * 3600, UTC))


class _Pool:
    """One pool, going forward."""

    def __init__(self, past: PoolHistory, region: RegionHistory) -> None:
        parsed = Pool.parse(past.pool)
        self.name, self.key = past.pool, (parsed.zone, parsed.instance_type)
        self.price: PriceRecord | None = None
        self._steps, self._next = past.steps, 0
        self._facts = [(hour, _fact(region.region, parsed, kind, hour)) for kind, hour in past.facts]
        self._stays = [InstanceStay(*stay) for stay in past.stays]
        self._prior = prior_of(region.bands.get(parsed.instance_type))

    def reach(self, at_h: float) -> None:
        while self._next < len(self._steps) and self._steps[self._next][0] <= at_h:
            hour, usd = self._steps[self._next]
            self.price = PriceRecord(hour, usd) if self.price is None else with_price(self.price, hour, usd)
            self._next += 1

    def has_history(self, at_h: float) -> bool:
        return any(hour <= at_h for hour, _ in self._facts) or any(stay.from_h <= at_h for stay in self._stays)

    def watched(self, at_h: float) -> bool:
        return any(stay.from_h <= at_h <= stay.until_h for stay in self._stays)

    def record(self, at_h: float) -> Reliability:
        facts = [fact for hour, fact in self._facts if hour <= at_h]
        stays = [InstanceStay(stay.from_h, min(stay.until_h, at_h)) for stay in self._stays if stay.from_h <= at_h]
        return pool_reliability(facts, stays, self._prior, at_h)


def _fact(region: str, pool: Pool, kind: str, hour: float) -> PoolFact:
    return PoolFact("", region, pool, PoolFactKind(kind), datetime.fromtimestamp(hour * 3600, UTC))


def rate_by_tick(
    offers: Sequence[Offers], tuning: Tuning, forecaster: Forecaster | None = None
) -> list[list[RatedOffer]]:
    """By tick. Raise BacktestError where the forecaster fails, since the forecaster is what is examined here."""
    if forecaster is None:
        return [rate_offers(some, tuning) for some in offers]
    found = rate_with_forecaster((offer for some in offers for offer in some), tuning, forecaster)
    if found.fell_back:
        raise BacktestError(f"the model {found.model} gave no forecast: {found.fell_back}")
    left = iter(found.rated)
    return [list(islice(left, len(some))) for some in offers]
