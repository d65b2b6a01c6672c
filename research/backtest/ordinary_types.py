"""Backtest D: ordinary types. Semi-synthetic: the prices were observed, the interruptions are drawn.

Nobody has published traces of losses of ordinary types. So each pool of the price history is lost at
random, as often as the Advisor's band of that time says for its type, and stays down for some hours. Such
losses know nothing of age, of each other or of prices; what helps against real ones cannot show here.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.tuning import Tuning
from domain.backtest.billing import Bill, bill, total
from domain.backtest.clairvoyant import Clairvoyant
from domain.backtest.market_history import MarketHistory, TickWindow
from domain.backtest.offers_by_tick import observe_market, rate_by_tick
from domain.backtest.policy_run import ReplayPolicy, run_policy
from domain.backtest.simple_policies import AlwaysOnDemand, Cheapest, StayPut
from research.backtest.availability import CLAIRVOYANT, ON_DEMAND, PRODUCT_POLICY
from research.backtest.compared_policies import ProductPolicy
from research.backtest.confidence_intervals import Estimate, ratio
from research.backtest.price_histories import MONTH_H, months

WEIGHT = 10.0
DOWN_H = 6.0  # assumed: how long a pool has no capacity after it took an instance back, in the mean
SEED = 2021


@dataclass(frozen=True)
class OrdinaryResult:
    """One policy, all starts. Relative to always on-demand; per 30 days."""

    policy: str
    starts: int
    j: Estimate
    money: float
    moves_30d: float
    interruptions_30d: float
    outage_min_30d: float


def draw_losses(market: MarketHistory, hazards: Mapping[str, float], on_demand_usd: float) -> MarketHistory:
    """A market of prices with random losses. Every pool is up in the first hour of each month, when runs start."""
    kinds = [pool.split("/")[1] for pool in market.pools]
    known = [hazards.get(kind, max(hazards.values())) for kind in kinds]
    columns = [_drawn(market, pool, one) for pool, one in zip(market.pools, known, strict=True)]
    rows = list(zip(*columns, strict=True))
    return replace(market, up=rows, on_demand_usd=on_demand_usd, prior_hazards=known)


def _drawn(market: MarketHistory, pool: str, hazard_per_h: float) -> list[bool]:
    chance = random.Random(f"{SEED} {market.name} {pool}")  # noqa: S311 - not a secret
    found, left_h = [], 0.0
    for tick in range(market.ticks):
        if left_h <= 0 and chance.random() < -math.expm1(-hazard_per_h * market.gap_h):
            left_h = chance.expovariate(1 / DOWN_H)
        found.append(left_h <= 0 or tick % MONTH_H == 0)
        left_h = left_h - market.gap_h if not found[-1] else 0.0
    return found


def follow_losses(market: MarketHistory, tuning: Tuning) -> dict[str, list[Bill]]:
    """Every start of every month, by policy."""
    ours = ProductPolicy(market, rate_by_tick(list(observe_market(market)), tuning), WEIGHT, tuning)
    found: dict[str, list[Bill]] = defaultdict(list)
    for window in months(market):
        known = Clairvoyant(market, window, WEIGHT)
        for pool in range(len(market.pools)):
            for name, chooser in _policies(market, ours, pool).items():
                found[name].append(_paid(market, window, run_policy(market, window, chooser, pool), pool))
            found[CLAIRVOYANT].append(_paid(market, window, known.path(pool), pool))
    return found


def _policies(market: MarketHistory, ours: ProductPolicy, pool: int) -> dict[str, ReplayPolicy]:
    return {
        PRODUCT_POLICY: ours,
        "stay put": StayPut(market, pool),
        ON_DEMAND: AlwaysOnDemand(),
        "cheapest at each moment": Cheapest(market),
    }


def _paid(market: MarketHistory, window: TickWindow, choices: Sequence[int], pool: int) -> Bill:
    """The bill in hours of on-demand instead of USD, so that markets can be added."""
    one = bill(market, window, choices, pool)
    usd = market.on_demand_usd
    return replace(one, money_usd=one.money_usd / usd, always_on_demand_usd=one.always_on_demand_usd / usd)


def sum_by_policy(markets: Iterable[Mapping[str, Sequence[Bill]]]) -> list[OrdinaryResult]:
    """Sums by policy. For the interval, markets are drawn."""
    found: dict[str, list[Sequence[Bill]]] = defaultdict(list)
    for market in markets:
        for name, bills in market.items():
            found[name].append(bills)
    return [_summed(name, each) for name, each in found.items()]


def _summed(policy: str, markets: Sequence[Sequence[Bill]]) -> OrdinaryResult:
    each = [total(bills) for bills in markets]
    paid = total(each)
    return OrdinaryResult(
        policy=policy,
        starts=sum(map(len, markets)),
        j=ratio([one.j(WEIGHT) for one in each], [one.always_on_demand_usd for one in each]),
        money=paid.money_usd / paid.always_on_demand_usd,
        moves_30d=MONTH_H * paid.moves / paid.hours,
        interruptions_30d=MONTH_H * paid.interruptions / paid.hours,
        outage_min_30d=60 * MONTH_H * paid.outage_h / paid.hours,
    )
