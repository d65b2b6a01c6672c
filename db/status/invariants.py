"""What must always hold in the tables, for tests and the doctor. Constraints guard most of it; these checks
find what a restored backup or a manual change brought in.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Client, Event, Instance, Operation, Server
from domain.instance_states import ENDED


def servers_with_several_primaries(session: Session) -> dict[str, int]:
    """Invariant 1: empty when it holds."""
    count = func.count()
    query = select(Instance.server_id, count).where(Instance.role == "primary")
    return dict(session.execute(query.group_by(Instance.server_id).having(count > 1)).all())


def active_servers_without_primary(session: Session) -> list[str]:
    """Active servers that nothing serves. During a launch or a rescue there may be some; at rest there must be none."""
    serving = select(Instance.primary_of).where(Instance.primary_of.is_not(None))
    query = select(Server.id).where(Server.state == "active", Server.id.not_in(serving))
    return list(session.scalars(query.order_by(Server.id)))


def live_instances_of_ended_servers(session: Session) -> list[str]:
    """Instances that were left behind (invariant 3), as far as the tables show."""
    ours = Instance.server_id == Server.id
    query = select(Instance.id).join(Server, ours).where(Server.state == "ended", Instance.state.not_in(ENDED))
    return list(session.scalars(query.order_by(Instance.id)))


def unfinished_operations(session: Session) -> list[str]:
    """Invariant 5: at rest, empty."""
    query = select(Operation.id).where(Operation.status.in_(("queued", "running")))
    return list(session.scalars(query.order_by(Operation.id)))


def clients_with_missing_events(session: Session) -> list[str]:
    """Invariant 8: from its oldest kept event to its counter, a client's numbers have no gap."""
    span = func.max(Event.seq) - func.min(Event.seq) + 1
    whole = (func.count() == span) & (func.max(Event.seq) == func.max(Client.event_seq))
    query = select(Event.client_id).join(Client, Client.id == Event.client_id).group_by(Event.client_id)
    return list(session.scalars(query.having(~whole).order_by(Event.client_id)))
