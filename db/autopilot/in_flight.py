"""What the autopilot has under way: switches that keep an old instance, arrivals, counts, moves of the last days."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.tables import DecisionRow, Instance, Operation, OperationStep
from domain.autopilot.crowding import Arrival
from domain.autopilot.decision import DecisionKind
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationKind, OperationStatus, Priority

_RETIRE = "retire"  # the step of a switch after its commit, in which it waits


def keeps_old_instance() -> ColumnElement[bool]:
    """Whether an operation of a query is a switch that has committed and only keeps the old instance for a while.

    Such a switch gives way to any request for its server.
    """
    retires = exists().where(OperationStep.operation_id == Operation.id, OperationStep.name == _RETIRE)
    return and_(
        Operation.kind == OperationKind.SWITCH.value,
        Operation.status == OperationStatus.RUNNING.value,
        retires.correlate(Operation),
    )


AUTOPILOT = "autopilot"  # operations.requested_by starts with it
_UNFINISHED = (OperationStatus.QUEUED.value, OperationStatus.RUNNING.value)
_CARRIED_OUT = (DecisionState.APPROVED.value, DecisionState.ASKED.value)
_REPLICA = frozenset({OperationKind.REPLICA_CREATE.value, DecisionKind.REPLICA.value})
_GOES = frozenset(
    {OperationKind.SWITCH.value, OperationKind.FAILOVER.value, DecisionKind.MOVE.value, DecisionKind.ON_DEMAND.value}
)


def servers_being_moved(session: Session) -> set[str]:
    """Servers for which a decision is being carried out, whether or not its operation is recorded yet."""
    return set(session.scalars(select(DecisionRow.server_id).where(DecisionRow.state.in_(_CARRIED_OUT))))


def arrivals_by_client(session: Session) -> dict[str, list[Arrival]]:
    """Arrivals by client. Where a server has an operation with a target, its decision is not counted as well."""
    primary, replica = aliased(Instance), aliased(Instance)
    asked = select(DecisionRow.server_id, DecisionRow.client_id, DecisionRow.kind, DecisionRow.to_pool).where(
        DecisionRow.state.in_(_CARRIED_OUT)
    )
    target = func.if_(Operation.to_pool != "", Operation.to_pool, Operation.asked_pool)
    running = select(Operation.server_id, Operation.client_id, Operation.kind, target).where(
        Operation.status.in_(_UNFINISHED), ~keeps_old_instance()
    )
    found: dict[tuple[str, bool], tuple[str, str]] = {}
    for server, client, kind, pool in (*session.execute(asked), *session.execute(running)):
        if pool and (kind in _REPLICA or kind in _GOES):
            found[server, kind in _REPLICA] = client, pool
    places = (
        select(primary.server_id, primary.pool, func.coalesce(replica.pool, ""))
        .outerjoin(replica, (replica.server_id == primary.server_id) & (replica.role == "replica"))
        .where(primary.primary_of.in_({server for server, _ in found}))
    )
    positions = {server: (here, beside) for server, here, beside in session.execute(places)} if found else {}
    by_client: dict[str, list[Arrival]] = {}
    for (server, is_replica), (client, pool) in found.items():
        here, beside = positions.get(server, ("", ""))
        if pool != (beside if is_replica else here):  # else it is there already
            by_client.setdefault(client, []).append(Arrival(server, pool, here, is_replica))
    return by_client


def count_under_way(session: Session) -> dict[str, int]:
    """By client, how many operations of the autopilot are queued or running, or about to be.

    One that has committed and only keeps the old instance for a while is not counted.
    """
    running = select(Operation.client_id, Operation.server_id, Operation.id).where(
        Operation.status.in_(_UNFINISHED), Operation.requested_by.startswith(AUTOPILOT), ~keeps_old_instance()
    )
    found = session.execute(running).all()
    count, shown = Counter(client for client, _, _ in found), {server for _, server, _ in found}
    coming = select(DecisionRow.client_id, DecisionRow.server_id).where(
        DecisionRow.state.in_((DecisionState.APPROVED.value, DecisionState.ASKED.value))
    )
    count.update(client for client, server in session.execute(coming) if server not in shown)
    return dict(count)


def moves_since(session: Session, since: datetime) -> dict[str, list[datetime]]:
    """By server, when ordinary moves of the autopilot committed."""
    query = select(Operation.server_id, Operation.finished_at).where(
        Operation.status == OperationStatus.COMMITTED.value,
        Operation.requested_at >= since,
        Operation.requested_by.startswith(AUTOPILOT),
        Operation.kind == OperationKind.SWITCH.value,
        Operation.priority == int(Priority.ORDINARY),
    )
    found: defaultdict[str, list[datetime]] = defaultdict(list)
    for server_id, at in session.execute(query):
        if at is not None:
            found[server_id].append(at)
    return found
