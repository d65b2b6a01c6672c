"""Targets for the policy, each with its figure: met or missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from research.backtest.availability import PRODUCT_POLICY, WEIGHTS, WHOLE, PolicyResult
from research.backtest.confidence_intervals import Estimate
from research.backtest.deadline_jobs import PUBLISHED
from research.backtest.price_following import PriceRunSummary
from research.backtest.validation import ON_OTHERS, WEIGHT

EVERY_MARKET = "all"
NINE_ZONES, US_EAST_1 = "avail1-2023-02-15 p3.2xlarge", "avail1-2023-02-15 p3.2xlarge us-east-1"
# Set, weight, and the most that the regret may be; some are requirements, others aims.
REGRETS = (
    (NINE_ZONES, 10.0, 0.17, "target"),
    (NINE_ZONES, 10.0, 0.145, "aim"),
    (US_EAST_1, 10.0, 0.735, "target"),
    (US_EAST_1, 10.0, 0.70, "aim"),
    (NINE_ZONES, 1.0, 0.017, "within reach"),
    (NINE_ZONES, 50.0, 0.60, "within reach"),
    (US_EAST_1, 1.0, 0.15, "within reach"),
    (US_EAST_1, 50.0, 1.03, "within reach"),
)
ABOVE_ON_DEMAND = 1.01
ABOVE_CLAIRVOYANT, IN_A_GROUP, MOVES, UNPAID = 0.01, 0.02, 1, 0.05
HOURS_OFF = 1.0


@dataclass(frozen=True)
class TargetResult:
    """`figure` and its interval, as text; `limit`: what it may be at most."""

    what: str
    kind: str  # target, aim, within reach
    limit: str
    figure: str
    interval: str
    met: bool


def target_results(
    results: Sequence[PolicyResult],
    validation: Sequence[PolicyResult],
    spreads: Sequence[PriceRunSummary],
    deadlines: Mapping[str, tuple[float, float]],
) -> list[TargetResult]:
    ours = [one for one in results if one.policy == PRODUCT_POLICY and one.part == WHOLE]
    regrets = [*_regrets(ours), *_regrets_unseen(validation)]
    return [*regrets, *_beyond_simple(ours), *_beyond_on_demand(ours), *_prices(spreads), *_deadlines(deadlines)]


def _regrets(ours: Sequence[PolicyResult]) -> Iterator[TargetResult]:
    by_key = {(one.market, one.weight): one.regret for one in ours}
    for market, weight, limit, kind in REGRETS:
        if regret := by_key.get((market, weight)):
            yield _verdict(f"A regret, {market}, weight {weight:g}", kind, limit, regret, "{:.3f}")


def _regrets_unseen(validation: Sequence[PolicyResult]) -> Iterator[TargetResult]:
    """The same targets with a hazard fitted without the series it is tested on: what to expect of new series."""
    found = {one.market: one.regret for one in validation if one.policy == ON_OTHERS and one.part == WHOLE}
    for market, weight, limit, kind in REGRETS:
        if weight == WEIGHT and kind == "target" and (regret := found.get(market)):
            yield _verdict(f"A regret, {market}, weight {weight:g}, {ON_OTHERS}", kind, limit, regret, "{:.3f}")


def _beyond_simple(ours: Sequence[PolicyResult]) -> Iterator[TargetResult]:
    """On no set is it worse than the best simple policy by more than the interval of the difference."""
    for weight in WEIGHTS:
        found = [one for one in ours if one.weight == weight and one.beyond_best]
        worse = [one for one in found if one.beyond_best and one.beyond_best.low > 0]
        if found:
            worst = max(found, key=lambda one: one.beyond_best.low if one.beyond_best else 0.0)
            what = f"A, sets worse than the best simple policy by more than the interval, weight {weight:g}"
            names = f"; {', '.join(one.market for one in worse)}" if worse else ""
            text = f"{len(worse)} of {len(found)}{names}"
            interval = f"nearest: {worst.market}, {worst.beyond_best} of on-demand beyond {worst.best_simple}"
            yield TargetResult(what, "target", "0", text, interval, not worse)


def _beyond_on_demand(ours: Sequence[PolicyResult]) -> Iterator[TargetResult]:
    for weight in WEIGHTS:
        found = [one for one in ours if one.weight == weight]
        if found:
            worst = max(found, key=lambda one: one.j.value)
            what = f"A, largest J against always on-demand, weight {weight:g}: {worst.market}"
            kind = "target" if weight == 10 else "within reach"
            yield _verdict(what, kind, ABOVE_ON_DEMAND, worst.j, "{:.3f}")


def _prices(spreads: Sequence[PriceRunSummary]) -> Iterator[TargetResult]:
    ours = [one for one in spreads if one.policy == PRODUCT_POLICY]
    groups = [one for one in ours if one.market != EVERY_MARKET]
    for one in (one for one in ours if one.market == EVERY_MARKET):
        yield _verdict("B, mean of all starts above the clairvoyant", "target", ABOVE_CLAIRVOYANT, one.excess, "{:.2%}")
        moves = f"{one.median_moves:g}"
        yield TargetResult("B, median of moves in 30 days", "target", f"{MOVES}", moves, "", one.median_moves <= MOVES)
        share = one.unpaid / one.moves if one.moves else 0.0
        text, met = f"{share:.1%} ({one.unpaid} of {one.moves})", share <= UNPAID
        yield TargetResult("B, moves that never paid back", "target", f"{UNPAID:.0%}", text, "", met)
    if groups:
        worst = max(groups, key=lambda one: one.excess.value)
        yield _verdict(f"B, worst group: {worst.market}", "target", IN_A_GROUP, worst.excess, "{:.2%}")


def _deadlines(found: Mapping[str, tuple[float, float]]) -> Iterator[TargetResult]:
    for name, hours in found.items():
        off = max(abs(one - other) for one, other in zip(hours, PUBLISHED[name], strict=True))
        said = f"{hours[0]:.1f} / {hours[1]:.1f} h, published {PUBLISHED[name][0]} / {PUBLISHED[name][1]}"
        yield TargetResult(f"C, {name}: off by", "target", f"{HOURS_OFF:g} h", f"{off:.1f} h", said, off <= HOURS_OFF)


def _verdict(what: str, kind: str, limit: float, found: Estimate, style: str) -> TargetResult:
    figure, low, high = (style.format(one) for one in (found.value, found.low, found.high))
    return TargetResult(what, kind, style.format(limit), figure, f"{low} to {high}", found.value <= limit)
