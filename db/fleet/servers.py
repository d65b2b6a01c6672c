"""Servers, each with its instances and its unfinished operations; found by ID, by name, or by how an ID begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from db.engine.paging import Page, fetch_page, of_client
from db.tables import Instance, Operation, Server
from domain.instance_states import ENDED
from domain.operations import OperationStatus


@dataclass(frozen=True)
class ServerRow:
    """A server as a list shows it: three statements for a page, whatever its length."""

    server: Server
    instances: list[Instance] = field(default_factory=list)  # those not ended, oldest first
    unfinished: list[Operation] = field(default_factory=list)  # running, then queued as asked

    @property
    def primary(self) -> Instance | None:
        return next((i for i in self.instances if i.role == "primary"), None)

    @property
    def replica(self) -> Instance | None:
        return next((i for i in self.instances if i.role == "replica"), None)

    @property
    def running(self) -> Operation | None:
        return next((o for o in self.unfinished if o.status == OperationStatus.RUNNING), None)


def list_servers(
    session: Session,
    client_id: str | None,
    *,
    state: str | None = "active",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ServerRow]:
    """Newest first; `state` active, ended, or None for both."""
    query = of_client(select(Server), Server.client_id, client_id)
    if state is not None:
        query = query.where(Server.state == state)
    page = fetch_page(session, query, Server.created_at, Server.id, cursor, limit)
    return Page(_complete(session, page.items), page.next_cursor)


def get_server(session: Session, client_id: str | None, server_id: str) -> ServerRow | None:
    """The server, active or ended; None when there is none or it is another client's."""
    server = session.scalar(of_client(select(Server).where(Server.id == server_id), Server.client_id, client_id))
    return None if server is None else _complete(session, [server])[0]


def server_by_name(session: Session, client_id: str, name: str) -> Server | None:
    """The active server of that name."""
    return session.scalar(select(Server).where(Server.client_id == client_id, Server.active_name == name))


def _complete(session: Session, servers: Sequence[Server]) -> list[ServerRow]:
    ids = [server.id for server in servers]
    if not ids:
        return []
    instances = _live_instances(session, ids)
    unfinished = pending_of(session, ids)
    return [ServerRow(s, instances[s.id], unfinished[s.id]) for s in servers]


def _live_instances(session: Session, server_ids: list[str]) -> defaultdict[str, list[Instance]]:
    query = select(Instance).where(Instance.server_id.in_(server_ids), Instance.state.not_in(ENDED))
    found: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in session.scalars(query.options(joinedload(Instance.agent)).order_by(Instance.created_at)):
        found[instance.server_id].append(instance)
    return found


def pending_of(session: Session, server_ids: list[str]) -> defaultdict[str, list[Operation]]:
    """By server, the running operation and then the queued ones, in the order in which they will run."""
    waiting = (OperationStatus.QUEUED, OperationStatus.RUNNING)
    query = select(Operation).where(Operation.server_id.in_(server_ids), Operation.status.in_(waiting))
    found: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(session.scalars(query), key=_turn):
        found[operation.server_id].append(operation)
    return found


def _turn(operation: Operation) -> tuple[bool, int, float]:
    queued = operation.status == OperationStatus.QUEUED
    return queued, -operation.priority, operation.requested_at.timestamp()


def server_with_prefix(session: Session, client_id: str, prefix: str) -> Server | None:
    """The client's server whose ID begins so: a range of the primary key. `prefix` has no wildcard in it."""
    query = select(Server).where(Server.id.like(f"{prefix}%"), Server.client_id == client_id)
    return session.scalar(query.order_by(Server.id).limit(1))


def servers_named(session: Session, client_id: str | None, name: str) -> list[ServerRow]:
    """The active server of that name; for an admin (None), one of each client that has one."""
    query = of_client(select(Server).where(Server.active_name == name), Server.client_id, client_id)
    found = [get_server(session, None, server.id) for server in session.scalars(query.limit(50))]
    return [row for row in found if row is not None]
