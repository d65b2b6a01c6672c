"""Backtests, for people; and what there is to replay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from db.engine.paging import Page, fetch_page, of_client
from db.tables import BacktestRow, Instance, PriceCanonical, PriceSeries, Server
from domain.pools import Pool


@dataclass(frozen=True)
class BacktestServer:
    """An active server and its type: what a backtest can be asked for."""

    server_id: str
    name: str
    region: str
    instance_type: str


def list_backtests(
    session: Session, client_id: str | None, *, cursor: str | None = None, limit: int = 50
) -> Page[BacktestRow]:
    """Newest first, without their results."""
    query = of_client(select(BacktestRow).options(defer(BacktestRow.result)), BacktestRow.client_id, client_id)
    return fetch_page(session, query, BacktestRow.requested_at, BacktestRow.id, cursor, limit)


def get_backtest(session: Session, client_id: str | None, backtest_id: str) -> BacktestRow | None:
    return session.scalar(
        of_client(select(BacktestRow).where(BacktestRow.id == backtest_id), BacktestRow.client_id, client_id)
    )


def backtest_servers(session: Session, client_id: str) -> list[BacktestServer]:
    """The client's active servers that have a primary."""
    query = (
        select(Server.id, Server.name, Server.region, Instance.pool)
        .join(Instance, Instance.primary_of == Server.id)
        .where(Server.client_id == client_id, Server.active_name.is_not(None))
        .order_by(Server.name)
    )
    return [
        BacktestServer(server_id, name, region, Pool.parse(pool).instance_type)
        for server_id, name, region, pool in session.execute(query)
    ]


def priced_period(session: Session, region: str, types: Iterable[str]) -> tuple[datetime, datetime | None] | None:
    """From when to when the types have canonical prices there (None: until further notice); None: never."""
    here = PriceSeries.region == region, PriceSeries.instance_type.in_(sorted(set(types)))
    joined = select(func.min(PriceCanonical.from_at), func.max(PriceCanonical.until_at), func.count()).join(
        PriceSeries, PriceSeries.id == PriceCanonical.series_id
    )
    first, last, count = session.execute(joined.where(*here)).one()
    if not count:
        return None
    open_ended = session.scalar(joined.where(*here, PriceCanonical.until_at.is_(None)).with_only_columns(func.count()))
    return first, None if open_ended else last
