"""The fleet at one look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.access.callers import GuardedRoute, ReadingCaller
from api.screens.fleet import fleet_page
from api.services import ServicesDep
from api.views.base import Cursor
from api.views.fleet import FleetPage
from db.fleet.fleet_page import MAX_ROWS

router = APIRouter(prefix="/fleet", tags=["fleet"], route_class=GuardedRoute)

ServerId = Annotated[str, Query(max_length=64)]


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    server_id: Annotated[list[ServerId] | None, Query(max_length=100, description="Only these, ended or not")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
) -> FleetPage:
    """Active servers, newest first, each with all that a row shows. An admin sees every client's.

    The stream goes on from the first page's `as_of` without a gap (`Last-Event-ID`). An event that is in a row
    already changes nothing when it is applied again.
    """
    now = datetime.now(UTC)
    return await services.database.read(fleet_page, caller.scope, server_id or (), cursor, limit, now)
