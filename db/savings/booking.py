"""Booking: entries are added, never changed; the sums by hour and day follow in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.engine.bulk import insert_rows
from db.tables import SavingsDay, SavingsEntry, SavingsHour, SavingsProgress
from domain.savings.accrual import HOUR, Accrual
from domain.savings.amounts import Amounts
from domain.savings.ledger import BookedHour, EntryReason, LedgerEntry, booked_until, difference_entry
from domain.savings.server_usage import ServerUsage

SUMS = tuple(
    f"{name}_micro" if n < 5 else name for n, name in enumerate(Amounts._fields)
)  # the columns, in the order of Amounts
_ENTRY = ("server_id", "hour", "number", "client_id", *SUMS, "until_at", "reason", "recorded_at")
_BEGAN, _ACCRUED = "began", "accrued"


@dataclass(frozen=True)
class EntryCounts:
    """How many entries were written: for time not booked before, and as corrections."""

    accruals: int = 0
    corrections: int = 0

    def plus(self, other: EntryCounts) -> EntryCounts:
        return EntryCounts(self.accruals + other.accruals, self.corrections + other.corrections)


def book(
    session: Session,
    servers: Sequence[ServerUsage],
    hours: Sequence[datetime],
    accruals: dict[str, Accrual],
    now: datetime,
) -> EntryCounts:
    """Add the entries that bring these hours of these servers to the amounts known now.

    An entry's key is its number: of two that book the same at once, one fails and tries again.
    """
    booked = _booked(session, [one.server_id for one in servers], hours)
    rows: list[tuple[ServerUsage, datetime, LedgerEntry]] = []
    for server in servers:
        for hour in hours:
            known = booked.get((server.server_id, hour), BookedHour())
            until = booked_until(known, hour + HOUR, now)
            if hour < until:
                found = accruals[server.region].amounts(server, hour, until)
                if (added := difference_entry(known, found, until)) is not None:
                    rows.append((server, hour, added))
    _write(session, rows, now)
    corrections = sum(one.reason is EntryReason.CORRECTION for _, _, one in rows)
    return EntryCounts(len(rows) - corrections, corrections)


def read_progress(session: Session, now: datetime) -> tuple[datetime, datetime]:
    """When the ledger began, and up to when every server's time is booked. Both are now if it begins now."""
    for name in (_BEGAN, _ACCRUED):
        row = insert(SavingsProgress).values(name=name, until_at=now)
        session.execute(row.on_duplicate_key_update(name=SavingsProgress.name))
    found = dict(session.execute(select(SavingsProgress.name, SavingsProgress.until_at)).all())
    return found[_BEGAN], found[_ACCRUED]


def accrued_until(session: Session) -> datetime | None:
    """Up to when time is booked; None: nothing has been booked yet."""
    row = session.get(SavingsProgress, _ACCRUED)
    return row.until_at if row else None


def mark_accrued(session: Session, until_at: datetime) -> None:
    """Move the time up to which is booked; forward only."""
    row = insert(SavingsProgress).values(name=_ACCRUED, until_at=until_at)
    later = func.greatest(SavingsProgress.until_at, row.inserted.until_at)
    session.execute(row.on_duplicate_key_update(until_at=later))


def _booked(
    session: Session, server_ids: Sequence[str], hours: Sequence[datetime]
) -> dict[tuple[str, datetime], BookedHour]:
    sums = [func.sum(getattr(SavingsEntry, name)) for name in SUMS]
    query = (
        select(SavingsEntry.server_id, SavingsEntry.hour, func.max(SavingsEntry.until_at), func.count(), *sums)
        .where(SavingsEntry.server_id.in_(server_ids), SavingsEntry.hour.between(hours[0], hours[-1]))
        .group_by(SavingsEntry.server_id, SavingsEntry.hour)
    )
    return {
        (row[0], row[1]): BookedHour(Amounts(*(int(value) for value in row[4:])), row[2], row[3])
        for row in session.execute(query)
    }


def _write(session: Session, rows: Sequence[tuple[ServerUsage, datetime, LedgerEntry]], now: datetime) -> None:
    values: list[tuple[Any, ...]] = []
    by_hour: defaultdict[tuple[Any, ...], Amounts] = defaultdict(Amounts)
    by_day: defaultdict[tuple[Any, ...], Amounts] = defaultdict(Amounts)
    for server, hour, one in rows:
        head = (server.server_id, hour, one.number, server.client_id)
        values.append((*head, *one.amounts, one.until_at, one.reason.value, now))
        of_hour, of_day = (server.client_id, hour), (server.client_id, hour.replace(hour=0), server.server_id)
        by_hour[of_hour] = by_hour[of_hour].plus(one.amounts)
        by_day[of_day] = by_day[of_day].plus(one.amounts)
    insert_rows(session, SavingsEntry.__tablename__, _ENTRY, values)
    _add(session, SavingsHour, ("client_id", "hour"), by_hour)
    _add(session, SavingsDay, ("client_id", "day", "server_id"), by_day)


def _add(session: Session, table: type[Any], key: Sequence[str], sums: Mapping[tuple[Any, ...], Amounts]) -> None:
    if not sums:
        return
    new = insert(table)
    added = {name: getattr(table, name) + getattr(new.inserted, name) for name in SUMS}
    rows = [dict(zip((*key, *SUMS), (*one, *sums[one]), strict=True)) for one in sorted(sums)]
    session.execute(new.on_duplicate_key_update(added), rows)


def hours_between(from_at: datetime, until_at: datetime) -> list[datetime]:
    """Starts of the whole hours that overlap the time."""
    start = from_at.replace(minute=0, second=0, microsecond=0)
    count = max(0, -((start - until_at) // timedelta(hours=1)))
    return [start + n * HOUR for n in range(count)]
