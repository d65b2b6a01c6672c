"""A seeded spot market with the statistics of real ones.

The constants were measured with `python -m lab.market.measure` on 90 days of us-east-1 in 2021 (960
pools; LucianaMarques/amazon-spot-dataset) and on the availability traces of "Can't Be Late" (NSDI'24).
They are quantiles, as (share, value); between them the generator draws linearly. The outermost values
are set by hand, close to the measured tenth and ninetieth.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lab.market.history import History, Pool, Series

Quantiles = Sequence[tuple[float, float]]

RATIO: Quantiles = ((0, 0.28), (0.1, 0.2935), (0.25, 0.3), (0.5, 0.3194), (0.75, 0.3873), (0.9, 0.476), (1, 0.55))
ZONE_SPREAD: Quantiles = ((0, 0), (0.25, 0), (0.5, 0.0775), (0.75, 0.1952), (0.9, 0.4062), (1, 0.5))
NEVER_CHANGES = 0.3385
CHANGES_PER_DAY: Quantiles = (
    (0, 0.1),
    (0.1, 0.2667),
    (0.25, 1.0555),
    (0.5, 2.4776),
    (0.75, 3.6331),
    (0.9, 3.8554),
    (1, 4.2),
)
CHANGE_SIZE: Quantiles = (
    (0, 0.0002),
    (0.1, 0.0004),
    (0.25, 0.0008),
    (0.5, 0.0018),
    (0.75, 0.0038),
    (0.9, 0.0076),
    (1, 0.02),
)
UP_HOURS: Quantiles = ((0, 0.05), (0.1, 0.1667), (0.25, 0.1667), (0.5, 0.5), (0.75, 1.4083), (0.9, 4.7125), (1, 48))
DOWN_HOURS: Quantiles = ((0, 0.05), (0.1, 0.1625), (0.25, 0.1667), (0.5, 0.3333), (0.75, 1), (0.9, 3.3333), (1, 24))

DAY = 86400.0
REPEAT_S = 24.4 * 3600  # an unchanged price is published again about once a day
TURN = 0.06  # a price keeps its direction: it turns with this chance at each change
REACH = 0.16  # and turns in any case this far from where it started


def sample(quantiles: Quantiles, rng: random.Random) -> float:
    """One value with the distribution that `quantiles` outlines."""
    share = rng.random()
    for (low, at_low), (high, at_high) in pairwise(quantiles):
        if share <= high:
            return at_low + (at_high - at_low) * (share - low) / (high - low)
    return quantiles[-1][1]


def generate(
    region: str, zones: Sequence[str], on_demand: Mapping[str, float], seed: int, now: float, days: float = 60.0
) -> History:
    """Price series for every type in every zone. Half of the span is past, half is future."""
    series: dict[Pool, Series] = {}
    start, end = now - days * DAY / 2, now + days * DAY / 2
    for kind in sorted(on_demand):
        rng = random.Random(f"{seed}/{region}/{kind}")  # noqa: S311 - a market, not a secret
        for zone, price in _starting_prices(kind, zones, on_demand[kind], rng).items():
            series[(zone, kind)] = _series(price, on_demand[kind], start, end, rng)
    return History(region, tuple(zones), series)


def _starting_prices(kind: str, zones: Sequence[str], on_demand: float, rng: random.Random) -> dict[str, float]:
    middle, spread = on_demand * sample(RATIO, rng), sample(ZONE_SPREAD, rng)
    places = [-0.5, 0.5, *(rng.uniform(-0.5, 0.5) for _ in zones[2:])][: len(zones)]
    rng.shuffle(places)
    return {zone: middle * (1 + spread * place) for zone, place in zip(zones, places, strict=True)}


def _series(price: float, on_demand: float, start: float, end: float, rng: random.Random) -> Series:
    """Price changes at the pool's own rate, with AWS's daily repeats between them."""
    first = price
    at = start + rng.uniform(0, DAY / 2)
    points: Series = [(at, round(price, 6))]
    still = rng.random() < NEVER_CHANGES
    pace = sample(CHANGES_PER_DAY, rng)
    direction = rng.choice((-1, 1))
    change = end if still else at + rng.expovariate(pace) * DAY
    while True:
        repeat = at + REPEAT_S
        at = min(repeat, change)
        if at >= end:
            return points
        if change <= repeat:
            if abs(price / first - 1) > REACH:
                direction = 1 if price < first else -1
            elif rng.random() < TURN:
                direction = -direction
            price = min(price * (1 + direction * sample(CHANGE_SIZE, rng)), on_demand)
            change = at + rng.expovariate(pace) * DAY
        points.append((at, round(price, 6)))
