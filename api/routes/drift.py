"""Drift: where EC2 and the records differ, and looking for it now."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.access.callers import AdminCaller, GuardedRoute, ReadingCaller
from api.services import ServicesDep
from api.views.base import Cursor, Limit
from api.views.drift import CheckView, DriftPage, DriftView
from db.reconciliation.drift import list_drift
from domain.reconciliation.contract import ReconcileInput
from domain.reconciliation.drift import DriftKind, DriftState

router = APIRouter(prefix="/drift", tags=["drift"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    server_id: Annotated[str | None, Query(max_length=64)] = None,
    state: DriftState | None = None,
    kind: DriftKind | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DriftPage:
    """Newest first. `state=open`: what differs now."""
    page = await services.database.read(
        list_drift, caller.scope, server_id=server_id, state=state, kind=kind, cursor=cursor, limit=limit
    )
    return DriftPage(items=[DriftView.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/checks")
async def check_now(caller: AdminCaller, services: ServicesDep) -> CheckView:
    """One look at everything of every client, now; joins the one that runs. What is due is done, as by the schedule."""
    done = await services.temporal.reconcile(ReconcileInput(asked=True))
    return CheckView.model_validate(done)
