"""Instances, of all servers or one."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db.engine.paging import Page, fetch_page, of_client
from db.tables import Instance


def list_instances(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    states: Collection[str] = (),
    role: str | None = None,
    pool: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Instance]:
    """Newest first, each with its agent; `states` empty: all, ended ones too."""
    query = of_client(select(Instance), Instance.client_id, client_id).options(joinedload(Instance.agent))
    if server_id is not None:
        query = query.where(Instance.server_id == server_id)
    if states:
        query = query.where(Instance.state.in_(states))
    if role is not None:
        query = query.where(Instance.role == role)
    if pool is not None:
        query = query.where(Instance.pool == pool)
    return fetch_page(session, query, Instance.created_at, Instance.id, cursor, limit)


def get_instance(session: Session, client_id: str | None, instance_id: str) -> Instance | None:
    """The instance in its present life, or else in its latest."""
    query = of_client(select(Instance).where(Instance.id == instance_id), Instance.client_id, client_id)
    latest = query.order_by(Instance.live_id.is_(None), Instance.created_at.desc()).limit(1)
    return session.scalar(latest.options(joinedload(Instance.agent)))
