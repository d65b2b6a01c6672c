"""Totals of the ledger, in whole micro-dollars: hours, days, months and servers agree to the last digit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, case, func, select
from sqlalchemy.orm import Session

from db.engine.paging import of_client
from db.savings.booking import SUMS
from db.tables import SavingsDay, SavingsEntry, SavingsHour, Server
from domain.savings.amounts import NOTHING, Amounts


class Unit(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True)
class PeriodTotal:
    start: datetime
    amounts: Amounts


@dataclass(frozen=True)
class ServerTotal:
    server_id: str
    name: str
    amounts: Amounts


def period_totals(
    session: Session,
    client_id: str | None,
    unit: Unit,
    from_at: datetime,
    until_at: datetime,
    server_id: str | None = None,
) -> list[PeriodTotal]:
    """Periods with an entry, oldest first. The time is in whole units: see `unit_start`."""
    if unit is Unit.HOUR:
        hours = SavingsHour if server_id is None else SavingsEntry
        return _periods(session, client_id, hours, hours.hour, from_at, until_at, server_id)
    if server_id is None:
        days = _days(session, client_id, from_at, until_at)
    else:
        days = _periods(session, client_id, SavingsDay, SavingsDay.day, from_at, until_at, server_id)
    return days if unit is Unit.DAY else _months(days)


def current_totals(session: Session, client_id: str | None, now: datetime) -> tuple[Amounts, Amounts, Amounts]:
    """This hour, this day and this month of all the client's servers."""
    hour, day, month = (unit_start(unit, now) for unit in (Unit.HOUR, Unit.DAY, Unit.MONTH))
    part = case((SavingsHour.hour >= hour, 2), (SavingsHour.hour >= day, 1), else_=0)
    query = select(part, *_sums(SavingsHour)).where(SavingsHour.hour >= month, SavingsHour.hour < now).group_by(part)
    rows = session.execute(of_client(query, SavingsHour.client_id, client_id))
    found = {int(row[0]): _amounts(row, 1) for row in rows}
    of_hour = found.get(2, NOTHING)
    of_day = of_hour.plus(found.get(1, NOTHING))
    return of_hour, of_day, of_day.plus(found.get(0, NOTHING))


def server_totals(
    session: Session, client_id: str | None, from_at: datetime, until_at: datetime, limit: int
) -> list[ServerTotal]:
    """Servers over whole days, the largest saving first."""
    sums = _sums(SavingsDay)
    query = select(SavingsDay.server_id, *sums).where(SavingsDay.day >= from_at, SavingsDay.day < until_at)
    query = of_client(query, SavingsDay.client_id, client_id).group_by(SavingsDay.server_id)
    found = [(str(row[0]), _amounts(row, 1)) for row in session.execute(query)]
    found.sort(key=lambda one: (-one[1].saved, one[0]))
    names = _names(session, [server_id for server_id, _ in found[:limit]])
    return [ServerTotal(server_id, names.get(server_id, ""), amounts) for server_id, amounts in found[:limit]]


def unit_start(unit: Unit, at: datetime) -> datetime:
    """The start, in UTC, of the unit that contains a moment."""
    start = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if unit is not Unit.HOUR:
        start = start.replace(hour=0)
    return start.replace(day=1) if unit is Unit.MONTH else start


def _periods(
    session: Session,
    client_id: str | None,
    table: type[Any],
    start: Any,
    from_at: datetime,
    until_at: datetime,
    server_id: str | None,
) -> list[PeriodTotal]:
    query = select(start, *_sums(table)).where(start >= from_at, start < until_at)
    query = of_client(query, table.client_id, client_id)
    if server_id is not None:
        query = query.where(table.server_id == server_id)
    return [PeriodTotal(row[0], _amounts(row, 1)) for row in session.execute(query.group_by(start).order_by(start))]


def _days(session: Session, client_id: str | None, from_at: datetime, until_at: datetime) -> list[PeriodTotal]:
    """Days of all servers together that begin in the time: 24 rows each; SavingsDay has one for each server."""
    day, first, end = func.date(SavingsHour.hour), _midnight(from_at), _midnight(until_at)
    query = select(day, *_sums(SavingsHour)).where(SavingsHour.hour >= first, SavingsHour.hour < end)
    rows = session.execute(of_client(query, SavingsHour.client_id, client_id).group_by(day).order_by(day))
    return [PeriodTotal(datetime.combine(row[0], time.min, UTC), _amounts(row, 1)) for row in rows]


def _midnight(at: datetime) -> datetime:
    """The first midnight at or after that moment."""
    return unit_start(Unit.DAY, at + timedelta(days=1) - timedelta(microseconds=1))


def _months(days: list[PeriodTotal]) -> list[PeriodTotal]:
    found: dict[datetime, Amounts] = {}
    for day in days:
        month = unit_start(Unit.MONTH, day.start)
        found[month] = found.get(month, Amounts()).plus(day.amounts)
    return [PeriodTotal(month, amounts) for month, amounts in found.items()]


def _sums(table: type[Any]) -> list[Any]:
    return [func.sum(getattr(table, name)) for name in SUMS]


def _amounts(row: Row[*tuple[Any, ...]], first: int) -> Amounts:
    return Amounts(*(int(value) for value in row[first:]))


def _names(session: Session, server_ids: list[str]) -> dict[str, str]:
    return dict(session.execute(select(Server.id, Server.name).where(Server.id.in_(server_ids))).all())
