"""Backtests: created, run, finished, read. Every function is part of the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session, defer

from db.engine.paging import Page, fetch_page, of_client
from db.event_log.writing import NewEvent, append_events
from db.tables import BacktestRow, Instance, PriceCanonical, PriceSeries, Server
from domain.backtest.contract import ENDED, BacktestState
from domain.pools import Pool

_PROBLEM = 2000


def create_backtest(session: Session, row: BacktestRow) -> BacktestRow:
    """Store a new backtest. The same ID again, even at the same moment, gives the one that is already there."""
    values = {column.key: getattr(row, column.key) for column in BacktestRow.__table__.columns}
    given = {name: value for name, value in values.items() if value is not None}
    session.execute(insert(BacktestRow).prefix_with("IGNORE").values(given | {"problem": ""}))
    return session.get_one(BacktestRow, row.id, populate_existing=True)


def count_unfinished_backtests(session: Session, client_id: str) -> int:
    """How many backtests of the client wait or run."""
    ours = BacktestRow.client_id == client_id, BacktestRow.state.not_in([state.value for state in ENDED])
    return session.scalar(select(func.count()).where(*ours)) or 0


def begin_backtest(session: Session, backtest_id: str, now: datetime) -> BacktestRow | None:
    """Mark it running, also again after a worker died. None: there is none, or it has ended."""
    row = session.get(BacktestRow, backtest_id, with_for_update=True)
    if row is None or row.state in ENDED:
        return None
    row.state, row.started_at = BacktestState.RUNNING.value, row.started_at or now
    return row


def finish_backtest(
    session: Session,
    backtest_id: str,
    state: BacktestState,
    now: datetime,
    *,
    problem: str = "",
    result: dict[str, Any] | None = None,
) -> bool:
    """Store its end, with the event. False: it had ended before, and nothing was changed."""
    row = session.get(BacktestRow, backtest_id, with_for_update=True)
    if row is None or row.state in ENDED:
        return False
    row.state, row.finished_at, row.problem, row.result = state.value, now, problem[:_PROBLEM], result
    session.flush()
    payload = {"backtest_id": backtest_id, "problem": row.problem} if problem else {"backtest_id": backtest_id}
    append_events(session, row.client_id, [NewEvent(f"backtest.{state.value}", now, payload=payload)])
    return True


def pools_at(session: Session, server_ids: Iterable[str], at: datetime) -> dict[str, str]:
    """Server -> the pool of its instance at that moment; for a younger server, the pool of its first instance."""
    query = (
        select(Instance.server_id, Instance.pool, Instance.created_at, Instance.terminate_confirmed_at)
        .where(Instance.server_id.in_(sorted(set(server_ids))), Instance.pool != "")
        .order_by(Instance.created_at)
    )
    found: dict[str, str] = {}
    for server_id, pool, created_at, ended_at in session.execute(query):
        then = created_at <= at and (ended_at is None or ended_at > at)
        if server_id not in found or then:
            found[server_id] = pool
    return found


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
    """From when to when the types have canonical prices (an end of None: until now); None: no prices at all."""
    here = PriceSeries.region == region, PriceSeries.instance_type.in_(sorted(set(types)))
    joined = select(func.min(PriceCanonical.from_at), func.max(PriceCanonical.until_at), func.count()).join(
        PriceSeries, PriceSeries.id == PriceCanonical.series_id
    )
    first, last, count = session.execute(joined.where(*here)).one()
    if not count:
        return None
    open_ended = session.scalar(joined.where(*here, PriceCanonical.until_at.is_(None)).with_only_columns(func.count()))
    return first, None if open_ended else last
