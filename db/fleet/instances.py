"""Instances: listed, counted, and ended when their end was not their server's doing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from db.engine.paging import Page, fetch_page, of_client
from db.event_log.writing import NewEvent
from db.tables import Instance
from domain.instance_states import ENDED, InstanceState, change_state

_S = InstanceState


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
    """The instance's live row, else its latest."""
    query = of_client(select(Instance).where(Instance.id == instance_id), Instance.client_id, client_id)
    latest = query.order_by(Instance.live_id.is_(None), Instance.created_at.desc()).limit(1)
    return session.scalar(latest.options(joinedload(Instance.agent)))


def end_instance(
    session: Session, instance_id: str, server_id: str, now: datetime, why: str, by: str = "reconciliation"
) -> list[NewEvent]:
    """Move the instance to terminated by legal moves and take its role; return the events, none if it had ended."""
    row = session.get(Instance, (instance_id, server_id), with_for_update=True, populate_existing=True)
    if row is None or (state := InstanceState(row.state)) in ENDED:
        return []
    path = [_S.TERMINATED] if state in (_S.TERMINATING, _S.FAILED) else [_S.TERMINATING, _S.TERMINATED]
    events = []
    for then in path:
        former, row.state = row.state, change_state(InstanceState(row.state), then).value
        events.append(_event(row, former, now, why, by))
    if row.role is not None:
        row.role, row.roles = None, [*(row.roles or [[row.created_at.isoformat(), row.role]]), [now.isoformat(), None]]
    row.terminate_confirmed_at, row.updated_at, row.reason = now, now, why[:1000]
    return events


def _event(row: Instance, former: str, now: datetime, why: str, by: str) -> NewEvent:
    payload = {
        "state": row.state,
        "former_state": former,
        "role": None,
        "pool": row.pool,
        "zone": row.zone,
        "reason": why[:1000],
        "by": by,
    }
    return NewEvent(f"instance.{row.state}", now, server_id=row.server_id, instance_id=row.id, payload=payload)


def count_live_instances(session: Session) -> int:
    """How many instances of all clients are live; read from an index alone."""
    return session.scalar(select(func.count()).where(Instance.live_id.is_not(None))) or 0
