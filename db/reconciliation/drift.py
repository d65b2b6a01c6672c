"""Findings of reconciliation: open once, counted when found again, closed with what became of them; and read.

Each function that writes is part of the caller's transaction and writes its events in it, as its last locking step.
Events are those of one client; what belongs to no client of ours is kept without one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import Session

from db.engine.paging import Page, fetch_page, of_client
from db.event_log.writing import NewEvent, append_events
from db.fleet.instances import end_instance
from db.tables import DriftRow, Resource
from domain.names import new_id
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftState

MOST_WORDS = 2000
ASK_AGAIN_AFTER = timedelta(minutes=10)  # at least: a rescue takes seconds


@dataclass(frozen=True)
class StoredFinding:
    """A finding as it is stored after a comparison."""

    finding: DriftFinding
    times: int
    first_seen_at: datetime
    new: bool = False
    asked: bool = False  # its server's workflow was told a short while ago and may still be at work
    tried_at: datetime | None = None


def store_findings(
    session: Session, client_id: str, findings: Sequence[DriftFinding], now: datetime
) -> list[StoredFinding]:
    """Store the findings. Two comparisons at once make one row: the key is unique while the finding is open."""
    known = open_drift(session, [one.key for one in findings])
    fresh = [one for one in findings if one.key not in known]
    for one in fresh:
        statement = insert(DriftRow).values(**_values(one, now))
        session.execute(statement.on_duplicate_key_update(last_seen_at=now))
    rows = _locked(session, [one.key for one in findings])
    kept, events = [], []
    for one in findings:
        row = rows[one.key]
        new = one.key not in known and row.first_seen_at == now
        changed = not new and (row.action, row.reason) != (one.action, one.reason)
        if not new:
            row.times += 1
            row.last_seen_at = now
        if changed:  # another action than before: the grace period begins anew
            row.action, row.reason, row.grace_s = one.action, one.reason, one.grace_s
            row.times, row.first_seen_at, row.outcome = 1, now, ""
            row.asked_at = row.tried_at = None
        row.details = dict(one.details)
        row.due_at = _due(one, row.first_seen_at)
        if new or changed:
            events.append(_event("drift.found", row, now))
        kept.append(StoredFinding(one, row.times, row.first_seen_at, new, _was_asked(row, now), row.tried_at))
    _tell(session, client_id, events)
    return kept


def _was_asked(row: DriftRow, now: datetime) -> bool:
    """Whether the workflow was asked lately. The longer a finding lasts, the longer it takes to ask it again."""
    if row.asked_at is None:
        return False
    return now < row.asked_at + max(ASK_AGAIN_AFTER, row.asked_at - row.first_seen_at)


def resolve_findings(session: Session, client_id: str, rows: Iterable[str], now: datetime) -> int:
    """Resolve the findings that a complete comparison no longer found."""
    query = select(DriftRow).where(DriftRow.id.in_(list(rows)), DriftRow.state == DriftState.OPEN).with_for_update()
    found = list(session.scalars(query))
    for row in found:
        row.state, row.settled_at, row.outcome = DriftState.RESOLVED, now, "it went away by itself"
    _tell(session, client_id, [_event("drift.resolved", row, now) for row in found])
    return len(found)


def close_finding(session: Session, finding: DriftFinding, state: DriftState, now: datetime, outcome: str) -> bool:
    """Close the finding and correct the ledger, in one transaction. False: another process was quicker."""
    row = _locked(session, [finding.key]).get(finding.key)
    if row is None:
        return False
    row.state, row.settled_at, row.outcome = state, now, outcome[:MOST_WORDS]
    events = [_event(f"drift.{state.value}", row, now), *_ledger(session, finding, row, now)]
    _tell(session, finding.client_id, events)
    return True


def mark_asked(session: Session, key: str, now: datetime) -> None:
    """Note that the server's workflow was told. The finding stays open until a comparison no longer finds it."""
    if row := _locked(session, [key]).get(key):
        row.outcome, row.asked_at = "the server's workflow was told that its instance is gone", now
        _tell(session, row.client_id, [_event("drift.asked", row, now)])


def note_failed_try(session: Session, key: str, why: str, now: datetime) -> None:
    """Note why the action could not be done; the next pass tries again."""
    if row := _locked(session, [key]).get(key):
        row.outcome, row.tried_at = why[:MOST_WORDS], now


def delete_closed_findings(session: Session, before: datetime, most: int = 1000) -> int:
    """Delete findings that were closed before; open ones stay."""
    old = select(DriftRow.id).where(DriftRow.state != DriftState.OPEN, DriftRow.settled_at < before).limit(most)
    ids = list(session.scalars(old))
    session.execute(delete(DriftRow).where(DriftRow.id.in_(ids)))
    return len(ids)


def open_findings_not_in(session: Session, looked: Collection[str], keys: Collection[str]) -> list[DriftRow]:
    """Open rows of the compared subjects ("region/type") that are not among these findings."""
    found, known = [], set(keys)
    for row in session.scalars(select(DriftRow).where(DriftRow.state == DriftState.OPEN)):
        subject = f"{row.region}/{row.resource_type or 'instance'}"
        if row.finding_key not in known and subject in looked:
            found.append(row)
    return found


