"""What the autopilot would have known at each tick of a client's history: made by the very code that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from domain.autopilot.pool_records import PriceRecord, Reliability, with_price
from domain.autopilot.pool_supply import PoolKnowledge, Supply, prior_of, supply_of
from domain.backtest.history import PoolHistory, RegionHistory, ReplayHistory
from domain.market.pool_facts import PoolFact, PoolFactKind
from domain.market.pool_reliability import InstanceStay, pool_reliability
from domain.pools import Pool


def tick_count(past: ReplayHistory) -> int:
    return int((past.until_h - past.from_h) / past.gap_h + 1e-9)


def supply_by_tick(past: ReplayHistory, region: RegionHistory) -> Iterator[Supply]:
    """By tick; each of what was known by then alone."""
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
