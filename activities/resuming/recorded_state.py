"""The state of a server's workflow, as far as it is in the tables."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from activities.records.pools import pools_in_cool_down
from db.fleet.servers import get_server
from db.tables import Event, Instance, Operation, RecordStream, Resource
from domain.names import server_workflow_id
from domain.operations import OperationStatus, Outcome
from domain.resumption import ServerRecords, finished_notices
from domain.servers import Placement, ServerPolicy, ServerRef

_POLICY = TypeAdapter(ServerPolicy)
_REMEMBERED = 500  # requests, as the workflow itself keeps them


def read_recorded_state(session: Session, server: ServerRef) -> ServerRecords:
    row = get_server(session, server.client_id, server.server_id)
    if row is None:
        return ServerRecords()
    asked = _requested_operations(session, server)
    let_go = {} if row.server.state == "active" else _let_go(session, server)
    return ServerRecords(
        active=row.server.state == "active",
        account_id=row.server.account_id,
        policy=_POLICY.validate_python(row.server.policy),
        record_seq=_applied(session, server),
        primary=_placement(row.primary),
        replica=_placement(row.replica),
        cool_downs={pool: until.timestamp() for pool, until in pools_in_cool_down(session, server.region).items()},
        kept_snapshots=_kept_snapshots(session, server),
        requests={str(one.request_id): one.body_digest for one in asked},
        outcomes={one.id: _outcome(one) for one in asked},
        notices=finished_notices({str(one.request_id): OperationStatus(one.status) for one in asked}),
        unfinished=unfinished(session, server.server_id),
        let_go_by=str(let_go.get("request_id", "")),
        let_go_digest=str(let_go.get("body_digest", "")),
    )


def unfinished(session: Session, server_id: str) -> list[str]:
    """Operations that have not ended in the tables."""
    query = select(Operation.id).where(Operation.server_id == server_id, Operation.status.not_in([*Outcome]))
    return list(session.scalars(query.order_by(Operation.requested_at, Operation.id)))


def _let_go(session: Session, server: ServerRef) -> dict[str, Any]:
    """The event of its end (activities.resuming.record_fence), without what a server that was released has."""
    told = select(Event.payload).where(Event.client_id == server.client_id, Event.server_id == server.server_id)
    last = session.scalars(told.where(Event.type == "server.ended").order_by(Event.seq.desc()).limit(1)).first()
    return last or {}


def _requested_operations(session: Session, server: ServerRef) -> list[Operation]:
    query = select(Operation).where(Operation.server_id == server.server_id, Operation.request_id.is_not(None))
    latest = query.order_by(Operation.requested_at.desc(), Operation.id.desc()).limit(_REMEMBERED)
    return list(reversed(session.scalars(latest).all()))


def _outcome(one: Operation) -> OperationStatus:
    """The server as it is once the fence has ended what was unfinished."""
    return OperationStatus(one.status) if one.status in [*Outcome] else OperationStatus.NEEDS_ATTENTION


def _applied(session: Session, server: ServerRef) -> int:
    stream = server_workflow_id(server.server_id)
    return session.scalar(select(RecordStream.applied_seq).where(RecordStream.stream == stream)) or 0


def _placement(one: Instance | None) -> Placement | None:
    return Placement(one.id, one.pool, one.spot_request_id, one.usd_per_hour or 0.0) if one else None


def _kept_snapshots(session: Session, server: ServerRef) -> list[str]:
    """Snapshots of the last handoff that was committed. The next handoff deletes them, so none that may be the only
    copy is here.
    """
    query = (
        select(Resource.resource_id, Resource.operation_id)
        .join(Operation, Operation.id == Resource.operation_id)
        .where(Resource.server_id == server.server_id, Resource.type == "snapshot", Resource.state == "live")
        .where(Operation.status == Outcome.COMMITTED.value)
        .order_by(Operation.requested_at.desc(), Resource.id)
    )
    rows = session.execute(query).all()
    return [str(snapshot) for snapshot, operation in rows if operation == rows[0].operation_id]
