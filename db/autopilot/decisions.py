"""Decisions of the autopilot as they are kept: a repeated one is counted, a new one replaces the old one.

Every function runs in the caller's transaction. A change that people care about is also an event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db.autopilot.in_flight import keeps_old_instance
from db.engine.bulk import delete_in_batches
from db.engine.paging import Page, fetch_page, of_client
from db.engine.session import SessionFactory
from db.event_log.writing import NewEvent, append_events
from db.tables import DecisionRow, Operation, Server
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationStatus

_CHUNK = 1000
_ENDS = {OperationStatus.COMMITTED: DecisionState.DONE}
_OPEN = (DecisionState.PROPOSED.value, DecisionState.APPROVED.value, DecisionState.ASKED.value)
_OVER = [one.value for one in DecisionState if one.value not in _OPEN]
_RUNNING = frozenset({OperationStatus.QUEUED, OperationStatus.RUNNING})


@dataclass(frozen=True)
class NewDecision:
    id: str
    client_id: str
    server_id: str
    kind: str
    reason: str
    held_by: str
    from_pool: str
    to_pool: str
    state: DecisionState
    priority: int
    figures: dict[str, Any] = field(default_factory=dict)
    informed_by: str = ""


@dataclass(frozen=True)
class OpenDecision:
    id: str
    server_id: str
    kind: str
    reason: str
    held_by: str
    to_pool: str
    state: str
    priority: int
    informed_by: str


def store_decisions(session: Session, decisions: Sequence[NewDecision], now: datetime) -> None:
    """Keep new decisions. Those that wait for a person, or are acted on, become events."""
    for at in range(0, len(decisions), _CHUNK):
        former = DecisionRow.latest_server_id.in_([one.server_id for one in decisions[at : at + _CHUNK]])
        session.execute(update(DecisionRow).where(former).values(latest_server_id=None))
        rows = [
            vars(one)
            | {"at": now, "last_at": now, "times": 1, "settled_by": "", "why": "", "latest_server_id": one.server_id}
            for one in decisions[at : at + _CHUNK]
        ]
        session.execute(insert(DecisionRow), rows)
    events: defaultdict[str, list[NewEvent]] = defaultdict(list)
    for one in decisions:
        if one.state is not DecisionState.NOTED:
            events[one.client_id].append(
                _event(f"decision.{one.state.value}", now, one.server_id, one.id, _payload(one))
            )
    for client_id in sorted(events):
        append_events(session, client_id, events[client_id])


def count_repeated(session: Session, ids: Sequence[str], now: datetime) -> None:
    """Count that the same decisions were made once more."""
    for at in range(0, len(ids), _CHUNK):
        chunk = DecisionRow.id.in_(ids[at : at + _CHUNK])
        session.execute(update(DecisionRow).where(chunk).values(last_at=now, times=DecisionRow.times + 1))


def change_decision_state(
    session: Session,
    decision_id: str,
    state: DecisionState,
    now: datetime,
    *,
    why: str = "",
    by: str = "autopilot",
    expected: Iterable[DecisionState],
    operation_id: str | None = None,
) -> DecisionRow | None:
    """Change a decision's state, with its event. None: it is in none of the expected states, and nothing was changed.

    `settled_by` stays while the decision is carried out: a person's approval stays a person's.
    """
    row = session.get(DecisionRow, decision_id, with_for_update=True, populate_existing=True)
    if row is None or row.state not in {one.value for one in expected}:
        return None
    if state is not DecisionState.ASKED or not row.settled_by:
        row.settled_by = by
    row.state, row.why = state.value, why[:2000]
    row.settled_at = now
    row.operation_id = operation_id or row.operation_id
    session.flush()
    payload = {"kind": row.kind, "reason": row.reason, "from_pool": row.from_pool, "to_pool": row.to_pool, "why": why}
    event = _event(f"decision.{state.value}", now, row.server_id, row.id, payload, row.operation_id)
    append_events(session, row.client_id, [event])
    return row


def open_decisions(session: Session, server_ids: Collection[str] | None = None) -> dict[str, OpenDecision]:
    """By server: the one that waits for approval or for its operation."""
    query = _decisions().where(DecisionRow.state.in_(_OPEN))
    if server_ids is not None:
        query = query.where(DecisionRow.server_id.in_(server_ids))
    return {row[1]: OpenDecision(*row) for row in session.execute(query)}


def last_decisions(session: Session) -> dict[str, OpenDecision]:
    """By server: the latest, in whatever state."""
    query = _decisions().where(DecisionRow.latest_server_id.is_not(None))
    return {row[1]: OpenDecision(*row) for row in session.execute(query)}


def turned_down_targets(
    session: Session, failed_since: datetime, rejected_since: datetime
) -> dict[str, set[tuple[str, str]]]:
    """By server: (kind, pool) of decisions that failed, did not hold, or were rejected since."""
    short = (DecisionState.FAILED.value, DecisionState.DROPPED.value)
    query = select(DecisionRow.server_id, DecisionRow.kind, DecisionRow.to_pool).where(
        or_(
            and_(DecisionRow.state.in_(short), DecisionRow.settled_at >= failed_since),
            and_(DecisionRow.state == DecisionState.REJECTED.value, DecisionRow.settled_at >= rejected_since),
        )
    )
    found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for server_id, kind, pool in session.execute(query):
        found[server_id].add((kind, pool))
    return found


def _decisions() -> Select[str, str, str, str, str, str, str, int, str]:
    return select(
        DecisionRow.id,
        DecisionRow.server_id,
        DecisionRow.kind,
        DecisionRow.reason,
        DecisionRow.held_by,
        DecisionRow.to_pool,
        DecisionRow.state,
        DecisionRow.priority,
        DecisionRow.informed_by,
    )


def expire_decisions(sessions: SessionFactory, before: datetime) -> int:
    """Delete decisions made before that led to nothing; return how many.

    Decisions that led to an operation, open ones, and each server's latest stay.
    """
    old = select(DecisionRow.id).where(
        DecisionRow.state.in_(_OVER),
        DecisionRow.at < before,
        DecisionRow.latest_server_id.is_(None),
        DecisionRow.operation_id.is_(None),
    )
    return delete_in_batches(sessions, DecisionRow.id, old)


def decisions_without_plan(session: Session) -> Sequence[Row[str, str, str, str]]:
    """(id, server_id, kind, to_pool) of decisions that wait for approval without a plan, the most urgent first."""
    planned = func.json_contains_path(DecisionRow.figures, "one", "$.plan_problem")
    query = (
        select(DecisionRow.id, DecisionRow.server_id, DecisionRow.kind, DecisionRow.to_pool)
        .where(DecisionRow.state == DecisionState.PROPOSED.value, planned == 0)
        .order_by(DecisionRow.priority.desc(), DecisionRow.at, DecisionRow.id)
    )
    return session.execute(query).all()


def follow_operations(session: Session, now: datetime) -> int:
    """Mark decisions as done or failed once their operation has ended; as done if it only keeps the old instance.

    Return how many.
    """
    query = (
        select(DecisionRow.id, Operation.status, Operation.reason, keeps_old_instance())
        .join(Operation, Operation.id == DecisionRow.operation_id)
        .where(DecisionRow.state == DecisionState.ASKED.value)
    )
    ended = [row for row in session.execute(query).all() if OperationStatus(row[1]) not in _RUNNING or row[3]]
    for decision_id, status, reason, committed in ended:
        state = DecisionState.DONE if committed else _ENDS.get(OperationStatus(status), DecisionState.FAILED)
        change_decision_state(session, decision_id, state, now, why=reason, expected=(DecisionState.ASKED,))
    return len(ended)


def drop_decisions_of_ended_servers(session: Session, now: datetime) -> int:
    """Drop decisions that wait for a server which has ended; return how many."""
    waiting = (DecisionState.PROPOSED, DecisionState.APPROVED)
    query = (
        select(DecisionRow.id)
        .join(Server, Server.id == DecisionRow.server_id)
        .where(DecisionRow.state.in_([one.value for one in waiting]), Server.state != "active")
    )
    ended = session.scalars(query).all()
    for decision_id in ended:
        change_decision_state(
            session, decision_id, DecisionState.DROPPED, now, why="the server has ended", expected=waiting
        )
    return len(ended)


def _payload(one: NewDecision) -> dict[str, Any]:
    figures = {name: one.figures.get(name) for name in ("gain_usd_per_h", "payback_h")}
    return {"kind": one.kind, "reason": one.reason, "from_pool": one.from_pool, "to_pool": one.to_pool, **figures}


def _event(
    kind: str, now: datetime, server_id: str, decision_id: str, payload: dict[str, Any], operation_id: str | None = None
) -> NewEvent:
    said = {name: value for name, value in payload.items() if value not in (None, "")}
    return NewEvent(
        kind, now, server_id=server_id, operation_id=operation_id, payload={"decision_id": decision_id, **said}
    )


def list_decisions(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DecisionRow]:
    """Newest first, by when each was first made."""
    query = of_client(select(DecisionRow), DecisionRow.client_id, client_id)
    if server_id is not None:
        query = query.where(DecisionRow.server_id == server_id)
    if state is not None:
        query = query.where(DecisionRow.state == state)
    return fetch_page(session, query, DecisionRow.at, DecisionRow.id, cursor, limit)


def get_decision(session: Session, client_id: str | None, decision_id: str) -> DecisionRow | None:
    query = of_client(select(DecisionRow).where(DecisionRow.id == decision_id), DecisionRow.client_id, client_id)
    return session.scalar(query)


class PoolForecast(NamedTuple):
    """For an instance in a pool: its expected losses per hour, and their cost in USD per hour."""

    losses_per_h: float
    risk_usd_per_h: float | None


def pool_forecasts(session: Session, client_id: str, server_id: str) -> dict[str, PoolForecast]:
    """Forecasts by pool from the server's latest decision: of the pool where it is, and of the best others."""
    query = select(DecisionRow.figures).where(
        DecisionRow.latest_server_id == server_id, DecisionRow.client_id == client_id
    )
    figures = session.scalar(query) or {}
    shown = [figures.get("here") or {}, *(figures.get("candidates") or [])]
    return {
        one["pool"]: PoolForecast(float(one["losses_per_h"]), one.get("risk_usd_per_h"))
        for one in shown
        if one.get("losses_per_h") is not None
    }
