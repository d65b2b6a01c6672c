"""Pools for people: price, on-demand price, what happened to us there, and the risk now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.market.on_demand import on_demand_prices
from db.market.pool_facts import count_facts
from db.market.region_records import read_supply_facts
from db.tables import PoolRow
from domain.autopilot.appraisal import hazard
from domain.autopilot.pool_records import PriceRecord
from domain.autopilot.pool_supply import PoolKnowledge, hours, supply_of
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.market.pool_reliability import PoolFactKind
from domain.pools import Lifecycle

DAY, WEEK = timedelta(days=1), timedelta(days=7)
_MOMENT = timedelta(microseconds=1)
Counts = Mapping[PoolFactKind, tuple[int, float | None]]


@dataclass(frozen=True)
class PoolCounts:
    """What happened in a pool in some time, to all clients, as counts. `launch_s`: mean seconds of a launch."""

    capacity_failures: int = 0
    notices: int = 0
    rebalance_recommendations: int = 0
    lost: int = 0
    launches: int = 0
    launch_s: float | None = None


@dataclass(frozen=True)
class PoolReport:
    row: PoolRow
    on_demand_usd_per_hour: float | None
    last_day: PoolCounts = field(default_factory=PoolCounts)
    last_week: PoolCounts = field(default_factory=PoolCounts)
    placement_score: int | None = None
    score_fallen: int | None = None
    advisor_band: int | None = None
    own_history: bool = False
    availability: float | None = None
    losses_per_hour: float | None = None

    @property
    def usd_per_hour(self) -> float | None:
        """The price now, or the last one known."""
        return self.row.usd_per_hour if self.row.lifecycle == Lifecycle.SPOT else self.on_demand_usd_per_hour


def reports(session: Session, rows: Sequence[PoolRow], now: datetime) -> list[PoolReport]:
    """One report for each row, in their order."""
    regions = {region: _Region(session, region, now) for region in {row.region for row in rows}}
    return [regions[row.region].report(row) for row in rows]


class _Region:
    """What is read once for all pools of a region."""

    def __init__(self, session: Session, region: str, now: datetime) -> None:
        self._now = now
        self._known: PoolKnowledge = read_supply_facts(session, region, now)
        self._on_demand = on_demand_prices(session, region, now)
        self._day = count_facts(session, region, now - DAY, now + _MOMENT)
        self._week = count_facts(session, region, now - WEEK, now + _MOMENT)

    def report(self, row: PoolRow) -> PoolReport:
        dear = self._on_demand.get(row.instance_type)
        usd = None if dear is None else float(dear)
        if row.lifecycle != Lifecycle.SPOT:
            return PoolReport(row, usd)
        key = (row.zone, row.instance_type)
        score = self._known.scores.get(key)
        price = PriceRecord(hours(self._now), row.usd_per_hour or 0.0)
        offer = supply_of({key: price}, self._known, self._now).offers[row.id]
        return PoolReport(
            row=row,
            on_demand_usd_per_hour=usd,
            last_day=pool_counts(self._day.get(row.id, {})),
            last_week=pool_counts(self._week.get(row.id, {})),
            placement_score=score.score if score else None,
            score_fallen=score.fallen if score else None,
            advisor_band=self._known.bands.get(row.instance_type),
            own_history=row.id in self._known.histories,
            availability=offer.reliability.availability if row.id in self._known.histories else None,
            losses_per_hour=hazard(offer, DEFAULT_TUNING),
        )


def pool_counts(counts: Counts) -> PoolCounts:
    def many(kind: PoolFactKind) -> int:
        return counts.get(kind, (0, None))[0]

    return PoolCounts(
        capacity_failures=many(PoolFactKind.NO_CAPACITY),
        notices=many(PoolFactKind.NOTICE),
        rebalance_recommendations=many(PoolFactKind.REBALANCE),
        lost=many(PoolFactKind.LOST),
        launches=many(PoolFactKind.LAUNCHED),
        launch_s=counts.get(PoolFactKind.LAUNCHED, (0, None))[1],
    )
