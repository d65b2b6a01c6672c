"""Clients: created, changed, deleted, read.

Each function that writes is part of the caller's transaction (`db.engine.session.in_transaction`) and writes its
event in it. Call `write_audit` before it: the event is the last locking step of a transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Update, select, update
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page
from db.event_log.writing import NewEvent, append_events
from db.tables import Client, Server, Token


class ClientError(Exception):
    """The write is refused; nothing was changed.

    └── ClientHasServers   end or release them first: their instances would be nobody's
    """


class ClientHasServers(ClientError):
    pass


def get_client(session: Session, client_id: str) -> Client | None:
    """The client, unless it was deleted."""
    return session.scalar(select(Client).where(Client.id == client_id, Client.deleted_at.is_(None)))


def list_clients(session: Session, cursor: str | None = None, limit: int = 50) -> Page[Client]:
    query = select(Client).where(Client.deleted_at.is_(None))
    return fetch_page(session, query, Client.created_at, Client.id, cursor, limit)


def create_client(session: Session, client_id: str, name: str, now: datetime) -> Client:
    client = Client(id=client_id, name=name, event_seq=0, created_at=now)
    session.add(client)
    session.flush()
    append_events(session, client_id, [NewEvent("client.created", now, payload={"name": name})])
    return client


def change_client(
    session: Session, client_id: str, now: datetime, *, autopilot: dict[str, Any], limits: dict[str, Any]
) -> None:
    """What holds for all its servers, as JSON."""
    _changed(session, update(Client).where(Client.id == client_id).values(autopilot=autopilot, limits=limits))
    append_events(
        session, client_id, [NewEvent("client.policy", now, payload={"autopilot": autopilot, "limits": limits})]
    )


def delete_client(session: Session, client_id: str, now: datetime) -> bool:
    """Mark the client deleted and revoke its tokens; its history stays. False: there is none.

    Raises ClientHasServers, with their names, while servers are active.
    """
    query = select(Server.name).where(Server.client_id == client_id, Server.active_name.is_not(None)).limit(5)
    if names := session.scalars(query).all():
        raise ClientHasServers(f"client {client_id} still has servers: {', '.join(names)}; end or release them first")
    revoke = update(Token).where(Token.client_id == client_id, Token.revoked_at.is_(None)).values(revoked_at=now)
    _changed(session, revoke)
    gone = update(Client).where(Client.id == client_id, Client.deleted_at.is_(None)).values(deleted_at=now)
    if not _changed(session, gone):
        return False
    append_events(session, client_id, [NewEvent("client.deleted", now)])
    return True


def _changed(session: Session, statement: Update) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount > 0
