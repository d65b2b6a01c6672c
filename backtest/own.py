"""A client's own servers through their own history, under the policy and beside what else could have been done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from backtest.billing import Bill, bill
from backtest.clairvoyant import Clairvoyant
from backtest.errors import NoData
from backtest.led import Led
from backtest.market import ON_DEMAND, Market, Window
from backtest.observed import observe
from backtest.ours import rated
from backtest.rules import Rules
from backtest.running import Chooser, run
from backtest.simple import AlwaysOnDemand, Cheapest, StayPut
from domain.backtesting.history import KindPast, Past, PoolPast
from domain.deciding.tuning import DEFAULT
from domain.forecasting.forecaster import Forecaster

POLICY, MODEL = "policy", "model"
STAY, ON_DEMAND_ALWAYS, CHEAPEST, CLAIRVOYANT = (
    "stay put",
    "always on-demand",
    "cheapest at each moment",
    "clairvoyant",
)


@dataclass(frozen=True)
class Outcome:
    """One server, or all, under one policy. `cost_usd`: money and what the outage cost its owner."""

    policy: str
    money_usd: float = 0.0
    moves: int = 0
    interruptions: int = 0
    outage_minutes: float = 0.0
    cost_usd: float = 0.0

    def plus(self, other: Outcome) -> Outcome:
        return Outcome(
            self.policy,
            self.money_usd + other.money_usd,
            self.moves + other.moves,
            self.interruptions + other.interruptions,
            self.outage_minutes + other.outage_minutes,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True)
class ServerOutcome:
    server_id: str
    name: str
    start_pool: str
    outcomes: list[Outcome]


def replay(past: Past, forecaster: Forecaster | None = None) -> dict[str, Any]:
    """Totals by policy and each server's, as JSON. Raise NoData where no server can be replayed."""
    servers: list[ServerOutcome] = []
    skipped = dict(past.skipped)
    for kind in past.kinds:
        try:
            servers += _kind(past, kind, forecaster)
        except NoData as why:
            skipped |= {server.server_id: str(why) for server in kind.servers}
    if not servers:
        raise NoData("; ".join(sorted(set(skipped.values()))) or "there is no server to replay")
    totals = _totals(servers)
    return {
        "days": round((past.hours - past.warm_h) / 24, 3),
        "decided_every_minutes": round(past.gap_h * 60, 3),
        "policies": [_rounded(one) for one in totals],
        "servers": [
            {**asdict(one), "outcomes": [_rounded(outcome) for outcome in one.outcomes]}
            for one in sorted(servers, key=lambda one: one.name)
        ],
        "skipped": skipped,
    }


def market_of(past: Past, kind: KindPast) -> Market:
    """The kind's pools over the whole record; a pool without a price yet is down. Raise NoData."""
    chosen = [past.pools[number] for number in kind.pools if past.pools[number].steps]
    if not chosen:
        raise NoData("none of the pools it could run in has a price in this time")
    ticks = round(past.hours / past.gap_h)
    columns = [_column(one, ticks, past.gap_h) for one in chosen]
    return Market(
        name="own history",
        pools=[one.pool for one in chosen],
        regions=[one.region for one in chosen],
        gap_h=past.gap_h,
        up=list(zip(*(up for up, _ in columns), strict=True)),
        prices=list(zip(*(usd for _, usd in columns), strict=True)),
        on_demand_usd=kind.needs.on_demand_usd,
        prior_hazards=[one.prior_per_h for one in chosen],
        rules=Rules(kind.needs.overlap_h, kind.needs.loss_outage_h),
    )


def _column(pool: PoolPast, ticks: int, gap_h: float) -> tuple[list[bool], list[float]]:
    up, prices, at, usd = list[bool](), list[float](), 0, pool.steps[0][1]
    for tick in range(ticks):
        hour = tick * gap_h
        while at < len(pool.steps) and pool.steps[at][0] <= hour:
            usd = pool.steps[at][1]
            at += 1
        up.append(at > 0 and not any(begin <= hour < end for begin, end in pool.down))
        prices.append(usd)
    return up, prices


def _kind(past: Past, kind: KindPast, forecaster: Forecaster | None) -> list[ServerOutcome]:
    market = market_of(past, kind)
    window = Window(round(past.warm_h / past.gap_h), market.ticks).checked(market)
    offers, began = list(observe(market)), datetime.fromisoformat(past.began)
    ways = {POLICY: Led(market, rated(offers, DEFAULT), kind.needs, kind.policy, began, DEFAULT)}
    if forecaster is not None:
        seen = rated(offers, DEFAULT, forecaster)
        ways[MODEL] = Led(market, seen, kind.needs, kind.policy, began, DEFAULT)
    weight = kind.needs.outage_usd_per_h / kind.needs.on_demand_usd
    known: dict[str, list[Outcome]] = {}
    found: list[ServerOutcome] = []
    for server in kind.servers:
        if server.pool not in known:
            known[server.pool] = _from(market, window, ways, weight, server.pool)
        found.append(ServerOutcome(server.server_id, server.name, server.pool, known[server.pool]))
    return found


def _from(market: Market, window: Window, ways: Mapping[str, Led], weight: float, pool: str) -> list[Outcome]:
    """Every policy, of a server that begins there; in a pool without a history it begins on on-demand."""
    start = market.pools.index(pool) if pool in market.pools else ON_DEMAND
    simple: dict[str, Chooser] = {
        STAY: StayPut(market, start) if start != ON_DEMAND else AlwaysOnDemand(),
        ON_DEMAND_ALWAYS: AlwaysOnDemand(),
        CHEAPEST: Cheapest(market),
    }
    paths = {name: one.run(window, start) for name, one in ways.items()}
    paths |= {name: run(market, window, one, start) for name, one in simple.items()}
    paths[CLAIRVOYANT] = Clairvoyant(market, window, weight).path(start)
    return [_outcome(name, bill(market, window, path, start), weight) for name, path in paths.items()]


def _outcome(policy: str, paid: Bill, weight: float) -> Outcome:
    moves, lost = int(paid.moves), int(paid.interruptions)
    return Outcome(policy, paid.money_usd, moves, lost, 60 * paid.outage_h, paid.j(weight))


def _totals(servers: Iterable[ServerOutcome]) -> Sequence[Outcome]:
    found: dict[str, Outcome] = defaultdict(lambda: Outcome(""))
    for server in servers:
        for one in server.outcomes:
            found[one.policy] = replace(found[one.policy], policy=one.policy).plus(one)
    return list(found.values())


def _rounded(one: Outcome) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(one).items()}
