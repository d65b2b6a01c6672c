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


class PoolView(View):
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


class PoolPage(View):
    items: list[PoolView]
    next_cursor: str | None = None
