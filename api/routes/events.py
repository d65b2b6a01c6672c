"""Events: everything that changes, in order, as a list or live."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import ClientCaller, GuardedRoute
from api.services import ServicesDep
from api.stream import EventStream
from api.views.base import Limit
from api.views.events import EventList, EventView, LastEventId, last_seq
from db.queries.events import events_after

router = APIRouter(prefix="/events", tags=["events"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ClientCaller,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, le=2**62, description="The last `seq` that you have")] = 0,
    limit: Limit = 100,
    operation_id: Annotated[str | None, Query(max_length=64)] = None,
) -> EventList:
    """The next events after `after`, oldest first."""
    page = await services.database.read(events_after, caller.client_id, after, limit, operation_id)
    return EventList(
        items=[EventView.model_validate(event) for event in page.events],
        latest_seq=page.latest_seq,
        oldest_seq=page.oldest_seq,
        gap=page.gap,
    )


@router.get("/stream", status_code=200, response_class=EventStream)
async def stream(
    caller: ClientCaller,
    services: ServicesDep,
    last_event_id: LastEventId = None,
    last: Annotated[str | None, Query(alias="last_event_id", max_length=20)] = None,
) -> EventStream:
    """Server-Sent Events from now on, or after `Last-Event-ID` without a miss.

    `reset` instead of events that have expired, with the oldest `seq` that there is. A comment every 15
    seconds. A reader that does not keep up is cut off, and comes back with the last ID it saw.
    """
    return EventStream(services.hub, caller.client_id, last_seq(last_event_id, last))
