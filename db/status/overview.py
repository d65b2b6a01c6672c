"""The numbers at the top of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.engine.paging import of_client
from db.tables import Instance, Operation, Resource, Server
from domain.instance_states import ENDED, InstanceState
from domain.operations import OperationStatus

LIVE_STATES = tuple(state for state in InstanceState if state not in ENDED)
UNFINISHED = (OperationStatus.QUEUED, OperationStatus.RUNNING)


@dataclass(frozen=True)
class Overview:
    servers: int = 0  # active
    instances: dict[str, int] = field(default_factory=dict)  # live ones, by state
    operations: dict[str, int] = field(default_factory=dict)  # unfinished ones, by status
    attention: int = 0  # operations that say they need it
    resources: dict[str, int] = field(default_factory=dict)  # live in the ledger, by type
    usd_per_hour: float = 0.0  # of the live instances


def overview(session: Session, client_id: str | None) -> Overview:
    """Counts of what is there now; ended things are not read."""
    servers = of_client(select(func.count(Server.active_name)), Server.client_id, client_id)
    cost = select(func.sum(Instance.usd_per_hour)).where(Instance.state.in_(LIVE_STATES))
    return Overview(
        servers=session.scalar(servers) or 0,
        instances=_count(session, client_id, Instance.client_id, Instance.state, LIVE_STATES),
        operations=_count(session, client_id, Operation.client_id, Operation.status, UNFINISHED),
        attention=count_needing_attention(session, client_id),
        resources=_live_resources(session, client_id),
        usd_per_hour=float(session.scalar(of_client(cost, Instance.client_id, client_id)) or 0.0),
    )


def count_needing_attention(session: Session, client_id: str | None) -> int:
    """Operations that say they need it."""
    # Not `IS true`: that uses no index, and would read every operation that there ever was.
    query = select(func.count(Operation.id)).where(Operation.attention == true())
    return session.scalar(of_client(query, Operation.client_id, client_id)) or 0


def _count(
    session: Session,
    client_id: str | None,
    owner: InstrumentedAttribute[str],
    column: InstrumentedAttribute[str],
    values: tuple[str, ...],
) -> dict[str, int]:
    query = of_client(select(column, func.count()).where(column.in_(values)), owner, client_id).group_by(column)
    return dict(session.execute(query).all())


def _live_resources(session: Session, client_id: str | None) -> dict[str, int]:
    query = select(Resource.type, func.count()).where(Resource.state == "live").group_by(Resource.type)
    return dict(session.execute(of_client(query, Resource.client_id, client_id)).all())
