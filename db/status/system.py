"""The database's own state, and how much there is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.tables import Agent, Client, Instance, Operation, Server, SignIn
from domain.instance_states import ENDED, InstanceState
from domain.operations import OperationStatus

_LIVE = [state.value for state in InstanceState if state not in ENDED]
_UNFINISHED = [OperationStatus.QUEUED.value, OperationStatus.RUNNING.value]


def version(session: Session) -> str:
    return str(session.scalar(text("SELECT VERSION()")))


def migration(session: Session) -> str | None:
    """The schema's revision."""
    revision: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def counts(session: Session, now: datetime) -> dict[str, int]:
    return {
        "clients": _count(session, Client.id, Client.deleted_at.is_(None)),
        "servers": _count(session, Server.id, Server.active_name.is_not(None)),
        "instances": _count(session, Instance.id, Instance.state.in_(_LIVE)),
        "agents_silent": _count(
            session,
            Agent.instance_id,
            Agent.silent_since.is_not(None),
            Agent.instance_id.in_(select(Instance.live_id).where(Instance.state.in_(_LIVE))),
        ),
        "operations_unfinished": _count(session, Operation.id, Operation.status.in_(_UNFINISHED)),
        "operations_need_attention": _count(session, Operation.id, Operation.attention.is_(True)),
        "signed_in": _count(session, SignIn.id, SignIn.expires_at > now),
    }


def _count(session: Session, column: InstrumentedAttribute[str], *where: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(column)).where(*where)) or 0
