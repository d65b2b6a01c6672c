"""Tokens of clients and admins: created, found while they may be used, revoked. Of the secret only a digest is kept.

As in `db.clients.clients`, the event of a change is the last locking step of the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.tables import Client, Token

TOKEN_USE_EVERY = timedelta(minutes=1)


def find_token(session: Session, token_id: str) -> Token | None:
    """The token, if it may be used: not revoked, its client not deleted."""
    lives = or_(Token.client_id.is_(None), and_(Client.id.is_not(None), Client.deleted_at.is_(None)))
    query = select(Token).outerjoin(Client, Client.id == Token.client_id)
    return session.scalar(query.where(Token.id == token_id, Token.revoked_at.is_(None), lives))


def list_tokens(session: Session, client_id: str | None) -> list[Token]:
    """A client's tokens that are not revoked, oldest first; an admin's for None."""
    query = select(Token).where(Token.client_id == client_id, Token.revoked_at.is_(None))
    return list(session.scalars(query.order_by(Token.created_at)))


def create_token(
    session: Session,
    token_id: str,
    secret_hash: str,
    now: datetime,
    *,
    client_id: str | None,
    label: str = "",
) -> Token:
    """Keep a new token; `client_id` None makes it an admin's. The secret itself never comes here."""
    kind = "admin" if client_id is None else "client"
    token = Token(id=token_id, client_id=client_id, kind=kind, secret_hash=secret_hash, label=label, created_at=now)
    session.add(token)
    session.flush()
    if client_id is not None:
        payload = {"token_id": token_id, "label": label}
        append_events(session, client_id, [NewEvent("token.created", now, payload=payload)])
    return token


def revoke_token(session: Session, client_id: str | None, token_id: str, now: datetime) -> bool:
    """Revoke a token of this client (None: any). False: there is none, or it was revoked before."""
    token = session.scalar(select(Token).where(Token.id == token_id, Token.revoked_at.is_(None)).with_for_update())
    if token is None or client_id not in (None, token.client_id):
        return False
    token.revoked_at = now
    session.flush()
    if token.client_id is not None:
        append_events(session, token.client_id, [NewEvent("token.revoked", now, payload={"token_id": token_id})])
    return True


def token_used(session: Session, token_id: str, now: datetime) -> None:
    """Remember when the token was last used, to the minute: not one write for each request."""
    stale = or_(Token.last_used_at.is_(None), Token.last_used_at < now - TOKEN_USE_EVERY)
    mine = update(Token).where(Token.id == token_id, stale).values(last_used_at=now)
    session.execute(mine, execution_options={"synchronize_session": False})
