"""What reconciliation reads of the records, in few statements, as plain rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import and_, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from db.tables import Agent, Instance, Operation, Resource, Server
from domain.operations import OperationStatus

T = TypeVar("T")
_UNFINISHED = (OperationStatus.QUEUED.value, OperationStatus.RUNNING.value)
_AT_ONCE = 1000  # values of an IN


@dataclass(frozen=True)
class ServerState:
    """A server with its instances, and when its agent was last heard of."""

    server_id: str
    client_id: str
    name: str
    active: bool
    policy: dict[str, Any]
    created_at: datetime
    primary: str
    replica: str
    agent_seen_at: datetime | None
    agent_due_at: datetime | None


def busy_servers(session: Session) -> set[str]:
    """Servers with an operation that runs or waits."""
    return set(session.scalars(select(Operation.server_id).where(Operation.status.in_(_UNFINISHED)).distinct()))


def servers_of_region(session: Session, region: str) -> list[ServerState]:
    return _states(session, Server.region == region, Server.active_name.is_not(None))


def servers_by_id(session: Session, server_ids: Collection[str]) -> list[ServerState]:
    """Active or ended, wherever they are."""
    return [one for some in _pieces(server_ids) for one in _states(session, Server.id.in_(some))]


def adopted_before(session: Session, regions: Collection[str], before: datetime) -> list[tuple[str, str, str]]:
    """ID, client and region of the active servers that were adopted before."""
    query = select(Server.id, Server.client_id, Server.region).where(Server.active_name.is_not(None))
    query = query.where(Server.region.in_(list(regions)), Server.created_at < before).order_by(Server.id)
    return [(one, client, region) for one, client, region in session.execute(query)]


def still_active(session: Session, server_ids: Collection[str]) -> set[str]:
    query = select(Server.id).where(Server.active_name.is_not(None))
    return {one for some in _pieces(server_ids) for one in session.scalars(query.where(Server.id.in_(some)))}


def instances_heard_of(
    session: Session, of: Collection[tuple[str, str]], now: datetime, longest: timedelta
) -> set[str]:
    """`of`: client and instance. Instances whose agents were heard of within `longest`, or are not due yet."""
    query = select(Agent.instance_id).where(or_(Agent.seen_at >= now - longest, Agent.due_at >= now))
    its = tuple_(Agent.client_id, Agent.instance_id)
    return {one for some in _pieces(of) for one in session.scalars(query.where(its.in_(some)))}


def open_rows(session: Session, region: str) -> list[Resource]:
    """The region's resources that exist, or may."""
    query = select(Resource).join(Server, Server.id == Resource.server_id).where(Server.region == region)
    return list(session.scalars(query.where(Resource.state.in_(("intended", "live"))).order_by(Resource.id)))


def rows_about(session: Session, resource_ids: Collection[str], tokens: Collection[str]) -> list[Resource]:
    """Closed rows that name one of these resources, or the token of its creation."""
    found: dict[int, Resource] = {}
    for column, values in ((Resource.resource_id, resource_ids), (Resource.token, tokens)):
        for some in _pieces(values):
            query = select(Resource).where(column.in_(some), Resource.state == "gone")
            found |= {row.id: row for row in session.scalars(query)}
    return [found[key] for key in sorted(found)]


def operations_by_id(session: Session, operation_ids: Collection[str]) -> list[tuple[str, str, str]]:
    """ID, server and status."""
    columns = (Operation.id, Operation.server_id, Operation.status)
    return [
        (one, server, status)
        for some in _pieces(operation_ids)
        for one, server, status in session.execute(select(*columns).where(Operation.id.in_(some)))
    ]


def _states(session: Session, *where: Any) -> list[ServerState]:
    primary, replica = aliased(Instance), aliased(Instance)
    query = (
        select(Server, primary.id, replica.id, Agent.seen_at, Agent.due_at)
        .outerjoin(primary, primary.primary_of == Server.id)
        .outerjoin(replica, and_(replica.server_id == Server.id, replica.role == "replica", _alive(replica)))
        .outerjoin(Agent, and_(Agent.client_id == Server.client_id, Agent.instance_id == primary.id))
        .where(*where)
    )
    return [
        ServerState(
            server.id,
            server.client_id,
            server.name,
            server.state == "active",
            server.policy,
            server.created_at,
            primary_id or "",
            replica_id or "",
            seen_at,
            due_at,
        )
        for server, primary_id, replica_id, seen_at, due_at in session.execute(query)
    ]


def _alive(instance: Any) -> Any:
    return or_(instance.live_id.is_not(None), instance.state == "running_replica")


def _pieces(values: Collection[T]) -> Iterator[Sequence[T]]:
    wanted = list(values)
    for at in range(0, len(wanted), _AT_ONCE):
        yield wanted[at : at + _AT_ONCE]
