"""What the API asks about servers beside `db.fleet.servers`."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.paging import of_client
from db.fleet.servers import ServerRow, get_server
from db.tables import Server


def server_with_prefix(session: Session, client_id: str, prefix: str) -> Server | None:
    """The client's server whose ID begins so: a range of the primary key. `prefix` has no wildcard in it."""
    query = select(Server).where(Server.id.like(f"{prefix}%"), Server.client_id == client_id)
    return session.scalar(query.order_by(Server.id).limit(1))


def servers_named(session: Session, client_id: str | None, name: str) -> list[ServerRow]:
    """The active server of that name; for an admin (None), one of each client that has one."""
    query = of_client(select(Server).where(Server.active_name == name), Server.client_id, client_id)
    found = [get_server(session, None, server.id) for server in session.scalars(query.limit(50))]
    return [row for row in found if row is not None]
