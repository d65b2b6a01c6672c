"""Pools, their prices, and a region's market. The market is the same for every client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from sqlalchemy.orm import Session

from api.access.callers import GuardedRoute, ReadingCaller
from api.http.problems import INVALID, NOT_FOUND, Problem, documented
from api.services import ServicesDep
from api.views.base import Limit
from api.views.pools import HeatView, LivedView, MarketView, PieceView, PoolPage, PoolView, PriceSeriesView
from db.market.canonical import series_between
from db.market.heatmap import region_heatmap
from db.market.on_demand import on_demand_prices
from db.market.pool_reports import DAY, WEEK, PoolReport, reports
from db.market.pools import get_pool, page_of_pools
from domain.market.price_charts import chart_pieces
from domain.pools import Pool

router = APIRouter(tags=["pools"], route_class=GuardedRoute)

LONGEST = timedelta(days=400)
From = Annotated[AwareDatetime | None, Query(alias="from", description="ISO 8601 with its offset")]
To = Annotated[AwareDatetime | None, Query(alias="to", description="default: now")]


@router.get("/pools")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    region: Annotated[str | None, Query(max_length=32)] = None,
    instance_type: Annotated[str | None, Query(max_length=32)] = None,
    cursor: Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before")] = None,
    limit: Limit = 100,
) -> PoolPage:
    """By zone, type and lifecycle: latest price, on-demand price, cool-down, what happened there, how risky it is."""

    def work(session: Session) -> PoolPage:
        page = page_of_pools(session, region=region, instance_type=instance_type, cursor=cursor, limit=limit)
        found = reports(session, page.items, datetime.now(UTC))
        return PoolPage(items=[_view(one) for one in found], next_cursor=page.next_cursor)

    return await services.database.read(work)


@router.get("/pools/{pool:path}/prices", responses=documented(NOT_FOUND, INVALID))
async def prices(
    pool: str,
    caller: ReadingCaller,
    services: ServicesDep,
    from_at: From = None,
    until_at: To = None,
    max_points: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> PriceSeriesView:
    """The canonical series of a spot pool: each step observed or filled, with its confidence. Default: a week."""
    try:
        place = Pool.parse(pool)
    except ValueError as error:
        raise Problem(INVALID, str(error)) from error
    start, end = _time(from_at, until_at, WEEK)

    def work(session: Session) -> PriceSeriesView:
        row = get_pool(session, pool) if place.spot else None
        if row is None:
            raise Problem(NOT_FOUND, f"there are no spot prices of {pool}: nobody has told any")
        steps = series_between(session, place.zone, place.instance_type, start, end)
        points = chart_pieces(steps, start, end, max_points)
        dear = on_demand_prices(session, row.region, end).get(place.instance_type)
        return PriceSeriesView(
            pool=pool,
            from_at=start,
            until_at=end,
            on_demand_usd_per_hour=None if dear is None else float(dear),
            shortened=len(points) < len(steps),
            points=[PieceView.model_validate(one) for one in points],
        )

    return await services.database.read(work)


@router.get("/market", responses=documented(INVALID))
async def market(
    caller: ReadingCaller,
    services: ServicesDep,
    region: Annotated[str, Query(max_length=32)],
    from_at: From = None,
    until_at: To = None,
) -> MarketView:
    """Every pool of a region that has a price: now, its lowest and highest, what happened there. Default: a day."""
    start, end = _time(from_at, until_at, DAY)
    found = await services.database.read(region_heatmap, region, start, end)
    return MarketView(region=region, from_at=start, until_at=end, pools=[HeatView.model_validate(one) for one in found])


def _view(one: PoolReport) -> PoolView:
    shown = {name: getattr(one.row, name) for name in PoolView.model_fields if hasattr(one.row, name)}
    known = {name: getattr(one, name) for name in PoolView.model_fields if hasattr(one, name)}
    times = {name: LivedView.model_validate(getattr(one, name)) for name in ("last_day", "last_week")}
    return PoolView.model_validate(shown | known | times)


def _time(from_at: datetime | None, until_at: datetime | None, usual: timedelta) -> tuple[datetime, datetime]:
    end = (until_at or datetime.now(UTC)).astimezone(UTC)
    start = from_at.astimezone(UTC) if from_at else end - usual
    if not start < end:
        raise Problem(INVALID, f"from {start.isoformat()} is not before {end.isoformat()}")
    if end - start > LONGEST:
        raise Problem(INVALID, f"at most {LONGEST.days} days can be asked for at once")
    return start, end
