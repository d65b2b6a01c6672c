"""Many rows at once: inserted as plain tuples, or deleted in batches.

A million prices are inserted here. The driver would spend most of the time on writing the values into the statement,
one by one. Here each value is written by its type. Of text only plain names are let through: they need no quoting.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, delete
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.engine.session import SessionFactory, in_transaction
from domain.market.observed_prices import PriceSource
from domain.market.price_series import PriceStepKind

ROWS = 4000  # in one statement: well below any server's max_allowed_packet (16 MB or more)
_NAME = re.compile(r"[A-Za-z0-9._-]*")
_ROWS = 1000  # in one transaction


def insert_rows(session: Session, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows that are new: of whole numbers, decimals, names, and times in UTC. Raise ValueError for others."""
    _insert(session, f"INSERT INTO {table} ({', '.join(columns)}) VALUES ", rows)  # noqa: S608 - our own names


def insert_missing_rows(session: Session, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows whose key is not there yet. The values must fit: the server cuts off what does not."""
    _insert(session, f"INSERT IGNORE INTO {table} ({', '.join(columns)}) VALUES ", rows)  # noqa: S608 - our own names


def _insert(session: Session, start: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for values in _pieces(rows):
        session.connection().exec_driver_sql(start + values)


def _pieces(rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    write = _WRITE
    for first in range(0, len(rows), ROWS):
        yield ",".join(["(" + ",".join([write[type(v)](v) for v in row]) + ")" for row in rows[first : first + ROWS]])


@functools.lru_cache(100_000)
def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name: it has to go through the driver")
    return f"'{text}'"


def _time(at: datetime) -> str:
    if at.tzinfo is not UTC:
        raise ValueError(f"{at.isoformat()} is not in UTC, which the database keeps")
    return f"'{str(at)[:-6]}'"  # without +00:00


def _null(_: None) -> str:
    return "NULL"


def _decimal(value: Decimal) -> str:
    return f"{value:f}"


_WRITE: dict[type, Callable[[Any], str]] = {
    int: str,
    float: repr,
    Decimal: _decimal,
    str: _name,
    PriceSource: _name,
    PriceStepKind: _name,
    datetime: _time,
    type(None): _null,
}


def delete_in_batches(sessions: SessionFactory, key: InstrumentedAttribute[Any], old: Select[Any]) -> int:
    """Delete the rows whose key `old` selects; return how many. They are read first: a searching DELETE holds locks."""
    batch = old.limit(_ROWS)

    def work(session: Session) -> int:
        chosen = list(session.scalars(batch))
        session.execute(delete(key.class_).where(key.in_(chosen)))
        return len(chosen)

    total = 0
    while True:
        total += (gone := in_transaction(sessions, work))
        if gone < _ROWS:
            return total
