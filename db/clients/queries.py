"""Clients and tokens."""

from __future__ import annotations

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page
from db.tables import Client, Token


def get_client(session: Session, client_id: str) -> Client | None:
    """The client, unless it was deleted."""
    return session.scalar(select(Client).where(Client.id == client_id, Client.deleted_at.is_(None)))


def list_clients(session: Session, cursor: str | None = None, limit: int = 50) -> Page[Client]:
    query = select(Client).where(Client.deleted_at.is_(None))
    return fetch_page(session, query, Client.created_at, Client.id, cursor, limit)


def find_token(session: Session, token_id: str) -> Token | None:
    """The token, if it may be used: not revoked, its client not deleted."""
    lives = or_(Token.client_id.is_(None), and_(Client.id.is_not(None), Client.deleted_at.is_(None)))
    query = select(Token).outerjoin(Client, Client.id == Token.client_id)
    return session.scalar(query.where(Token.id == token_id, Token.revoked_at.is_(None), lives))


def list_tokens(session: Session, client_id: str | None) -> list[Token]:
    """A client's tokens that are not revoked, oldest first; an admin's for None."""
    query = select(Token).where(Token.client_id == client_id, Token.revoked_at.is_(None))
    return list(session.scalars(query.order_by(Token.created_at)))
