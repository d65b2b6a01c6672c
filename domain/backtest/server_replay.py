"""Replays a client's own servers through their own history, under the policy and under others to compare with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from domain.autopilot.appraisal import Appraisal, RatedOffer, appraise_rated
from domain.autopilot.decision_inputs import zone_of
from domain.autopilot.experience import Experience, learn_from_watched
from domain.autopilot.fleet_evaluation import NOT_ALLOWED
from domain.autopilot.pool_supply import Supply
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.backtest.billing import Bill, bill
from domain.backtest.clairvoyant import Clairvoyant
from domain.backtest.contract import NoData
from domain.backtest.gated_policy import GatedPolicy
from domain.backtest.history import KindHistory, PoolHistory, RegionHistory, ReplayHistory
from domain.backtest.market_history import ON_DEMAND, MarketHistory, MoveRules, TickWindow
from domain.backtest.offers_by_tick import rate_by_tick, supply_by_tick, tick_count
from domain.backtest.policy_run import ReplayPolicy, run_policy
from domain.backtest.simple_policies import AlwaysOnDemand, Cheapest, StayPut
from domain.forecasting.forecaster import Forecaster
from domain.market.pool_reliability import CLOSED_H, PoolFactKind

POLICY, MODEL = "policy", "model"
STAY, ON_DEMAND_ALWAYS, CHEAPEST, CLAIRVOYANT = (
    "stay put",
    "always on-demand",
    "cheapest at each moment",
    "clairvoyant",
)


@dataclass(frozen=True)
class PolicyOutcome:
    """One server, or all, under one policy. `cost_usd`: money and what the outage cost its owner.

    Of the money, `snapshot_usd` went for snapshots; of the outage, `move_outage_minutes` was of planned moves, and the
    rest of interruptions.
    """

    policy: str
    money_usd: float = 0.0
    moves: int = 0
    interruptions: int = 0
    outage_minutes: float = 0.0
    cost_usd: float = 0.0
    move_outage_minutes: float = 0.0
    snapshot_usd: float = 0.0

    def plus(self, other: PolicyOutcome) -> PolicyOutcome:
        return PolicyOutcome(
            self.policy,
            self.money_usd + other.money_usd,
            self.moves + other.moves,
            self.interruptions + other.interruptions,
            self.outage_minutes + other.outage_minutes,
            self.cost_usd + other.cost_usd,
            self.move_outage_minutes + other.move_outage_minutes,
            self.snapshot_usd + other.snapshot_usd,
        )


@dataclass(frozen=True)
class ServerOutcome:
    server_id: str
    name: str
    start_pool: str
    outcomes: list[PolicyOutcome]


def replay_history(past: ReplayHistory, forecaster: Forecaster | None = None) -> dict[str, Any]:
    """Totals by policy and each server's, as JSON. Raise NoData where no server can be replayed."""
    if tick_count(past) < 1:
        raise NoData(f"the period of {past.until_h - past.from_h:.2f} hours is too short to decide in even once")
    servers: list[ServerOutcome] = []
    skipped = dict(past.skipped)
    for region in past.regions:
        seen = RatedRegion.of(past, region, forecaster)
        for kind in region.kinds:
            try:
                servers += _kind(past, region, kind, seen)
            except NoData as why:
                skipped |= {server.server_id: str(why) for server in kind.servers}
    if not servers:
        raise NoData("; ".join(sorted(set(skipped.values()))) or "there is no server to replay")
    return {
        "days": round((past.until_h - past.from_h) / 24, 3),
        "decided_every_minutes": round(past.gap_h * 60, 3),
        "policies": [_rounded(one) for one in _totals(servers)],
        "servers": [
            {**asdict(one), "outcomes": [_rounded(outcome) for outcome in one.outcomes]}
            for one in sorted(servers, key=lambda one: one.name)
        ],
        "skipped": skipped,
        "left_out": past.left_out,
    }


Ratings = Sequence[Mapping[str, RatedOffer]]  # by tick, by pool


@dataclass(frozen=True)
class RatedRegion:
    """A region at each tick, with its offers rated by the built-in hazard, and by a model if there is one."""

    supplies: Sequence[Supply]
    rated: Mapping[str, Ratings]  # by policy

    @classmethod
    def of(cls, past: ReplayHistory, region: RegionHistory, forecaster: Forecaster | None) -> RatedRegion:
        found = list(supply_by_tick(past, region))
        offers = [tuple(supply.offers.values()) for supply in found]
        ways = {POLICY: rate_by_tick(offers, DEFAULT_TUNING)} | (
            {MODEL: rate_by_tick(offers, DEFAULT_TUNING, forecaster)} if forecaster else {}
        )
        return cls(found, {name: [{one.pool: one for one in some} for some in way] for name, way in ways.items()})


def market_of(past: ReplayHistory, region: RegionHistory, kind: KindHistory) -> MarketHistory:
    """The kind's pools over the period. A pool without a price yet, or just lost, is down. Raise NoData."""
    wanted = set(kind.pools) | {server.pool for server in kind.servers}
    chosen = [one for one in region.pools if one.pool in wanted and one.steps and one.steps[0][0] < past.until_h]
    if not chosen:
        raise NoData("none of the pools it could run in has a price in this time")
    columns = [_column(one, past) for one in chosen]
    return MarketHistory(
        name="own history",
        pools=[one.pool for one in chosen],
        regions=[region.region] * len(chosen),
        gap_h=past.gap_h,
        up=list(zip(*(up for up, _ in columns), strict=True)),
        prices=list(zip(*(usd for _, usd in columns), strict=True)),
        on_demand_usd=kind.needs.on_demand_usd,
        rules=MoveRules(kind.needs.within, kind.needs.beyond, kind.needs.loss_outage_h),
        zones=[zone_of(pool) for pool in (kind.needs.on_demand_pool, *(one.pool for one in chosen))],
    )


