"""Switches that have committed and only keep the old instance for a while."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists

from db.tables import Operation, OperationStep
from domain.operations import OperationKind, OperationStatus

_RETIRE = "retire"  # the step of a switch after its commit, in which it waits


def keeps_old_instance() -> ColumnElement[bool]:
    """Of an operation in a query: whether it is one of these. It gives way to whatever is asked of its server."""
    retires = exists().where(OperationStep.operation_id == Operation.id, OperationStep.name == _RETIRE)
    return and_(
        Operation.kind == OperationKind.SWITCH.value,
        Operation.status == OperationStatus.RUNNING.value,
        retires.correlate(Operation),
    )
