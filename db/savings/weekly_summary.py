"""The weekly summary: an event of each client, once a week; webhooks carry it like any other event."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, and_, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import NewEvent, append_events
from db.savings.booking import accrued_until
from db.savings.totals import Unit, period_totals, unit_start
from db.status.overview import count_needing_attention
from db.status.summary import track_record_between
from db.tables import Client, WeeklySummary
from domain.savings.amounts import total, usd

WEEK = timedelta(days=7)
ACCRUAL_WAIT = timedelta(hours=6)  # for the accrual of the week's last hour
EVENT_TYPE = "summary.weekly"


def write_weekly_summaries(sessions: SessionFactory, now: datetime) -> tuple[datetime, int]:
    """Write each client the event of the last whole week, once; return its Monday and how many were written."""
    week = week_start(now) - WEEK
    with sessions() as session:
        until = accrued_until(session)
        if now < week + WEEK + ACCRUAL_WAIT and (until is None or until < week + WEEK):
            return week, 0
        untold = _untold(session, week)
    told = [in_transaction(sessions, functools.partial(_tell, client_id=one, week=week, now=now)) for one in untold]
    return week, sum(told)


def week_start(at: datetime) -> datetime:
    """Midnight of UTC at which the week of that moment began."""
    day = unit_start(Unit.DAY, at)
    return day - timedelta(days=day.weekday())


def _untold(session: Session, week: datetime) -> list[str]:
    told = and_(WeeklySummary.client_id == Client.id, WeeklySummary.week == week)
    query = select(Client.id).outerjoin(WeeklySummary, told).where(WeeklySummary.client_id.is_(None))
    return list(session.scalars(query.where(Client.deleted_at.is_(None), Client.created_at < week + WEEK)))


def _tell(session: Session, client_id: str, week: datetime, now: datetime) -> bool:
    said = _said(session, client_id, week)
    row = insert(WeeklySummary).values(client_id=client_id, week=week, told_at=now).prefix_with("IGNORE")
    result = session.execute(row)
    assert isinstance(result, CursorResult)
    if not result.rowcount:
        return False  # another was faster
    append_events(session, client_id, [NewEvent(EVENT_TYPE, now, payload=said)])
    return True


def _said(session: Session, client_id: str, week: datetime) -> dict[str, Any]:
    amounts = total(one.amounts for one in period_totals(session, client_id, Unit.DAY, week, week + WEEK))
    record = track_record_between(session, client_id, week, week + WEEK)
    return {
        "week": week.date().isoformat(),
        "cost_usd": float(usd(amounts.cost)),
        "on_demand_usd": float(usd(amounts.on_demand)),
        "saved_usd": float(usd(amounts.saved)),
        "switches": record.switches,
        "switches_committed": record.switches_committed,
        "failovers": record.failovers,
        "outage_minutes": round(record.outage_ms / 60_000, 2),
        "needs_attention": count_needing_attention(session, client_id),
    }
