"""Reads a client's servers and their market as the replay takes them: canonical prices and reliability records."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from activities.autopilot.fleet_facts import FleetFacts, Prices, ServerContext
from db.autopilot.backtests import pools_at
from db.autopilot.fleet import ClientRow, read_clients, read_fleet
from db.engine.session import SessionFactory
from db.market.canonical import region_between
from db.market.on_demand import on_demand_prices
from db.market.pool_facts import pool_facts_since, stays_since
from db.market.region_records import RegionRecords
from db.market.scores_and_bands import bands_of
from db.tables import BacktestRow, ModelRow
from domain.autopilot.fleet_evaluation import ServerCase
from domain.autopilot.policy import AutopilotPreferences, resolve_policy
from domain.autopilot.pool_records import PriceRecord
from domain.autopilot.pool_supply import hours
from domain.backtest.history import ForecastModel, KindHistory, PoolHistory, RegionHistory, ReplayHistory, ServerHistory
from domain.market.observed_prices import PoolKey
from domain.market.on_demand_prices import LINUX
from domain.market.pool_reliability import MEMORY_H, InstanceStay, PoolFact
from domain.market.price_series import PriceStep
from domain.pools import Pool

RECORDS_BEFORE = timedelta(hours=MEMORY_H)  # the records before the period say what was known when it began
MOST_POOLS = 150  # of a kind of server: the cheapest
TICKS = 3000.0  # about so many of the period; between five minutes and an hour each
_GAPS_H = (1 / 12, 0.25, 0.5, 1.0)
_PREFERENCES = TypeAdapter(AutopilotPreferences)


class NothingToReplay(Exception):
    """No prices, or no servers, in this time; the message says which."""


def read_history(sessions: SessionFactory, facts: FleetFacts, row: BacktestRow) -> ReplayHistory:
    """Everything the replay needs. Raise NothingToReplay, or Ec2Failure where EC2 does not tell."""
    with sessions() as session:
        wanted = set(row.server_ids)
        fleet = [one for one in read_fleet(session) if one.server_id in wanted and one.client_id == row.client_id]
        clients, places = read_clients(session), pools_at(session, row.server_ids, row.from_at)
    if not fleet:
        raise NothingToReplay("none of the servers is active any more")
    regions: list[RegionHistory] = []
    skipped: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for region in sorted({one.region for one in fleet}):
        known = facts.servers(region, [one for one in fleet if one.region == region], clients)
        asked = [_asked(one, row.asked, clients) for one in known]
        left_out |= {one.row.server_id: one.left_out for one in known if one.left_out}
        with sessions() as session:
            past = _RegionReading(session, facts, row, region, places)
            regions.append(past.region_of(asked))
            skipped |= past.skipped
    if not any(one.pools for one in regions):
        raise NothingToReplay(
            f"there are no spot prices of {', '.join(sorted({one.region for one in fleet}))} "
            f"from {row.from_at:%Y-%m-%d %H:%M} to {row.until_at:%Y-%m-%d %H:%M} UTC"
        )
    gap = _gap_h(row.until_at - row.from_at)
    model = _model(sessions, row.model_id)
    return ReplayHistory(hours(row.from_at), hours(row.until_at), gap, regions, skipped, model, left_out)


def _asked(one: ServerContext, asked: Mapping[str, Any], clients: Mapping[str, ClientRow]) -> ServerContext:
    """The server with the policy that was asked for over its own."""
    if not asked:
        return one
    own, client = one.policy.autopilot, clients.get(one.row.client_id)
    preferences = _PREFERENCES.validate_python({**_PREFERENCES.dump_python(own), **asked})
    of_client = _PREFERENCES.validate_python((client.autopilot if client else None) or {})
    return replace(one, autopilot=resolve_policy(preferences, of_client))


@dataclass
class _RegionReading:
    """One region, read once."""

    session: Session
    facts: FleetFacts
    row: BacktestRow
    region: str
    places: Mapping[str, str]

    def __post_init__(self) -> None:
        began, until = self.row.from_at - RECORDS_BEFORE, self.row.until_at
        self.skipped: dict[str, str] = {}
        self._series = region_between(self.session, self.region, began, until)
        self._at_start = {pool: _step_at(steps, self.row.from_at) for pool, steps in self._series.items() if steps}
        self._facts: defaultdict[str, list[PoolFact]] = defaultdict(list)
        for fact in pool_facts_since(self.session, self.region, began, until):
            self._facts[str(fact.pool)].append(fact)
        self._stays = stays_since(self.session, self.region, began, until)

    def region_of(self, known: Sequence[ServerContext]) -> RegionHistory:
        """The servers by kind, and the pools that any of them could be in."""
        cases = self._cases([one for one in known if one.outline.platform == LINUX])
        for one in known:
            if one.outline.platform != LINUX:
                self.skipped[one.row.server_id] = f"prices of {one.outline.platform} are not kept"
        names = {one.row.server_id: one.row.name for one in known}
        grouped: defaultdict[tuple[Any, ...], list[ServerCase]] = defaultdict(list)
        for case in cases:
            if math.isfinite(case.needs.on_demand_usd):
                grouped[case.needs, case.pools, repr(case.conditions.policy)].append(case)
            else:
                self.skipped[case.server_id] = f"the on-demand price of {case.needs.on_demand_pool} is not known"
        kinds = [
            KindHistory(
                needs,
                members[0].conditions.policy,
                self._cheapest(pools),
                [
                    ServerHistory(one.server_id, names[one.server_id], self._place(one), one.position.data_gib)
                    for one in members
                ],
            )
            for (needs, pools, _), members in grouped.items()
        ]
        wanted = {pool for kind in kinds for pool in (*kind.pools, *(server.pool for server in kind.servers))}
        pools = [self._pool(pool, self._series[_key(pool)]) for pool in sorted(wanted) if _key(pool) in self._series]
        bands = bands_of(self.session, self.region, self.row.from_at)
        return RegionHistory(self.region, LINUX, [one for one in pools if one.pool.endswith("/spot")], kinds, bands)

    def _cases(self, known: Sequence[ServerContext]) -> list[ServerCase]:
        """Cases as the autopilot makes them, at the prices of the start, so that no choice knows what came later."""
        priced: Prices = {
            pool: PriceRecord(hours(step.from_at), float(step.usd)) for pool, step in self._at_start.items()
        }
        on_demand = on_demand_prices(self.session, self.region, self.row.until_at)
        records = RegionRecords(on_demand={name: float(usd) for name, usd in on_demand.items()})
        here = [one for one in known if not (pool := Pool.parse(one.row.pool)).spot or _key(str(pool)) in priced]
        for one in known:
            if one not in here:
                self.skipped[one.row.server_id] = f"{one.row.pool}, where it runs, has no price in this time"
        return self.facts.cases(self.region, here, {LINUX: priced}, records, {}, {})

    def _place(self, case: ServerCase) -> str:
        return self.places.get(case.server_id, case.position.pool)

    def _cheapest(self, pools: Iterable[str]) -> list[str]:
        """The cheapest pools at the start, at most MOST_POOLS; by name, so that a replay can be repeated exactly."""
        priced = [(self._at_start[_key(pool)].usd, pool) for pool in pools if _key(pool) in self._at_start]
        return sorted(pool for _, pool in sorted(priced)[:MOST_POOLS])

    def _pool(self, pool: str, steps: Iterable[PriceStep]) -> PoolHistory:
        return PoolHistory(
            pool,
            [(hours(step.from_at), float(step.usd)) for step in steps],
            [(fact.kind.value, hours(fact.at)) for fact in self._facts.get(pool, ())],
            [_span(stay) for stay in self._stays.get(pool, ())],
        )


def _step_at(steps: Sequence[PriceStep], at: datetime) -> PriceStep:
    """The last step that began by then; for a pool that was first priced later, its first step."""
    return next((step for step in reversed(steps) if step.from_at <= at), steps[0])


def _span(stay: InstanceStay) -> tuple[float, float]:
    return stay.from_h, stay.until_h


def _key(pool: str) -> PoolKey:
    parsed = Pool.parse(pool)
    return parsed.zone, parsed.instance_type


def _gap_h(period: timedelta) -> float:
    least = period.total_seconds() / 3600 / TICKS
    return next((gap for gap in _GAPS_H if gap >= least), _GAPS_H[-1])


def _model(sessions: SessionFactory, model_id: str) -> ForecastModel | None:
    if not model_id:
        return None
    with sessions() as session:
        row = session.get_one(ModelRow, model_id)
        return ForecastModel(row.id, base64.b64encode(row.content).decode(), list(row.features), row.sha256)
