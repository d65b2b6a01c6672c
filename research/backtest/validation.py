"""The hazard's parameters fitted on one part of the data and judged on another.

The policy that is shipped is fitted on all of A. So its figures are set beside those of the same policy
fitted on the first halves alone, and on the other collections alone: what to expect on series it was not
fitted on are those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.autopilot.tuning import Tuning
from research.backtest.availability import MarketPart, ObservedMarket, PolicyResult, compare_tunings
from research.backtest.hazard_fitting import UpStretch, fit_hazard, likelihood_gain, stretches
from research.backtest.market_sets import halves

SHIPPED = "as shipped"
ON_FIRST = "fitted on first halves"
ON_OTHERS = "fitted on other collections"
WEIGHT = 10.0


@dataclass(frozen=True)
class HazardFit:
    """Parameters fitted on a part of the data. `gain`: on the rest of the data, see hazard_fitting."""

    name: str
    losses: int
    tuning: Tuning
    judged_losses: int
    gain: float


def collection_of(market: str) -> str:
    """The clock of a set. Its series were observed together, so they are left out together."""
    found = re.match(r".*?\d{4}-\d{2}-\d{2}", market)
    return found.group() if found else market


def whole_sets(markets: Sequence[ObservedMarket]) -> list[ObservedMarket]:
    """Sets that are not a region of another set, so that no series counts twice."""
    names = [one.market.name for one in markets]
    return [one for one in markets if not any(one.market.name.startswith(f"{name} ") for name in names)]


def fit_first_halves(markets: Sequence[ObservedMarket], shipped: Tuning) -> HazardFit:
    """Fitted on the first halves of the sets with at least a week in each half; tested on all the rest."""
    early, late = list[UpStretch](), list[UpStretch]()
    for one in whole_sets(markets):
        middle = 0.5 if halves(one.market) else 0.0
        early += stretches(one, shipped, until=middle)
        late += stretches(one, shipped, since=middle)
    return _fitted(ON_FIRST, early, late, shipped)


def fit_others(markets: Sequence[ObservedMarket], shipped: Tuning) -> dict[str, HazardFit]:
    """For each collection: fitted on all others, tested on it."""
    found: dict[str, list[UpStretch]] = {}
    for one in whole_sets(markets):
        found.setdefault(collection_of(one.market.name), []).extend(stretches(one, shipped))
    if len(found) < 2:
        return {}
    others = {name: [row for other in found if other != name for row in found[other]] for name in found}
    return {name: _fitted(f"without {name}", others[name], found[name], shipped) for name in found}


def judge_fits(
    parts: Sequence[Sequence[MarketPart]],
    shipped: Tuning,
    first: HazardFit,
    others: Mapping[str, HazardFit],
    say: Callable[[str], None],
) -> list[PolicyResult]:
    """Every set and part under each of the parameters; `policy` names them."""
    found = []
    for some in parts:
        name = some[0].market.name
        say(f"A, validation: {name}")
        tunings = {SHIPPED: shipped, ON_FIRST: first.tuning}
        if other := others.get(collection_of(name)):
            tunings[ON_OTHERS] = other.tuning
        found += compare_tunings(some, tunings, WEIGHT)
    return found


def _fitted(name: str, rows: Sequence[UpStretch], rest: Sequence[UpStretch], shipped: Tuning) -> HazardFit:
    tuning = fit_hazard(rows, shipped)
    return HazardFit(
        name, sum(row.lost for row in rows), tuning, sum(row.lost for row in rest), likelihood_gain(rest, tuning)
    )
