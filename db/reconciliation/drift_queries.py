"""Differences between EC2 and the records, for people and for metrics."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page, of_client
from db.tables import DriftRow
from domain.reconciliation.drift import DriftState


def list_drift(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DriftRow]:
    """Newest first, by when each was first found."""
    query = of_client(select(DriftRow), DriftRow.client_id, client_id)
    for column, value in ((DriftRow.server_id, server_id), (DriftRow.state, state), (DriftRow.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    return fetch_page(session, query, DriftRow.first_seen_at, DriftRow.id, cursor, limit)


def open_drift(session: Session, keys: Collection[str]) -> dict[str, DriftRow]:
    """The open rows of these findings, by key."""
    wanted, found = list(keys), dict[str, DriftRow]()
    for at in range(0, len(wanted), 1000):
        rows = session.scalars(select(DriftRow).where(DriftRow.open_key.in_(wanted[at : at + 1000])))
        found |= {row.finding_key: row for row in rows}
    return found


def count_open_drift(session: Session) -> dict[tuple[str, str], int]:
    """How many are open, by kind and action."""
    query = select(DriftRow.kind, DriftRow.action, func.count()).where(DriftRow.state == DriftState.OPEN)
    return {(kind, action): n for kind, action, n in session.execute(query.group_by(DriftRow.kind, DriftRow.action))}
