"""Backtests as they are asked for, run and kept. Every function is part of the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.tables import BacktestRow, Instance
from domain.backtest.contract import ENDED, BacktestState

_PROBLEM = 2000


def create_backtest(session: Session, row: BacktestRow) -> BacktestRow:
    """Keep a new one; the same ID again, at the same moment even, is the one that is there already."""
    values = {column.key: getattr(row, column.key) for column in BacktestRow.__table__.columns}
    given = {name: value for name, value in values.items() if value is not None}
    session.execute(insert(BacktestRow).prefix_with("IGNORE").values(given | {"problem": ""}))
    return session.get_one(BacktestRow, row.id, populate_existing=True)


def count_unfinished_backtests(session: Session, client_id: str) -> int:
    """How many of the client's wait or run."""
    ours = BacktestRow.client_id == client_id, BacktestRow.state.not_in([state.value for state in ENDED])
    return session.scalar(select(func.count()).where(*ours)) or 0


def begin_backtest(session: Session, backtest_id: str, now: datetime) -> BacktestRow | None:
    """Take it up, or again after a worker died. None: there is none, or it has ended."""
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
    """Its end, with its event. False: it had ended before; nothing was changed."""
    row = session.get(BacktestRow, backtest_id, with_for_update=True)
    if row is None or row.state in ENDED:
        return False
    row.state, row.finished_at, row.problem, row.result = state.value, now, problem[:_PROBLEM], result
    session.flush()
    payload = {"backtest_id": backtest_id, "problem": row.problem} if problem else {"backtest_id": backtest_id}
    append_events(session, row.client_id, [NewEvent(f"backtest.{state.value}", now, payload=payload)])
    return True


def pools_at(session: Session, server_ids: Iterable[str], at: datetime) -> dict[str, str]:
    """Server -> the pool its instance of that moment was in; of a server that is younger, its first instance's."""
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