def _ledger(session: Session, finding: DriftFinding, row: DriftRow, now: datetime) -> list[NewEvent]:
    """Correct the ledger: adopt the resource, or close its row with what happened."""
    if finding.action is DriftAction.ADOPT:
        return _adopt(session, finding, now)
    if finding.action not in (DriftAction.REMOVE, DriftAction.CLOSE):
        return []
    query = select(Resource).where(Resource.state.in_(("intended", "live")))
    if finding.row_id:
        query = query.where(Resource.id == finding.row_id)
    else:
        query = query.where(Resource.resource_id == finding.resource_id, Resource.server_id == finding.server_id)
    events = []
    for one in session.scalars(query.with_for_update()):
        one.how = "reconciled" if finding.action is DriftAction.REMOVE else _how(one)
        one.state, one.gone_at = "gone", now
        one.details = {**one.details, "what_happened": row.outcome}
        events.append(_resource_event("resource.gone", one, finding, now))
    if finding.resource_type == "instance" and finding.resource_id:
        why = finding.details.get("what_happened") or row.outcome
        events += end_instance(session, finding.resource_id, finding.server_id, now, why)
    return events


def _how(one: Resource) -> str:
    return "never_made" if one.state == "intended" else "vanished"


def _adopt(session: Session, finding: DriftFinding, now: datetime) -> list[NewEvent]:
    """Adopt into the row that intended the resource, if there is one; else into a new row."""
    one = session.get(Resource, finding.row_id, with_for_update=True) if finding.row_id else None
    if one is None or one.state != "intended":
        one = Resource(
            client_id=finding.client_id,
            server_id=finding.server_id,
            type=finding.resource_type,
            operation_id="",
            step="reconcile",
            details={},
        )
        session.add(one)
    one.state, one.how, one.resource_id, one.live_at = "live", "adopted", finding.resource_id, now
    return [_resource_event("resource.adopted", one, finding, now)]


def _resource_event(kind: str, one: Resource, finding: DriftFinding, now: datetime) -> NewEvent:
    payload = {"resource_type": one.type, "resource_id": one.resource_id, "how": one.how, "by": "reconciliation"}
    return NewEvent(kind, now, server_id=finding.server_id or None, payload=payload)


def _values(one: DriftFinding, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id("drift"),
        "client_id": one.client_id,
        "server_id": one.server_id,
        "region": one.region,
        "kind": one.kind.value,
        "resource_type": one.resource_type,
        "resource_id": one.resource_id,
        "ledger_id": one.row_id,
        "action": one.action.value,
        "reason": one.reason.value,
        "details": dict(one.details),
        "grace_s": one.grace_s,
        "state": DriftState.OPEN.value,
        "outcome": "",
        "first_seen_at": now,
        "last_seen_at": now,
        "times": 1,
        "finding_key": one.key,
    }


def _due(one: DriftFinding, first_seen_at: datetime) -> datetime | None:
    return None if one.action is DriftAction.REPORT else first_seen_at + timedelta(seconds=one.grace_s)


def _locked(session: Session, keys: Collection[str]) -> dict[str, DriftRow]:
    query = select(DriftRow).where(DriftRow.open_key.in_(list(keys))).order_by(DriftRow.id).with_for_update()
    rows = session.scalars(query.execution_options(populate_existing=True))
    return {row.finding_key: row for row in rows}


def _event(kind: str, row: DriftRow, now: datetime) -> NewEvent:
    payload = {
        "drift_id": row.id,
        "kind": row.kind,
        "resource_type": row.resource_type,
        "resource_id": row.resource_id,
        "action": row.action,
        "reason": row.reason,
        "due_at": row.due_at.isoformat() if row.due_at else None,
        "outcome": row.outcome,
        "details": row.details,
    }
    told = {name: value for name, value in payload.items() if value not in (None, "", {})}
    instance = row.resource_id if row.resource_type == "instance" else None
    return NewEvent(kind, now, server_id=row.server_id or None, instance_id=instance, payload=told)


def _tell(session: Session, client_id: str, events: Sequence[NewEvent]) -> None:
    if client_id and events:
        session.flush()
        append_events(session, client_id, events)


def list_drift(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DriftRow]:
    """Newest first, by when each was first found."""
    query = of_client(select(DriftRow), DriftRow.client_id, client_id)
    for column, value in ((DriftRow.server_id, server_id), (DriftRow.state, state), (DriftRow.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    return fetch_page(session, query, DriftRow.first_seen_at, DriftRow.id, cursor, limit)


def open_drift(session: Session, keys: Collection[str]) -> dict[str, DriftRow]:
    """The open rows of these findings, by key."""
    wanted, found = list(keys), dict[str, DriftRow]()
    for at in range(0, len(wanted), 1000):
        rows = session.scalars(select(DriftRow).where(DriftRow.open_key.in_(wanted[at : at + 1000])))
        found |= {row.finding_key: row for row in rows}
    return found


def count_open_drift(session: Session) -> dict[tuple[str, str], int]:
    """How many are open, by kind and action."""
    query = select(DriftRow.kind, DriftRow.action, func.count()).where(DriftRow.state == DriftState.OPEN)
    return {(kind, action): n for kind, action, n in session.execute(query.group_by(DriftRow.kind, DriftRow.action))}
