"""Contract of the market's collection: names, inputs, outputs, and the schedules' workflows.

Every activity is safe to repeat: prices that are in already change nothing, and the progress of a collection is
recorded only when a whole piece is in. Activities fail with Unavailable; those that call EC2 also with Throttled,
PermissionMissing and Refused (`domain.errors.Failure`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.market.on_demand_prices import LINUX

COLLECT_SPOT = "market_collect_spot"  # input, result: CollectSpotInput, CollectSpotResult
COLLECT_ON_DEMAND = "market_collect_on_demand"  # CollectOnDemandInput, CollectOnDemandResult
COLLECT_SCORES = "market_collect_scores"  # CollectScoresInput, CollectScoresResult
THIN_OUT = "market_thin_out"  # ThinOutInput, ThinOutResult

COLLECT_SPOT_WORKFLOW = "CollectSpotWorkflow"
COLLECT_ON_DEMAND_WORKFLOW = "CollectOnDemandWorkflow"
COLLECT_SCORES_WORKFLOW = "CollectScoresWorkflow"
THIN_OUT_WORKFLOW = "ThinOutWorkflow"

# When a region's collection is older, several of its runs were missed: EC2 itself is asked for prices.
STALE_AFTER = timedelta(minutes=20)

# Accounts that still have EC2-Classic see VPC prices under a name of their own.
LINUX_PRODUCTS = (LINUX, f"{LINUX} (Amazon VPC)")


def spot_collection(region: str) -> str:
    """The name under which the progress of a region's collection of spot prices is kept."""
    return f"spot/{region}/{LINUX}"


@dataclass(frozen=True)
class CollectSpotInput:
    """`since` None: from where the last collection ended, less an overlap for what comes late.

    `products`: EC2's ProductDescriptions, all of one platform: a pool has one series. `first_days`: how far
    the first collection of a region goes back; EC2 has 90 days.
    """

    region: str
    products: list[str] = field(default_factory=lambda: list(LINUX_PRODUCTS))
    since: datetime | None = None
    first_days: float = 30.0


@dataclass(frozen=True)
class CollectSpotResult:
    """Numbers of prices that were kept, of prices set aside, and of spans in the past whose price has changed."""

    observed: int = 0
    set_aside: int = 0
    changes: int = 0
    until: datetime | None = None
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class CollectOnDemandInput:
    """For `types`; if empty, for every type with a spot price in the region whose on-demand price is older than
    `older_than_h`."""

    region: str
    platform: str = LINUX
    older_than_h: float = 24.0
    types: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CollectOnDemandResult:
    asked: int = 0
    priced: int = 0
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class CollectScoresInput:
    """Each group of types is one request. EC2 allows few new ones a day, and needs at least three types.

    Without groups: one for each kind of server in the region, those with most servers first
    (domain.market.placement_scores).
    """

    region: str
    groups: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class CollectScoresResult:
    scores: int = 0
    calls: list[str] = field(default_factory=list)
    attempts: int = 1


@dataclass(frozen=True)
class ThinOutInput:
    """Days for which each tier is kept."""

    observations: float = 14.0
    consolidated: float = 90.0
    canonical: float = 400.0

    @classmethod
    def read(cls, text: str) -> ThinOutInput:
        """`14/90/400`. Raise ValueError, with the form to use, for anything else, and where a tier would outlive the
        one that is made from it."""
        try:
            observations, consolidated, canonical = (float(days) for days in text.split("/"))
            kept = cls(observations, consolidated, canonical)
        except ValueError:
            kept = cls(0.0)
        if not 1 <= kept.observations <= kept.consolidated <= kept.canonical:
            raise ValueError(
                f"{text!r}: write the days that observations, consolidated and canonical prices are kept, such as "
                "14/90/400; none less than the one before"
            )
        return kept


@dataclass(frozen=True)
class ThinOutResult:
    """Partitions that were dropped, and rows that were deleted."""

    partitions: list[str] = field(default_factory=list)
    consolidated: int = 0
    canonical: int = 0
    set_aside: int = 0
    corrections: int = 0
    facts: int = 0  # of pools: placement scores and reliability facts
