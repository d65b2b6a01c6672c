"""Operations and their steps."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from db.engine.paging import Page, fetch_page, of_client
from db.tables import Operation, OperationStep, Server


@dataclass(frozen=True)
class OperationDetail:
    operation: Operation
    steps: list[OperationStep]  # in the order they began
    server_name: str = ""


def list_operations(
    session: Session,
    client_id: str | None,
    *,
    server_id: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    attention: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Operation]:
    """Newest first, by when they were asked for. Receipts are long and left out: reading one off these rows raises."""
    query = of_client(select(Operation), Operation.client_id, client_id)
    query = query.options(defer(Operation.receipt, raiseload=True))
    if server_id is not None:
        query = query.where(Operation.server_id == server_id)
    if status is not None:
        query = query.where(Operation.status == status)
    if kind is not None:
        query = query.where(Operation.kind == kind)
    if attention is not None:
        query = query.where(Operation.attention == attention)
    return fetch_page(session, query, Operation.requested_at, Operation.id, cursor, limit)


def get_operation(session: Session, client_id: str | None, operation_id: str) -> OperationDetail | None:
    """The operation with its steps; None when there is none or it is another client's."""
    query = of_client(select(Operation).where(Operation.id == operation_id), Operation.client_id, client_id)
    operation = session.scalar(query)
    if operation is None:
        return None
    steps = select(OperationStep).where(OperationStep.operation_id == operation_id).order_by(OperationStep.position)
    name = session.scalar(select(Server.name).where(Server.id == operation.server_id))
    return OperationDetail(operation, list(session.scalars(steps)), name or "")


def operation_by_request(session: Session, client_id: str, request_id: str) -> Operation | None:
    """What a client's request ID was used for, if it was."""
    return session.scalar(select(Operation).where(Operation.client_id == client_id, Operation.request_id == request_id))
