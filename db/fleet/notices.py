"""Notices."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page, of_client
from db.tables import Notice


def list_notices(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Notice]:
    """Newest first."""
    query = of_client(select(Notice), Notice.client_id, client_id)
    if server_id is not None:
        query = query.where(Notice.server_id == server_id)
    return fetch_page(session, query, Notice.seen_at, Notice.notice_id, cursor, limit)
