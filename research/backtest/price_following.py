"""Backtest B: the cost of following prices, starting from every pool, compared with the clairvoyant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from domain.autopilot.tuning import Tuning
from domain.backtest.billing import bill
from domain.backtest.clairvoyant import Clairvoyant
from domain.backtest.market_history import MarketHistory, TickWindow
from domain.backtest.offers_by_tick import observe_market, rate_by_tick
from domain.backtest.policy_run import ReplayPolicy, run_policy
from domain.backtest.simple_policies import Cheapest, StayPut
from research.backtest.compared_policies import ProductPolicy
from research.backtest.confidence_intervals import Estimate, ratio
from research.backtest.price_histories import months

PRODUCT_POLICY = "policy"


@dataclass(frozen=True)
class PriceRun:
    """One run from one pool. `excess`: its cost beyond the clairvoyant's, as a part of that."""

    market: str
    excess: float
    money_usd: float
    moves: int
    unpaid: int  # moves whose saving never reached what they cost


@dataclass(frozen=True)
class PriceRunSummary:
    """All starts of a market, or of several, under one policy."""

    market: str
    policy: str
    starts: int
    excess: Estimate  # mean
    worst: float
    money_usd: float  # of a start and hour, in the mean
    median_moves: float
    most_moves: int
    moves: int
    unpaid: int


def follow_prices(
    market: MarketHistory, tunings: Mapping[str, Tuning], simple: bool = True
) -> dict[str, list[PriceRun]]:
    """Every start of every month, by policy."""
    offers = list(observe_market(market))
    policies: dict[str, list[ReplayPolicy]] = {
        name: [ProductPolicy(market, rate_by_tick(offers, tuning), 0.0, tuning)] * len(market.pools)
        for name, tuning in tunings.items()
    }
    if simple:
        policies["stay put"] = [StayPut(market, pool) for pool in range(len(market.pools))]
        policies["cheapest"] = [Cheapest(market)] * len(market.pools)
    found: dict[str, list[PriceRun]] = defaultdict(list)
    for window in months(market):
        known = Clairvoyant(market, window, 0.0)
        for name, choosers in policies.items():
            found[name] += [
                _start(market, window, one, pool, known.least_from(pool)) for pool, one in enumerate(choosers)
            ]
    return dict(found)


def summarize_runs(market: str, policy: str, starts: Sequence[PriceRun]) -> PriceRunSummary:
    """For the interval, markets are drawn, since prices within a market are correlated; with one market, starts."""
    drawn: dict[str | int, list[float]] = defaultdict(list)
    several = len({start.market for start in starts}) > 1
    for number, start in enumerate(starts):
        drawn[start.market if several else number].append(start.excess)
    return PriceRunSummary(
        market=market,
        policy=policy,
        starts=len(starts),
        excess=ratio([sum(some) for some in drawn.values()], [len(some) for some in drawn.values()]),
        worst=max(start.excess for start in starts),
        money_usd=mean(start.money_usd for start in starts),
        median_moves=median(start.moves for start in starts),
        most_moves=max(start.moves for start in starts),
        moves=sum(start.moves for start in starts),
        unpaid=sum(start.unpaid for start in starts),
    )


def _start(market: MarketHistory, window: TickWindow, chooser: ReplayPolicy, pool: int, least: float) -> PriceRun:
    choices = run_policy(market, window, chooser, pool)
    paid = bill(market, window, choices, pool)
    moves = moves_of(pool, choices)
    excess = paid.money_usd / least - 1
    return PriceRun(
        market.name, excess, paid.money_usd / paid.hours, len(moves), unpaid(market, window, choices, moves)
    )


def moves_of(pool: int, choices: Sequence[int]) -> list[tuple[int, int]]:
    """Each move as (how many ticks after the start, the pool that was left)."""
    before = [pool, *choices]
    return [(at, left) for at, (left, now) in enumerate(zip(before, choices, strict=False)) if left != now]


def unpaid(market: MarketHistory, window: TickWindow, choices: Sequence[int], moves: Sequence[tuple[int, int]]) -> int:
    """Moves that had not saved their cost before the next one, compared with staying."""
    ends = [*(at for at, _ in moves[1:]), len(choices)][: len(moves)]
    return sum(
        not _pays(market, window.start, range(at, end), choices[at], left)
        for (at, left), end in zip(moves, ends, strict=True)
    )


def _pays(market: MarketHistory, start: int, ticks: range, pool: int, left: int) -> bool:
    owed = market.rules.overlap_h * market.price(start + ticks.start, left)
    for tick in ticks:
        owed -= market.gap_h * (market.price(start + tick, left) - market.price(start + tick, pool))
        if owed <= 0:
            return True
    return False
