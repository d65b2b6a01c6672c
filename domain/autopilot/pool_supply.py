"""What a region sells, as the policy sees it: an offer for each pool, from its price and what else is known of it.

AWS's own warnings raise the risk, but force nothing. By how much was chosen, not fitted: no public data shows what
followed a placement score or a rebalance recommendation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.autopilot.decision_inputs import Offer
from domain.autopilot.pool_records import PriceRecord, Reliability, first_observation, tightness, with_observation
from domain.autopilot.tuning import SHAPE_WITH_RECORD
from domain.market.placement_scores import PoolScore
from domain.pools import Lifecycle, Pool

RegionPlatform = tuple[str, str]  # region, platform

COOL_DOWN_WHY = "gave a notice or had no capacity a short while ago"
CLOSED_WHY = "lost an instance or had no capacity within the last half hour"
UNKNOWN_BAND = 2
_BAND_SHARE = (0.025, 0.075, 0.125, 0.175, 0.25)  # the middle of each; the last is open to above
_HOURS_A_MONTH = 730.0
_LOWEST_SCORE = math.log(3)  # a pool of score 1 is lost three times as often as one of 10
_FALLEN = math.log(3)  # likewise one whose score has fallen by nine within a day
_REBALANCE = math.log(4)  # right after a rebalance recommendation
_REBALANCE_HALF_H = 3.0


def hazard_of_band(band: int) -> float:
    """Losses per hour of a Spot Advisor band, 0 to 4: the share of instances interrupted in the trailing month.

    A band says little about the pool of one zone: it is per region and type, and old. So it is only where a record
    begins; our own evidence replaces it.
    """
    return -math.log(1 - _BAND_SHARE[band]) / _HOURS_A_MONTH


def hours(at: datetime) -> float:
    """Hours since 1970, the unit of time of the policy's records."""
    return at.timestamp() / 3600


@dataclass(frozen=True)
class PoolKnowledge:
    """What is known of a region's spot pools beside their prices. `histories`: pools we have a record of."""

    cooling_down: Mapping[str, str] = field(default_factory=dict)  # pool in its cool-down -> why
    histories: Mapping[str, Reliability] = field(default_factory=dict)
    watched: Collection[str] = ()  # pools where an instance of ours runs: a loss there would be seen
    bands: Mapping[str, int] = field(default_factory=dict)  # type -> the Spot Advisor's
    scores: Mapping[tuple[str, str], PoolScore] = field(default_factory=dict)  # (zone, type)
    rebalanced: Mapping[str, float] = field(default_factory=dict)  # pool -> hours since the latest recommendation


@dataclass(frozen=True)
class Supply:
    """`offers`: by pool. `down`: pools that were lost a short while ago. `known`: what the offers were made from."""

    offers: Mapping[str, Offer]
    down: frozenset[str] = frozenset()
    known: PoolKnowledge = field(default_factory=PoolKnowledge)


def supply_of(prices: Mapping[tuple[str, str], PriceRecord], known: PoolKnowledge, now: datetime) -> Supply:
    """The offers at `now`; a pool in its cool-down is blocked (invariant 10).

    A pool that was lost a short while ago is blocked too, and counts as up and young: a server that still runs there
    must not be taken for lost.
    """
    at_h = hours(now)
    tight, elsewhere = _tightness(known.histories)
    offers: dict[str, Offer] = {}
    down: set[str] = set()
    for (zone, kind), price in prices.items():
        pool = str(Pool(zone, kind, Lifecycle.SPOT))
        record = known.histories.get(pool) or _unknown(at_h, known.bands.get(kind))
        blocked = known.cooling_down.get(pool, "")
        if not record.up:
            down.add(pool)
            # `now` is exact to the microsecond, hours are not.
            record, blocked = with_observation(record, max(at_h, record.at_h), True), blocked or CLOSED_WHY
        offers[pool] = Offer(
            pool=pool,
            price=price,
            reliability=record,
            tightness=tight.get(pool, elsewhere),
            blocked=blocked,
            zone=zone,
            warning=warning(known.scores.get((zone, kind)), known.rebalanced.get(pool)),
        )
    return Supply(offers, frozenset(down), known)


def warning(score: PoolScore | None, rebalanced_h: float | None) -> float:
    """Log of the factor by which AWS's warnings raise the hazard; 0 without a warning."""
    total = 0.0
    if score is not None:
        total += _LOWEST_SCORE * (10 - score.score) / 9 + _FALLEN * score.fallen / 9
    if rebalanced_h is not None:
        total += _REBALANCE * math.pow(0.5, rebalanced_h / _REBALANCE_HALF_H)
    return total


def prior_of(band: int | None) -> float:
    """Losses per hour with which a pool's record begins, by its band; the middle band where it is not known."""
    return hazard_of_band(UNKNOWN_BAND if band is None else band)


def _unknown(at_h: float, band: int | None) -> Reliability:
    return first_observation(at_h, True, prior_of(band), SHAPE_WITH_RECORD)


def _tightness(histories: Mapping[str, Reliability]) -> tuple[dict[str, float], float]:
    """Tightness for each pool that we have a record of, and one number for all others of the region.

    Pools where nothing of ours runs are left out: they would always seem to be up.
    """
    pools = sorted(histories)
    found = tightness(["here"] * (len(pools) + 1), [*(histories[pool] for pool in pools), Reliability(0.0, True, 0.0)])
    return dict(zip(pools, found, strict=False)), found[-1]
