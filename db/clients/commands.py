"""What the API itself writes: tenants, tokens, agents, the audit. Servers change by workflow alone.

Each function is part of the caller's transaction (`db.engine.session.in_transaction`) and writes its event
in it. Call `audit` before them: the event is the last locking step.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Update, or_, select, update
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.fleet.agent_silence import mark_agent_back, servers_of_instances, silent_after
from db.tables import Agent, Audit, Client, Server, Token
from domain.heartbeats import HEARTBEAT_S

TOKEN_USE_EVERY = timedelta(minutes=1)
HEARTBEAT_EVERY = timedelta(seconds=5)
ADDRESS_LENGTH = 64  # an IPv6 address with its zone fits


class ClientError(Exception):
    """The write is refused; nothing was changed.

    └── ClientHasServers   end or release them first: their instances would be nobody's
    """


class ClientHasServers(ClientError):
    pass


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
    _changed(session, update(Token).where(Token.id == token_id, stale).values(last_used_at=now))


def write_audit(
    session: Session,
    now: datetime,
    action: str,
    outcome: str,
    *,
    client_id: str | None = None,
    token_id: str | None = None,
    subject: str = "",
    request_id: str | None = None,
    remote_address: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Write who did what. `details` holds no secret; `remote_address` may be anything that a proxy passed on."""
    session.add(
        Audit(
            at=now,
            client_id=client_id,
            token_id=token_id,
            action=action,
            subject=subject,
            request_id=request_id,
            outcome=outcome,
            remote_address=remote_address.encode("ascii", "replace").decode("ascii")[:ADDRESS_LENGTH],
            details=details or {},
        )
    )
    session.flush()


def register_agent(
    session: Session,
    client_id: str,
    instance_id: str,
    version: str,
    identity: dict[str, Any],
    now: datetime,
    interval_s: float = HEARTBEAT_S,
) -> None:
    """An agent introduced itself: now, or again after a restart. `interval_s`: until it shall be heard of again."""
    row = insert(Agent).values(
        client_id=client_id,
        instance_id=instance_id,
        version=version,
        identity=identity,
        registered_at=now,
        seen_at=now,
        due_at=silent_after(now, interval_s),
    )
    again = {
        "version": version,
        "identity": identity,
        "registered_at": now,
        "seen_at": now,
        "due_at": silent_after(now, interval_s),
        "silent_since": None,
    }
    session.execute(row.on_duplicate_key_update(again))
    server_id = servers_of_instances(session, client_id, [instance_id]).get(instance_id)
    event = NewEvent(
        "agent.registered",
        now,
        server_id=server_id,
        instance_id=instance_id,
        payload={"version": version, **identity},
    )
    append_events(session, client_id, [event])


def agent_seen(
    session: Session, client_id: str, instance_id: str, now: datetime, interval_s: float = HEARTBEAT_S
) -> bool:
    """A heartbeat: no event but after a silence, and at most one write in five seconds. False: it never registered."""
    fresh = select(Agent.seen_at, Agent.silent_since).where(
        Agent.client_id == client_id, Agent.instance_id == instance_id
    )
    known = session.execute(fresh).one_or_none()
    if known is None:
        return False
    if known.seen_at < now - HEARTBEAT_EVERY:
        mine = update(Agent).where(Agent.client_id == client_id, Agent.instance_id == instance_id)
        _changed(session, mine.values(seen_at=now, due_at=silent_after(now, interval_s)))
    if known.silent_since is not None:
        mark_agent_back(session, client_id, instance_id, now)
    return True


def _changed(session: Session, statement: Update) -> bool:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount > 0
