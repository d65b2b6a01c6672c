"""The ledger as readers see it."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.paging import of_client
from db.tables import Resource


def server_resources(
    session: Session, client_id: str | None, server_id: str, states: Collection[str] = ("intended", "live")
) -> list[Resource]:
    """A server's resources in the order they were made or adopted."""
    query = select(Resource).where(Resource.server_id == server_id, Resource.state.in_(states))
    return list(session.scalars(of_client(query, Resource.client_id, client_id).order_by(Resource.id)))


def open_resources(session: Session, client_id: str | None = None) -> list[Resource]:
    """Every resource that exists, or may: to be compared with what EC2 says (invariant 3)."""
    query = select(Resource).where(Resource.state.in_(("intended", "live")))
    return list(session.scalars(of_client(query, Resource.client_id, client_id).order_by(Resource.id)))
