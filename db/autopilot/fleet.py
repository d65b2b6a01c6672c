"""The fleet as the autopilot reads it: all servers in a few statements, as plain rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from db.autopilot.in_flight import keeps_old_instance
from db.tables import Client, Instance, Operation, Server
from domain.autopilot.decision_inputs import ServerPosition
from domain.operations import OperationStatus

_UNFINISHED = (OperationStatus.QUEUED.value, OperationStatus.RUNNING.value)


@dataclass(frozen=True)
class FleetRow:
    """An active server with a primary. `home_type`: the instance type it was adopted with."""

    server_id: str
    client_id: str
    name: str
    region: str
    policy: dict[str, Any]
    instance_id: str
    pool: str
    since: datetime  # when it came there: by its launch, or by the promotion of its replica
    home_type: str
    replica_pool: str
    replica_by: str  # who asked for the replica
    busy: bool
    keeps_old_instance: bool = False  # a switch has committed and only keeps the old instance for a while


@dataclass(frozen=True)
class ClientRow:
    client_id: str
    autopilot: dict[str, Any] | None
    limits: dict[str, Any] | None


def read_fleet(session: Session, server_id: str | None = None) -> list[FleetRow]:
    """Every active server that has a primary; or that one."""
    primary, replica = aliased(Instance), aliased(Instance)
    query = (
        select(
            Server.id,
            Server.client_id,
            Server.name,
            Server.region,
            Server.policy,
            primary.id,
            primary.pool,
            func.coalesce(primary.launch_confirmed_at, primary.created_at),
            primary.roles,
            primary.instance_type,
            func.coalesce(replica.pool, ""),
            func.coalesce(Operation.requested_by, ""),
        )
        .join(primary, primary.primary_of == Server.id)
        .outerjoin(replica, and_(replica.server_id == Server.id, replica.role == "replica"))
        .outerjoin(Operation, Operation.id == replica.operation_id)
        .where(Server.active_name.is_not(None))
    )
    if server_id is not None:
        query = query.where(Server.id == server_id)
    found = session.execute(query).all()
    (busy, keeping_old), homes = _occupied(session, server_id), _home_types(session, server_id)
    return [
        FleetRow(
            server_id=row[0],
            client_id=row[1],
            name=row[2],
            region=row[3],
            policy=row[4],
            instance_id=row[5],
            pool=row[6],
            since=_promoted_at(row[8]) or row[7],
            home_type=homes.get(row[0]) or str(row[9]),
            replica_pool=row[10],
            replica_by=row[11],
            busy=row[0] in busy,
            keeps_old_instance=row[0] in keeping_old,
        )
        for row in found
    ]


def home_types(session: Session, region: str) -> Counter[str]:
    """By type, how many active servers of the region were adopted with it."""
    active = session.scalars(select(Server.id).where(Server.region == region, Server.active_name.is_not(None)))
    homes = _home_types(session, None)
    return Counter(homes[server] for server in active if homes.get(server))


def home_type(session: Session, server_id: str) -> str:
    """The type the server was adopted with; empty: it has had no instance."""
    return _home_types(session, server_id).get(server_id, "")


def positions_of(session: Session, client_id: str) -> dict[str, ServerPosition]:
    """By server of the client, where it and its replica run. `since_h` is not read."""
    query = select(Instance.server_id, Instance.role, Instance.pool).where(
        Instance.client_id == client_id, Instance.role.in_(("primary", "replica")), Instance.pool != ""
    )
    found: dict[str, dict[str, str]] = {}
    for server_id, role, pool in session.execute(query):
        found.setdefault(server_id, {})[str(role)] = pool
    return {
        server: ServerPosition(pools["primary"], 0.0, pools.get("replica", ""))
        for server, pools in found.items()
        if "primary" in pools
    }


def read_clients(session: Session) -> dict[str, ClientRow]:
    query = select(Client.id, Client.autopilot, Client.limits).where(Client.deleted_at.is_(None))
    return {row[0]: ClientRow(*row) for row in session.execute(query)}


def _promoted_at(roles: list[Any] | None) -> datetime | None:
    """When a replica became primary: the server's stay there began then. None: it never was a replica."""
    known = roles or []
    if "replica" not in [role for _, role in known]:
        return None
    return max((datetime.fromisoformat(at) for at, role in known if role == "primary"), default=None)


def _occupied(session: Session, server_id: str | None) -> tuple[set[str], set[str]]:
    """Servers with an unfinished operation, and those where it only keeps the old instance."""
    query = select(Operation.server_id, keeps_old_instance()).where(Operation.status.in_(_UNFINISHED))
    if server_id is not None:
        query = query.where(Operation.server_id == server_id)
    found = session.execute(query).all()
    busy = {server for server, only_lingers in found if not only_lingers}
    return busy, {server for server, _ in found} - busy


def _home_types(session: Session, server_id: str | None) -> dict[str, str]:
    """The type of each server's first instance."""
    order = func.row_number().over(partition_by=Instance.server_id, order_by=(Instance.created_at, Instance.id))
    # Not a join with each server's earliest time: without statistics MariaDB reads all of it for each row.
    numbered = select(Instance.server_id, Instance.instance_type, order.label("number"))
    if server_id is not None:
        numbered = numbered.where(Instance.server_id == server_id)
    first = numbered.subquery()
    query = select(first.c.server_id, first.c.instance_type).where(first.c.number == 1)
    return {row[0]: row[1] for row in session.execute(query)}
