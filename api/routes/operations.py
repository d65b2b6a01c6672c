"""Operations: history, receipt, control, and the live stream of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.access.authentication import stream_permission
from api.access.callers import ClientCaller, GuardedRoute, ReadingCaller
from api.http.problems import ALREADY_FINAL, NOT_FOUND, NOTHING_TO_APPROVE, Problem, documented
from api.services import Services, ServicesDep
from api.streams.event_stream import EventStream, Snapshot, Subject
from api.views.base import Cursor, Limit
from api.views.events import LastEventId, last_seq
from api.views.operations import (
    FINAL_STATUSES,
    AcceptedView,
    OperationPage,
    OperationSummary,
    OperationView,
    ReceiptView,
    StepView,
    links,
)
from db.fleet.operations import OperationDetail, get_operation, list_operations
from domain.operations import OperationKind, OperationStatus

router = APIRouter(prefix="/operations", tags=["operations"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    server_id: Annotated[str | None, Query(max_length=64)] = None,
    status: OperationStatus | None = None,
    kind: OperationKind | None = None,
    attention: Annotated[bool | None, Query(description="Those that say they need it")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> OperationPage:
    """Newest first. An admin sees every client's."""
    page = await services.database.read(
        list_operations,
        caller.scope,
        server_id=server_id,
        status=status,
        kind=kind,
        attention=attention,
        cursor=cursor,
        limit=limit,
    )
    return OperationPage.model_validate(page)


@router.get("/{operation_id}", responses=documented(NOT_FOUND))
async def show(operation_id: str, caller: ReadingCaller, services: ServicesDep) -> OperationView:
    """The operation with its steps and, when it is over, its receipt."""
    return _view(services, await _find(services, caller.scope, operation_id))


@router.post("/{operation_id}/cancel", status_code=202, responses=documented(NOT_FOUND, ALREADY_FINAL))
async def cancel(operation_id: str, caller: ClientCaller, services: ServicesDep, response: Response) -> AcceptedView:
    """Up to its commit an operation is undone; after it, it goes on and says so."""
    operation = (await _find(services, caller.client_id, operation_id)).operation
    if operation.status in FINAL_STATUSES:
        raise Problem(ALREADY_FINAL, f"operation {operation_id} is {operation.status}")
    await services.temporal.cancel(operation.server_id, operation_id)
    found = links(operation_id, operation.server_id)
    response.headers["Location"] = found.self
    return AcceptedView(
        operation_id=operation_id,
        server_id=operation.server_id,
        status=OperationStatus(operation.status),
        links=found,
    )


@router.post("/{operation_id}/approve", status_code=202, responses=documented(NOT_FOUND, NOTHING_TO_APPROVE))
async def approve(operation_id: str, caller: ClientCaller, services: ServicesDep) -> AcceptedView:
    """No operation of today waits for approval: always refused."""
    operation = (await _find(services, caller.client_id, operation_id)).operation
    raise Problem(NOTHING_TO_APPROVE, f"operation {operation_id} is {operation.status} and waits for nobody")


@router.get("/{operation_id}/stream", status_code=200, response_class=EventStream, responses=documented(NOT_FOUND))
async def stream(
    operation_id: str,
    caller: ReadingCaller,
    services: ServicesDep,
    last_event_id: LastEventId = None,
    last: Annotated[str | None, Query(alias="last_event_id", max_length=20)] = None,
) -> EventStream:
    """A `snapshot` of the operation as it is, then its events; ends when it is over."""
    operation = (await _find(services, caller.scope, operation_id)).operation

    async def snapshot() -> Snapshot:
        view = _view(services, await _find(services, operation.client_id, operation_id))
        return Snapshot(view.model_dump_json(), view.status in FINAL_STATUSES)

    subject = Subject(operation_id, snapshot)
    permission = stream_permission(services, caller)
    return EventStream(services.hub, operation.client_id, last_seq(last_event_id, last), permission, subject)


async def _find(services: ServicesDep, client_id: str | None, operation_id: str) -> OperationDetail:
    found = await services.database.read(get_operation, client_id, operation_id)
    if found is None:
        raise Problem(NOT_FOUND, f"there is no operation {operation_id}")
    return found


def _view(services: Services, detail: OperationDetail) -> OperationView:
    operation = detail.operation
    summary = OperationSummary.model_validate(operation)
    return OperationView(
        **summary.model_dump(),
        server_name=detail.server_name,
        steps=[StepView.model_validate(step) for step in detail.steps],
        receipt=ReceiptView.model_validate(operation.receipt) if operation.receipt else None,
        cancellable=operation.status not in FINAL_STATUSES and not _committed(detail),
        workflow_run_id=operation.workflow_run_id,
        temporal_url=services.settings.workflow_url(operation.workflow_id, operation.workflow_run_id),
    )


def _committed(detail: OperationDetail) -> bool:
    return any(step.name == "commit" and step.ok for step in detail.steps)
