"""Operations and decisions that change where instances are, before the tables of the fleet show it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from db.tables import DecisionRow, Instance, Operation, OperationStep
from domain.autopilot.crowding import Arrival
from domain.autopilot.decision import DecisionKind
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationKind, OperationStatus

_UNFINISHED = (OperationStatus.QUEUED.value, OperationStatus.RUNNING.value)
_CARRIED_OUT = (DecisionState.APPROVED.value, DecisionState.ASKED.value)
_REPLICA = frozenset({OperationKind.REPLICA_CREATE.value, DecisionKind.REPLICA.value})
_GOES = frozenset(
    {OperationKind.SWITCH.value, OperationKind.FAILOVER.value, DecisionKind.MOVE.value, DecisionKind.ON_DEMAND.value}
)
_RETIRE = "retire"  # the step of a switch after its commit, in which it waits


def servers_being_moved(session: Session) -> set[str]:
    """Servers of which a decision is being carried out, whether its operation shows already or not."""
    return set(session.scalars(select(DecisionRow.server_id).where(DecisionRow.state.in_(_CARRIED_OUT))))


def arrivals(session: Session, client_id: str | None = None) -> dict[str, list[Arrival]]:
    """By client. Of a server that has an operation with a target, its decision's own is not counted beside it."""
    primary, replica = aliased(Instance), aliased(Instance)
    asked = select(DecisionRow.server_id, DecisionRow.client_id, DecisionRow.kind, DecisionRow.to_pool).where(
        DecisionRow.state.in_(_CARRIED_OUT)
    )
    target = func.if_(Operation.to_pool != "", Operation.to_pool, Operation.asked_pool)
    running = select(Operation.server_id, Operation.client_id, Operation.kind, target).where(
        Operation.status.in_(_UNFINISHED), ~keeps_old_instance()
    )
    if client_id is not None:
        asked, running = (
            asked.where(DecisionRow.client_id == client_id),
            running.where(Operation.client_id == client_id),
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
    placed = {server: (here, beside) for server, here, beside in session.execute(places)} if found else {}
    by_client: dict[str, list[Arrival]] = {}
    for (server, is_replica), (client, pool) in found.items():
        here, beside = placed.get(server, ("", ""))
        if pool != (beside if is_replica else here):  # else it is there already
            by_client.setdefault(client, []).append(Arrival(server, pool, here, is_replica))
    return by_client


def keeps_old_instance() -> ColumnElement[bool]:
    """Of an operation in a query: whether it is one of these. It gives way to whatever is asked of its server."""
    retires = exists().where(OperationStep.operation_id == Operation.id, OperationStep.name == _RETIRE)
    return and_(
        Operation.kind == OperationKind.SWITCH.value,
        Operation.status == OperationStatus.RUNNING.value,
        retires.correlate(Operation),
    )
