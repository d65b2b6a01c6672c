"""An instance whose end was not its server's doing: its row follows, or it is billed and counted for ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent
from db.tables import Instance
from domain.instance_states import ENDED, InstanceState, change_state

_S = InstanceState


def end_instance(
    session: Session, instance_id: str, server_id: str, now: datetime, why: str, by: str = "reconciliation"
) -> list[NewEvent]:
    """Terminated by every legal move, without a role from now on. Nothing, if it had ended or is in no row."""
    row = session.get(Instance, (instance_id, server_id), with_for_update=True, populate_existing=True)
    if row is None or (state := InstanceState(row.state)) in ENDED:
        return []
    path = [_S.TERMINATED] if state in (_S.TERMINATING, _S.FAILED) else [_S.TERMINATING, _S.TERMINATED]
    events = []
    for then in path:
        former, row.state = row.state, change_state(InstanceState(row.state), then).value
        events.append(_event(row, former, now, why, by))
    if row.role is not None:
        row.role, row.roles = None, [*(row.roles or [[row.created_at.isoformat(), row.role]]), [now.isoformat(), None]]
    row.terminate_confirmed_at, row.updated_at, row.reason = now, now, why[:1000]
    return events


def _event(row: Instance, former: str, now: datetime, why: str, by: str) -> NewEvent:
    payload = {
        "state": row.state,
        "former_state": former,
        "role": None,
        "pool": row.pool,
        "zone": row.zone,
        "reason": why[:1000],
        "by": by,
    }
    return NewEvent(f"instance.{row.state}", now, server_id=row.server_id, instance_id=row.id, payload=payload)
