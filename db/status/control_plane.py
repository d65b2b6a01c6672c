"""The state of the whole control plane in a few counts, for metrics: no client, server or instance is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.reconciliation.drift import count_open_drift
from db.savings.booking import accrued_until
from db.savings.totals import Unit, period_totals, unit_start
from db.status.invariants import active_servers_without_primary, servers_with_several_primaries
from db.status.overview import UNFINISHED, Overview, overview
from db.tables import Agent, Instance, Operation, OperationStep, PriceCollection
from domain.savings.amounts import NOTHING, Amounts, total

STUCK = timedelta(minutes=10)
NEVER_HEARD = timedelta(minutes=2)  # after it was launched
_BOOKED_OF = timedelta(hours=24)


@dataclass(frozen=True)
class ControlPlaneStatus:
    overview: Overview
    stuck: dict[str, int] = field(default_factory=dict)  # unfinished for over ten minutes, by kind
    uncommitted_s: dict[str, float] = field(default_factory=dict)  # the oldest that has not committed, by kind
    several_primaries: int = 0
    without_primary: int = 0
    agents_online: int = 0
    agents_silent: int = 0  # of primaries
    drift: dict[tuple[str, str], int] = field(default_factory=dict)  # by kind and action
    price_age_s: dict[str, float] = field(default_factory=dict)  # by collection
    day: Amounts = NOTHING  # booked for the last 24 whole hours
    accrual_age_s: float | None = None  # since the time up to which savings are booked; None: nothing is booked


def read_control_plane_status(session: Session, now: datetime) -> ControlPlaneStatus:
    online, silent = _agents(session, now)
    return ControlPlaneStatus(
        overview=overview(session, None),
        stuck=_stuck(session, now),
        uncommitted_s=_uncommitted(session, now),
        several_primaries=len(servers_with_several_primaries(session)),
        without_primary=len(active_servers_without_primary(session)),
        agents_online=online,
        agents_silent=silent,
        drift=count_open_drift(session),
        price_age_s=_price_ages(session, now),
        day=_day(session, now),
        accrual_age_s=_accrual_age(session, now),
    )


def _stuck(session: Session, now: datetime) -> dict[str, int]:
    """Unfinished for long, counted from its start: an operation that waits for another is not stuck."""
    query = select(Operation.kind, func.count()).where(
        Operation.status == "running", Operation.started_at < now - STUCK
    )
    return dict(session.execute(query.group_by(Operation.kind)).all())


def _uncommitted(session: Session, now: datetime) -> dict[str, float]:
    commit = aliased(OperationStep)
    committed = and_(commit.operation_id == Operation.id, commit.name == "commit", commit.ok.is_(True))
    query = (
        select(Operation.kind, func.min(Operation.requested_at))
        .outerjoin(commit, committed)
        .where(Operation.status.in_(UNFINISHED), commit.operation_id.is_(None))
        .group_by(Operation.kind)
    )
    return {kind: (now - since).total_seconds() for kind, since in session.execute(query)}


def _agents(session: Session, now: datetime) -> tuple[int, int]:
    same = and_(Agent.client_id == Instance.client_id, Agent.instance_id == Instance.id)
    alive = Instance.live_id.is_not(None)
    online = session.scalar(
        select(func.count()).select_from(Instance).join(Agent, same).where(alive, Agent.due_at >= now)
    )
    silent = session.scalar(
        select(func.count())
        .select_from(Instance)
        .outerjoin(Agent, same)
        .where(
            Instance.primary_of.is_not(None),
            or_(Agent.due_at < now, and_(Agent.due_at.is_(None), Instance.created_at < now - NEVER_HEARD)),
        )
    )
    return online or 0, silent or 0


def _price_ages(session: Session, now: datetime) -> dict[str, float]:
    rows = session.execute(select(PriceCollection.name, PriceCollection.until_at))
    return {name: max(0.0, (now - until).total_seconds()) for name, until in rows}


def _day(session: Session, now: datetime) -> Amounts:
    until = unit_start(Unit.HOUR, now)
    return total(one.amounts for one in period_totals(session, None, Unit.HOUR, until - _BOOKED_OF, until))


def _accrual_age(session: Session, now: datetime) -> float | None:
    until = accrued_until(session)
    return None if until is None else max(0.0, (now - until).total_seconds())
