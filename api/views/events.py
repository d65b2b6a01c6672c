"""Events as the API shows them, in lists and on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Header
from fastapi.sse import format_sse_event

from api.http.problems import INVALID, FieldError, Problem
from api.streams.hub import EVERY_TOKEN, StreamEvent
from api.views.base import View
from db.tables import Event
from domain.operations import Outcome

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)]
FINAL_TYPES = frozenset(f"operation.{outcome.value}" for outcome in Outcome)


class EventView(View):
    """One change. `seq` counts per client without gaps; `at` is when it happened."""

    seq: int
    type: str
    at: datetime
    server_id: str | None
    instance_id: str | None
    operation_id: str | None
    payload: dict[str, Any]


class EventList(View):
    """`gap`: events after the asked-for number have expired; start again from `oldest_seq - 1`.

    `next_before`: with `order=newest`, where the next page begins; null: this was the last.
    """

    items: list[EventView]
    latest_seq: int
    oldest_seq: int
    gap: bool
    next_before: int | None = None


def as_stream_event(event: Event) -> StreamEvent:
    data = EventView.model_validate(event).model_dump_json()
    frame = format_sse_event(event=event.type, data_str=data, id=str(event.seq))
    return StreamEvent(
        event.seq, event.type, event.operation_id or "", frame, event.type in FINAL_TYPES, _revokes(event)
    )


def _revokes(event: Event) -> str:
    if event.type == "client.deleted":
        return EVERY_TOKEN
    return str(event.payload.get("token_id") or "") if event.type == "token.revoked" else ""


def last_seq(header: str | None, query: str | None) -> int | None:
    """Where a reader left off, by its header or, where headers cannot be set, its query; None: from now on."""
    text, place = (header, "header.Last-Event-ID") if header else (query, "query.last_event_id")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        detail = "it is the `id` of an event of this stream, a number"
        raise Problem(INVALID, f"{place}: {detail}", errors=[FieldError(field=place, message=detail)])
    return int(text)
