"""Backtest A: one instance must always run, while pools come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.tuning import Tuning
from domain.backtest.billing import Bill, by_day, total
from domain.backtest.clairvoyant import Clairvoyant
from domain.backtest.market_history import MarketHistory, TickWindow
from domain.backtest.offers_by_tick import Offers, observe_market, rate_by_tick
from domain.backtest.policy_run import PolicyRun, ReplayPolicy
from domain.backtest.simple_policies import AlwaysOnDemand, StayPut
from domain.forecasting.forecaster import Forecaster
from research.backtest.compared_policies import AnyUp, BestAvailability, ProductPolicy
from research.backtest.confidence_intervals import DAYS, Estimate, ratio
from research.backtest.market_sets import halves, windows

WEIGHTS = (1.0, 10.0, 50.0)
PRODUCT_POLICY = "policy"
CLAIRVOYANT = "clairvoyant"
ON_DEMAND = "always on-demand"
WHOLE, FIRST, SECOND = "all", "first half", "second half"
MONTH_H = 720.0
Days = Mapping[int, Bill]


@dataclass(frozen=True)
class PolicyResult:
    """One policy over the windows of one part of a set. Some figures are per 30 days, as their names say."""

    market: str
    part: str  # all, first half, second half
    weight: float
    policy: str
    windows: int
    j: Estimate  # against always on-demand
    regret: Estimate  # 0: as the clairvoyant; 1: as always on-demand
    money: float  # against always on-demand
    moves_30d: float
    interruptions_30d: float
    outage_min_30d: float
    best_simple: str = ""
    beyond_best: Estimate | None = None  # J beyond that of the best simple policy, against always on-demand


@dataclass(frozen=True)
class ObservedMarket:
    """A market, and what was known of it at each tick."""

    market: MarketHistory
    offers: Sequence[Offers]

    @classmethod
    def of(cls, market: MarketHistory) -> ObservedMarket:
        return cls(market, list(observe_market(market)))


@dataclass(frozen=True)
class MarketPart:
    """The windows of one part that are replayed. Policies know what was observed before a window."""

    observed: ObservedMarket
    part: str
    windows: Sequence[TickWindow]

    @property
    def market(self) -> MarketHistory:
        return self.observed.market


def prepare(observed: ObservedMarket, starts: int) -> list[MarketPart]:
    """The whole series, then its halves where they hold a week each."""
    market = observed.market
    parts = zip((FIRST, SECOND), halves(market) or (), strict=False)
    return [
        MarketPart(observed, WHOLE, windows(market, starts)),
        *(MarketPart(observed, name, windows(market, max(1, starts // 2), part)) for name, part in parts),
    ]


def compare_policies(
    parts: Sequence[MarketPart], tuning: Tuning, weights: Iterable[float] = WEIGHTS
) -> list[PolicyResult]:
    """Compare the policy with the simple ones, at each weight, on each part of one market."""
    observed = parts[0].observed
    market, seen = observed.market, rate_by_tick(observed.offers, tuning)
    simple = simple_policies(observed)
    simply = {part.part: {name: days(part, choosers) for name, choosers in simple.items()} for part in parts}
    found: list[PolicyResult] = []
    for weight in weights:
        ours = ProductPolicy(market, seen, weight, tuning)
        for part in parts:
            found += _compared(part, weight, {PRODUCT_POLICY: days(part, [ours]), **simply[part.part]})
    return found


def compare_tunings(
    parts: Sequence[MarketPart],
    tunings: Mapping[str, Tuning],
    weight: float,
    forecasters: Mapping[str, Forecaster] | None = None,
) -> list[PolicyResult]:
    """Compare tunings of the policy, by name; each with the forecaster of that name, if there is one."""
    lowest = [_js(clairvoyant(part, weight), weight) for part in parts]
    found: list[PolicyResult] = []
    for name, tuning in tunings.items():
        observed = parts[0].observed
        seen = rate_by_tick(observed.offers, tuning, (forecasters or {}).get(name))
        ours = ProductPolicy(observed.market, seen, weight, tuning)
        found += [_result(part, weight, name, days(part, [ours]), low) for part, low in zip(parts, lowest, strict=True)]
    return found


def simple_policies(observed: ObservedMarket) -> dict[str, Sequence[ReplayPolicy]]:
    """Policies by name. Where there are several choosers, such as one for each pool, all have the same weight."""
    market, offers = observed.market, observed.offers
    return {
        ON_DEMAND: [AlwaysOnDemand()],
        "stay put": [StayPut(market, pool) for pool in range(len(market.pools))],
        "any that is up": [AnyUp(market)],
        "best availability": [BestAvailability(offers)],
        "best availability, 3 h up": [BestAvailability(offers, 3.0)],
    }


def days(part: MarketPart, choosers: Sequence[ReplayPolicy]) -> Days:
    """The cost of the windows, by the market's days."""
    found: dict[int, list[Bill]] = defaultdict(list)
    for one in choosers:
        replay = PolicyRun(part.market, one)
        for window in part.windows:
            for day, paid in replay.by_day(window).items():
                found[day].append(paid)
    return {day: total(bills, 1 / len(choosers)) for day, bills in sorted(found.items())}


def clairvoyant(part: MarketPart, weight: float) -> Days:
    """The cost of the windows for the clairvoyant, by the market's days."""
    found: dict[int, list[Bill]] = defaultdict(list)
    for window in part.windows:
        for day, paid in by_day(part.market, window, Clairvoyant(part.market, window, weight).path()).items():
            found[day].append(paid)
    return {day: total(bills) for day, bills in sorted(found.items())}


def _compared(part: MarketPart, weight: float, policies: Mapping[str, Days]) -> list[PolicyResult]:
    known = clairvoyant(part, weight)
    lowest = _js(known, weight)
    found = {name: _result(part, weight, name, bills, lowest) for name, bills in policies.items()}
    best = min((name for name in found if name != PRODUCT_POLICY), key=lambda name: found[name].j.value)
    full = [one.always_on_demand_usd for one in policies[PRODUCT_POLICY].values()]
    beyond = ratio(_less(_js(policies[PRODUCT_POLICY], weight), _js(policies[best], weight)), full, DAYS)
    found[PRODUCT_POLICY] = replace(found[PRODUCT_POLICY], best_simple=best, beyond_best=beyond)
    return [*found.values(), _result(part, weight, CLAIRVOYANT, known, lowest)]


def _result(part: MarketPart, weight: float, policy: str, bills: Days, lowest: Sequence[float]) -> PolicyResult:
    paid, j = total(bills.values()), _js(bills, weight)
    full = [one.always_on_demand_usd for one in bills.values()]
    return PolicyResult(
        market=part.market.name,
        part=part.part,
        weight=weight,
        policy=policy,
        windows=len(part.windows),
        j=ratio(j, full, DAYS),
        regret=ratio(_less(j, lowest), _less(full, lowest), DAYS),
        money=paid.money_usd / paid.always_on_demand_usd,
        moves_30d=MONTH_H * paid.moves / paid.hours,
        interruptions_30d=MONTH_H * paid.interruptions / paid.hours,
        outage_min_30d=60 * MONTH_H * paid.outage_h / paid.hours,
    )


def _js(bills: Days, weight: float) -> list[float]:
    return [one.j(weight) for one in bills.values()]


def _less(these: Sequence[float], those: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(these, those, strict=True)]