def _column(pool: PoolHistory, past: ReplayHistory) -> tuple[list[bool], list[float]]:
    up, prices, at, usd = list[bool](), list[float](), 0, pool.steps[0][1]
    down = _down(pool, past.gap_h)
    for tick in range(tick_count(past)):
        hour = past.from_h + tick * past.gap_h
        while at < len(pool.steps) and pool.steps[at][0] <= hour:
            usd = pool.steps[at][1]
            at += 1
        up.append(at > 0 and not any(begin <= hour < end for begin, end in down))
        prices.append(usd)
    return up, prices


def _down(pool: PoolHistory, gap_h: float) -> list[tuple[float, float]]:
    """The times a pool is closed: from a loss until the autopilot would use it again or a launch; at least one tick."""
    launches = [hour for kind, hour in pool.facts if kind == PoolFactKind.LAUNCHED]
    found = []
    for kind, hour in pool.facts:
        if kind in (PoolFactKind.LOST, PoolFactKind.NOTICE):
            end = min([hour + CLOSED_H, *(at for at in launches if at > hour)])
            found.append((hour, max(end, hour + gap_h)))
    return found


def _kind(past: ReplayHistory, region: RegionHistory, kind: KindHistory, seen: RatedRegion) -> list[ServerOutcome]:
    market = market_of(past, region, kind)
    cautions = _cautions(past, region, kind, seen)

    def gated(ratings: Ratings) -> GatedPolicy:
        @cache
        def appraisal(tick: int) -> Appraisal:
            some = [ratings[tick][pool] for pool in market.pools if pool in ratings[tick]]
            at_h = past.from_h + tick * past.gap_h
            allowed = [one if one.pool in pools else replace(one, blocked=one.blocked or NOT_ALLOWED) for one in some]
            return appraise_rated(allowed, kind.needs, at_h, cautions[tick])

        return GatedPolicy(market, appraisal, kind.needs, kind.policy, DEFAULT_TUNING)

    pools = frozenset(kind.pools)
    ways = {name: gated(ratings) for name, ratings in seen.rated.items()}
    window = TickWindow(0, market.ticks)
    weight = kind.needs.outage_usd_per_h / kind.needs.on_demand_usd
    known: dict[tuple[str, int], list[PolicyOutcome]] = {}
    found: list[ServerOutcome] = []
    for server in kind.servers:
        key = server.pool, server.data_gib
        if key not in known:
            carrying = replace(market, rules=replace(market.rules, data_gib=server.data_gib))
            known[key] = _from(carrying, window, ways, weight, server.pool)
        found.append(ServerOutcome(server.server_id, server.name, server.pool, known[key]))
    return found


def _cautions(past: ReplayHistory, region: RegionHistory, kind: KindHistory, seen: RatedRegion) -> list[float]:
    """By tick, the caution that the autopilot would have learnt."""
    experience: Experience | None = None
    found = []
    for tick, (supply, by_pool) in enumerate(zip(seen.supplies, seen.rated[POLICY], strict=True)):
        some = [by_pool[pool] for pool in kind.pools if pool in by_pool]
        at_h = past.from_h + tick * past.gap_h
        experience = learn_from_watched(experience, some, supply, kind.needs, at_h, DEFAULT_TUNING)
        found.append(experience.caution(DEFAULT_TUNING))
    return found


def _from(
    market: MarketHistory, window: TickWindow, ways: Mapping[str, GatedPolicy], weight: float, pool: str
) -> list[PolicyOutcome]:
    """Every policy, for a server that starts in `pool`; where that has no history, on on-demand."""
    start = market.pools.index(pool) if pool in market.pools else ON_DEMAND
    simple: dict[str, ReplayPolicy] = {
        STAY: StayPut(market, start) if start != ON_DEMAND else AlwaysOnDemand(),
        ON_DEMAND_ALWAYS: AlwaysOnDemand(),
        CHEAPEST: Cheapest(market),
    }
    paths = {name: one.run(window, start, market.rules.data_gib) for name, one in ways.items()}
    paths |= {name: run_policy(market, window, one, start) for name, one in simple.items()}
    paths[CLAIRVOYANT] = Clairvoyant(market, window, weight).path(start)
    return [_outcome(name, bill(market, window, path, start), weight) for name, path in paths.items()]


def _outcome(policy: str, paid: Bill, weight: float) -> PolicyOutcome:
    moves, lost = int(paid.moves), int(paid.interruptions)
    outage_minutes, of_moves = 60 * (paid.outage_h + paid.move_outage_h), 60 * paid.move_outage_h
    return PolicyOutcome(
        policy, paid.money_usd, moves, lost, outage_minutes, paid.j(weight), of_moves, paid.snapshot_usd
    )


def _totals(servers: Iterable[ServerOutcome]) -> Sequence[PolicyOutcome]:
    found: dict[str, PolicyOutcome] = defaultdict(lambda: PolicyOutcome(""))
    for server in servers:
        for one in server.outcomes:
            found[one.policy] = replace(found[one.policy], policy=one.policy).plus(one)
    return list(found.values())


def _rounded(one: PolicyOutcome) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(one).items()}
