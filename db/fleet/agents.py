"""Agents: registered, heard of by heartbeats, and reported once when they fall silent.

A heartbeat itself is no event. An agent that is heard of again after a silence is one.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import NewEvent, append_events
from db.tables import Agent, Instance
from domain.heartbeats import HEARTBEAT_S, MISSED_HEARTBEATS

_AT_ONCE = 500
HEARTBEAT_EVERY = timedelta(seconds=5)


def register_agent(
    session: Session,
    client_id: str,
    instance_id: str,
    version: str,
    identity: dict[str, Any],
    now: datetime,
    interval_s: float = HEARTBEAT_S,
) -> None:
    """Register an agent, the first time or after a restart. `interval_s`: until its next heartbeat is due."""
    row = insert(Agent).values(
        client_id=client_id,
        instance_id=instance_id,
        version=version,
        identity=identity,
        registered_at=now,
        seen_at=now,
        due_at=silent_after(now, interval_s),
    )
    again = {
        "version": version,
        "identity": identity,
        "registered_at": now,
        "seen_at": now,
        "due_at": silent_after(now, interval_s),
        "silent_since": None,
    }
    session.execute(row.on_duplicate_key_update(again))
    server_id = servers_of_instances(session, client_id, [instance_id]).get(instance_id)
    event = NewEvent(
        "agent.registered",
        now,
        server_id=server_id,
        instance_id=instance_id,
        payload={"version": version, **identity},
    )
    append_events(session, client_id, [event])


def agent_seen(
    session: Session, client_id: str, instance_id: str, now: datetime, interval_s: float = HEARTBEAT_S
) -> bool:
    """Record a heartbeat: one write in five seconds at most, an event only after a silence. False: not registered."""
    fresh = select(Agent.seen_at, Agent.silent_since).where(
        Agent.client_id == client_id, Agent.instance_id == instance_id
    )
    known = session.execute(fresh).one_or_none()
    if known is None:
        return False
    if known.seen_at < now - HEARTBEAT_EVERY:
        mine = update(Agent).where(Agent.client_id == client_id, Agent.instance_id == instance_id)
        _changed(session, mine.values(seen_at=now, due_at=silent_after(now, interval_s)))
    if known.silent_since is not None:
        mark_agent_back(session, client_id, instance_id, now)
    return True


def silent_after(heard_at: datetime, interval_s: float) -> datetime:
    """When an agent counts as silent, if its heartbeats are due at this interval."""
    return heard_at + timedelta(seconds=MISSED_HEARTBEATS * interval_s)


def mark_silent_agents(sessions: SessionFactory, now: datetime) -> int:
    """Mark the agents whose heartbeats are overdue, with an event for each whose instance is live.

    Several processes may do it at once: each agent is marked by one of them. Returns how many were marked.
    """
    quiet = select(Agent.client_id, Agent.instance_id).where(Agent.silent_since.is_(None), Agent.due_at < now)
    with sessions() as session:
        found = session.execute(quiet.limit(_AT_ONCE)).all()
    by_client: defaultdict[str, list[str]] = defaultdict(list)
    for client_id, instance_id in found:
        by_client[client_id].append(instance_id)
    return sum(
        in_transaction(sessions, lambda session, who=client_id, which=ids: _tell(session, who, which, now))  # type: ignore[misc]
        for client_id, ids in by_client.items()
    )


def _tell(session: Session, client_id: str, instance_ids: list[str], now: datetime) -> int:
    marked = [one for one in instance_ids if _mark(session, client_id, one, now)]
    events = [
        NewEvent("agent.silent", now, server_id=server_id, instance_id=instance_id)
        for instance_id, server_id in servers_of_instances(session, client_id, marked).items()
    ]
    if events:
        append_events(session, client_id, events)
    return len(marked)


def _mark(session: Session, client_id: str, instance_id: str, now: datetime) -> bool:
    mine = update(Agent).where(
        Agent.client_id == client_id,
        Agent.instance_id == instance_id,
        Agent.silent_since.is_(None),
        Agent.due_at < now,
    )
    return _changed(session, mine.values(silent_since=now))


def mark_agent_back(session: Session, client_id: str, instance_id: str, now: datetime) -> None:
    """The agent was reported silent and has been heard of again: an event says so."""
    mine = update(Agent).where(
        Agent.client_id == client_id, Agent.instance_id == instance_id, Agent.silent_since.is_not(None)
    )
    if not _changed(session, mine.values(silent_since=None)):
        return
    server_id = servers_of_instances(session, client_id, [instance_id]).get(instance_id)
    if server_id is not None:
        append_events(session, client_id, [NewEvent("agent.back", now, server_id=server_id, instance_id=instance_id)])


def servers_of_instances(session: Session, client_id: str, instance_ids: list[str]) -> dict[str, str]:
    """The server of each of these instances; instances that have ended are left out."""
    if not instance_ids:
        return {}
    query = select(Instance.id, Instance.server_id).where(
        Instance.live_id.in_(instance_ids), Instance.client_id == client_id
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _changed(session: Session, statement: object) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount > 0
