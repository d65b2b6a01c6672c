"""The figures at the top of the dashboard: fleet, money, last 30 days; each one query of an index."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine.paging import of_client
from db.savings.totals import current_totals
from db.status.overview import LIVE_STATES, UNFINISHED, count_needing_attention
from db.tables import Agent, DecisionRow, Instance, Operation, Server
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationKind, OperationStatus, Outcome
from domain.savings.amounts import NOTHING, Amounts

LOOK_BACK = timedelta(days=30)
_FINAL = frozenset(outcome.value for outcome in Outcome)


@dataclass(frozen=True)
class TrackRecord:
    """How the operations of a period ended. `outage_ms`: the sum of outages that the control plane measured."""

    switches: int = 0  # ended
    switches_committed: int = 0
    failovers: int = 0
    outage_ms: int = 0

    @property
    def success_rate(self) -> float | None:
        """Of switches; None when none has ended."""
        return self.switches_committed / self.switches if self.switches else None


@dataclass(frozen=True)
class Summary:
    servers: dict[str, int] = field(default_factory=dict)  # by state
    instances: int = 0  # that live
    agents_online: int = 0  # of theirs
    this_hour: Amounts = NOTHING
    this_day: Amounts = NOTHING
    this_month: Amounts = NOTHING
    record: TrackRecord = field(default_factory=TrackRecord)
    in_progress: int = 0
    needs_attention: int = 0
    waiting_for_approval: int = 0


def summary(session: Session, client_id: str | None, now: datetime) -> Summary:
    """`this_hour` and the others: so far, as of the last accrual."""
    instances, online = _agents(session, client_id, now)
    hour, day, month = current_totals(session, client_id, now)
    return Summary(
        servers=_servers(session, client_id),
        instances=instances,
        agents_online=online,
        this_hour=hour,
        this_day=day,
        this_month=month,
        record=track_record_between(session, client_id, now - LOOK_BACK, now),
        in_progress=_in_progress(session, client_id),
        needs_attention=count_needing_attention(session, client_id),
        waiting_for_approval=_waiting(session, client_id),
    )


def track_record_between(session: Session, client_id: str | None, from_at: datetime, until_at: datetime) -> TrackRecord:
    """Of the operations that were asked for in that time."""
    query = (
        select(Operation.kind, Operation.status, func.count(), func.sum(Operation.control_outage_ms))
        .where(Operation.requested_at >= from_at, Operation.requested_at < until_at)
        .group_by(Operation.kind, Operation.status)
    )
    rows = session.execute(of_client(query, Operation.client_id, client_id)).all()
    switches = {status: count for kind, status, count, _ in rows if kind == OperationKind.SWITCH.value}
    return TrackRecord(
        switches=sum(count for status, count in switches.items() if status in _FINAL),
        switches_committed=switches.get(OperationStatus.COMMITTED.value, 0),
        failovers=sum(count for kind, _, count, _ in rows if kind == OperationKind.FAILOVER.value),
        outage_ms=int(sum(ms or 0 for _, _, _, ms in rows)),
    )


def _servers(session: Session, client_id: str | None) -> dict[str, int]:
    """Counted in the index of names: only an active server has one there."""
    counts = select(func.count(), func.count(Server.active_name)).select_from(Server)
    every, active = session.execute(of_client(counts, Server.client_id, client_id)).one()
    return {state: count for state, count in (("active", active), ("ended", every - active)) if count}


def _agents(session: Session, client_id: str | None, now: datetime) -> tuple[int, int]:
    online = func.count(Agent.instance_id)
    lives = (Agent.client_id == Instance.client_id) & (Agent.instance_id == Instance.id)
    heard = lives & (Agent.due_at >= now)
    query = select(func.count(), online).select_from(Instance).outerjoin(Agent, heard)
    query = of_client(query.where(Instance.state.in_(LIVE_STATES)), Instance.client_id, client_id)
    instances, agents = session.execute(query).one()
    return instances, agents


def _in_progress(session: Session, client_id: str | None) -> int:
    query = select(func.count()).select_from(Operation).where(Operation.status.in_(UNFINISHED))
    return session.scalar(of_client(query, Operation.client_id, client_id)) or 0


def _waiting(session: Session, client_id: str | None) -> int:
    query = select(func.count()).select_from(DecisionRow).where(DecisionRow.state == DecisionState.PROPOSED.value)
    return session.scalar(of_client(query, DecisionRow.client_id, client_id)) or 0
