"""Pools as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from api.views.base import View
from domain.pools import Pool


def _is_pool(text: str) -> str:
    return str(Pool.parse(text))


PoolName = Annotated[str, Field(max_length=128, examples=["us-east-1a/m5.large/spot"]), AfterValidator(_is_pool)]


class LivedView(View):
    """What happened there to instances of all clients. `launch_s`: mean seconds of its launches."""

    capacity_failures: int
    notices: int
    rebalance_recommendations: int
    lost: int
    launches: int
    launch_s: float | None


class PoolView(View):
    """`capacity_failures` and `notices` count since ever. `losses_per_hour`: as the autopilot foresees them now, before
    the caution it has learnt; `availability`: of the last day, where an instance of ours has seen any of it."""

    id: str
    region: str
    zone: str
    instance_type: str
    lifecycle: str
    usd_per_hour: float | None
    on_demand_usd_per_hour: float | None
    priced_at: datetime | None
    cool_down_until: datetime | None
    cool_down_reason: str
    capacity_failures: int
    notices: int
    last_day: LivedView
    last_week: LivedView
    placement_score: int | None
    score_fallen: int | None
    advisor_band: int | None
    own_history: bool
    availability: float | None
    losses_per_hour: float | None


class PoolPage(View):
    items: list[PoolView]
    next_cursor: str | None = None


class PieceView(View):
    """`usd_per_hour` is the mean of the piece; of a single step all three prices are the same."""

    from_at: datetime
    until_at: datetime
    usd_per_hour: float
    min_usd_per_hour: float
    max_usd_per_hour: float
    kind: str
    confidence: float


class PriceSeriesView(View):
    """A pool's canonical price series. `shortened`: neighbouring steps were put together to `max_points`."""

    pool: str
    from_at: datetime
    until_at: datetime
    on_demand_usd_per_hour: float | None
    shortened: bool
    points: list[PieceView]


class HeatView(View):
    """One pool over the time; its price is that at the end of it, `lived` is of the time."""

    pool: str
    zone: str
    instance_type: str
    usd_per_hour: float
    on_demand_usd_per_hour: float | None
    share_of_on_demand: float | None
    min_usd_per_hour: float
    max_usd_per_hour: float
    kind: str
    confidence: float
    lived: LivedView
    placement_score: int | None
    cool_down_until: datetime | None


class MarketView(View):
    region: str
    from_at: datetime
    until_at: datetime
    pools: list[HeatView]
