"""Events: everything that changes, in order, as a list or live."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from sqlalchemy.orm import Session

from api.access.authentication import stream_permission
from api.access.callers import ClientCaller, GuardedRoute, StreamingCaller
from api.services import ServicesDep
from api.streams.event_stream import EventStream
from api.views.base import Limit
from api.views.events import EventList, EventView, LastEventId, last_seq
from db.event_log.reading import EventSearch, search_events, stream_ends
from db.tables import Event

_MOST = 2**62
EventType = Annotated[str, Query(max_length=64, pattern=r"^[a-z_]+(\.[a-z_]*)?$")]
router = APIRouter(prefix="/events", tags=["events"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ClientCaller,
    services: ServicesDep,
    after: Annotated[int, Query(ge=0, le=_MOST, description="The last `seq` that you have")] = 0,
    before: Annotated[int | None, Query(ge=0, le=_MOST, description="`next_before` of the page before")] = None,
    limit: Limit = 100,
    order: Annotated[Literal["oldest", "newest"], Query(description="Which come first")] = "oldest",
    server_id: Annotated[str | None, Query(max_length=64)] = None,
    operation_id: Annotated[str | None, Query(max_length=64)] = None,
    type_: Annotated[
        list[EventType] | None,
        Query(alias="type", max_length=20, description="Whole types, or beginnings: `operation.`"),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="Recorded then or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Recorded earlier")] = None,
) -> EventList:
    """Events that fit: the next after `after`, or with `order=newest` page after page back in time."""
    search = EventSearch(
        after=after,
        before=before,
        server_id=server_id,
        operation_id=operation_id,
        types=tuple(type_ or ()),
        since=since,
        until=until,
        newest_first=order == "newest",
    )
    return await services.database.read(_list, caller.client_id, search, limit)


def _list(session: Session, client_id: str, search: EventSearch, limit: int) -> EventList:
    # One more than the page holds tells whether there is a next one.
    stream = stream_ends(session, client_id)
    found = search_events(session, client_id, search, limit + 1)
    shown = found[:limit]
    more = search.newest_first and len(found) > limit
    # Read after the stream's ends: what expired in between is a gap too.
    expired = search == EventSearch(after=search.after) and _is_missed(search.after, shown, stream.latest_seq)
    return EventList(
        items=[EventView.model_validate(event) for event in shown],
        latest_seq=max([stream.latest_seq, *(event.seq for event in shown)]),
        oldest_seq=stream.oldest_seq,
        gap=expired or (not search.newest_first and stream.has_gap(search.after)),
        next_before=shown[-1].seq if more else None,
    )


def _is_missed(after: int, shown: list[Event], latest: int) -> bool:
    return after < latest and not (shown and shown[0].seq == after + 1)


@router.get("/stream", status_code=200, response_class=EventStream)
async def stream(
    caller: StreamingCaller,
    services: ServicesDep,
    last_event_id: LastEventId = None,
    last: Annotated[str | None, Query(alias="last_event_id", max_length=20)] = None,
) -> EventStream:
    """Server-Sent Events from now on, or after `Last-Event-ID` without a miss.

    `reset` instead of events that have expired, with the oldest `seq` that there is. A comment every 15
    seconds. A reader that does not keep up is cut off, and comes back with the last ID it saw. It ends with its
    token or session.
    """
    permission = stream_permission(services, caller)
    return EventStream(services.hub, caller.client_id, last_seq(last_event_id, last), permission)
