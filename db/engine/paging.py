"""Pages, newest first. A cursor is where the last page ended, so rows that come and go do not shift the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, TypeVarTuple

from sqlalchemy import Select, or_
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MAX_LIMIT = 500


class BadCursor(ValueError):
    """The cursor is not one that a page gave."""


@dataclass(frozen=True)
class Page(Generic[T]):
    items: list[T]
    next_cursor: str | None = None  # None: this is the last page


def of_client(query: Select[*Ts], column: InstrumentedAttribute[str], client_id: str | None) -> Select[*Ts]:
    """The query, limited to the client's rows; None: all clients."""
    return query if client_id is None else query.where(column == client_id)


def encode_cursor(at: datetime, key: str) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
        at, key = text.split("|", 1)
        when = datetime.fromisoformat(at)
    except (ValueError, binascii.Error) as error:
        raise BadCursor(f"{cursor!r} is not a cursor; use next_cursor of the page before") from error
    if when.tzinfo is None:
        raise BadCursor(f"{cursor!r} is not a cursor; use next_cursor of the page before")
    return when, key


def newest_first(
    query: Select[T],
    at: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[str],
    cursor: str | None,
    limit: int,
) -> Select[T]:
    """The page's rows and one more: it tells whether there is a next page."""
    if cursor is not None:
        when, last = decode_cursor(cursor)
        # Spelled out: neither database uses an index range for (at, key) < (…, …).
        query = query.where(at <= when, or_(at < when, key < last))
    return query.order_by(at.desc(), key.desc()).limit(min(limit, MAX_LIMIT) + 1)


def fetch_page(
    session: Session,
    query: Select[T],
    at: InstrumentedAttribute[datetime],
    key: InstrumentedAttribute[str],
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """The page of ORM rows after the cursor."""
    rows: Sequence[T] = session.scalars(newest_first(query, at, key, cursor, limit)).all()
    size = min(limit, MAX_LIMIT)
    if len(rows) <= size:
        return Page(list(rows))
    last = rows[size - 1]
    return Page(list(rows[:size]), encode_cursor(getattr(last, at.key), getattr(last, key.key)))
