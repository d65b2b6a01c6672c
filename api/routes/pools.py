"""Pools as last seen. The market is the same for every client."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import GuardedRoute, ReadingCaller
from api.services import ServicesDep
from api.views.base import Limit
from api.views.pools import PoolPage
from db.queries.api_pools import page_of_pools

router = APIRouter(prefix="/pools", tags=["pools"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    region: Annotated[str | None, Query(max_length=32)] = None,
    instance_type: Annotated[str | None, Query(max_length=32)] = None,
    cursor: Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before")] = None,
    limit: Limit = 100,
) -> PoolPage:
    """By zone, type and lifecycle, with the latest price and how long the pool is passed over."""
    page = await services.database.read(
        page_of_pools, region=region, instance_type=instance_type, cursor=cursor, limit=limit
    )
    return PoolPage.model_validate(page)
