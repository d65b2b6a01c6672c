"""How long each tier is kept, and one function for each that deletes what is older. All are safe to repeat.

Observations go by whole months (db.market.partitions); the others in small transactions.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, or_, select, text, update

from db.engine.session import SessionFactory, in_transaction
from db.market import partitions
from db.tables import PriceSeries

KEEP_OBSERVATIONS = timedelta(days=14)
KEEP_CONSOLIDATED = timedelta(days=90)
KEEP_CANONICAL = timedelta(days=400)
KEEP_SET_ASIDE = timedelta(days=30)
KEEP_CORRECTIONS = timedelta(days=90)  # also those that nobody settled: the prices they correct are deleted by then
KEEP_SCORES = timedelta(days=30)
KEEP_POOL_FACTS = timedelta(days=400)
_ROWS = 10_000  # in one transaction
_SERIES = 100  # in one statement


def thin_observations(engine: Engine, now: datetime, keep: timedelta = KEEP_OBSERVATIONS) -> list[str]:
    """Drop the months that ended longer ago; return their partitions. Raise RotationBusy."""
    return partitions.rotate(engine, now, keep)


def thin_consolidated(sessions: SessionFactory, now: datetime, keep: timedelta = KEEP_CONSOLIDATED) -> int:
    """Delete the runs last confirmed longer ago, and seal that time: later prices of it are set aside."""
    before = now - keep
    series = PriceSeries
    due = or_(series.sealed_until.is_(None), series.sealed_until < before)
    in_transaction(sessions, lambda session: session.execute(update(series).where(due).values(sealed_until=before)))
    # A run starts before it is last confirmed, so only old keys are read.
    return _thin_series(sessions, "prices_consolidated", "minute < :before AND last_at < :before", before)


def thin_canonical(sessions: SessionFactory, now: datetime, keep: timedelta = KEEP_CANONICAL) -> int:
    """Delete the steps that ended longer ago. The one in force at that time stays."""
    return _thin_series(sessions, "prices_canonical", "from_at < :before AND until_at < :before", now - keep)


def thin_set_aside(sessions: SessionFactory, now: datetime, keep: timedelta = KEEP_SET_ASIDE) -> int:
    return _thin(sessions, "prices_set_aside", "seen_at < :before", now - keep)


def thin_corrections(sessions: SessionFactory, now: datetime, keep: timedelta = KEEP_CORRECTIONS) -> int:
    """Delete what was settled longer ago, and what nobody settled in all that time."""
    settled = _thin(sessions, "price_corrections", "settled_at < :before", now - keep)
    return settled + _thin(sessions, "price_corrections", "settled_at IS NULL AND recorded_at < :before", now - keep)


def thin_facts(sessions: SessionFactory, now: datetime) -> int:
    """Delete placement scores and facts of pools that are too old to count."""
    scores = _thin(sessions, "placement_scores", "at < :before", now - KEEP_SCORES)
    return scores + _thin(sessions, "pool_facts", "at < :before", now - KEEP_POOL_FACTS)


def _thin_series(sessions: SessionFactory, table: str, which: str, before: datetime) -> int:
    with sessions() as session:
        numbers = list(session.scalars(select(PriceSeries.id).order_by(PriceSeries.id)))
    pieces = (numbers[first : first + _SERIES] for first in range(0, len(numbers), _SERIES))
    # Series are named one by one, so that the key (series, time) is used for each.
    return sum(
        _thin(sessions, table, f"series_id IN ({', '.join(map(str, piece))}) AND {which}", before) for piece in pieces
    )


def _thin(sessions: SessionFactory, table: str, which: str, before: datetime) -> int:
    """Delete a limited number of rows at a time, so that nobody waits long and a replica keeps up."""
    statement = text(f"DELETE FROM {table} WHERE {which} LIMIT {_ROWS}")  # noqa: S608 - our own names
    bare = {"before": before.replace(tzinfo=None)}
    total = 0
    while True:
        deleted = in_transaction(sessions, lambda session: session.connection().execute(statement, bare).rowcount)
        total += deleted
        if deleted < _ROWS:
            return total
