"""A server's timeline, from its events; where those have expired, from the times in the instances' rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.views.operations import OperationSummary
from api.views.timeline import LifeView, NoticeView, OutageView, SpanView, TimelineView
from db.fleet.servers import get_server
from db.fleet.timeline import server_history
from db.tables import Event, Instance, Operation
from domain.instance_states import ENDED

_ENDED = frozenset(state.value for state in ENDED)
_Mark = tuple[datetime, str, str | None]  # from when, in which state, in which role


def read_timeline(session: Session, client_id: str | None, server_id: str, now: datetime) -> TimelineView | None:
    """None: there is no such server, or it is another client's."""
    row = get_server(session, client_id, server_id)
    if row is None:
        return None
    found = server_history(session, row.server.client_id, server_id)
    told: defaultdict[str, list[Event]] = defaultdict(list)
    for event in found.events:
        told[event.instance_id or ""].append(event)
    outages = [outage for operation in found.operations if (outage := _outage(operation)) is not None]
    return TimelineView(
        server_id=server_id,
        name=row.server.name,
        instances=[_life(instance, told[instance.id]) for instance in found.instances],
        notices=[NoticeView.model_validate(notice) for notice in found.notices],
        outages=outages,
        operations=[OperationSummary.model_validate(operation) for operation in found.operations],
        at=now,
    )


def _life(instance: Instance, events: Sequence[Event]) -> LifeView:
    spans = _spans(_marks(instance, events))
    ended = spans[-1].since if spans[-1].state in _ENDED else None
    return LifeView(
        id=instance.id,
        pool=instance.pool,
        zone=instance.zone,
        instance_type=instance.instance_type,
        lifecycle=instance.lifecycle,
        state=instance.state,
        role=instance.role,
        usd_per_hour=instance.usd_per_hour,
        started_at=spans[0].since,
        ended_at=ended,
        spans=[span for span in spans if span.state not in _ENDED],
    )


def _marks(instance: Instance, events: Sequence[Event]) -> list[_Mark]:
    marks = [(event.at, str(event.payload.get("state") or ""), event.payload.get("role")) for event in events]
    marks = [mark for mark in marks if mark[1]]
    if not marks:
        return _marks_without_events(instance)
    if marks[0][0] - instance.created_at > timedelta(seconds=1):
        former = str(events[0].payload.get("former_state") or marks[0][1])
        marks.insert(0, (instance.created_at, former, marks[0][2]))
    return marks


def _marks_without_events(instance: Instance) -> list[_Mark]:
    begun = instance.launch_requested_at or instance.created_at
    marks: list[_Mark] = [(begun, "launching", None)] if instance.launch_requested_at else []
    ended = instance.terminate_confirmed_at or instance.updated_at if instance.state in _ENDED else None
    state = "running_primary" if ended else instance.state
    marks.append((instance.launch_confirmed_at or begun, state, instance.role))
    if instance.terminate_requested_at:
        marks.append((instance.terminate_requested_at, "terminating", None))
    return [*marks, (ended, instance.state, None)] if ended else marks


def _spans(marks: Sequence[_Mark]) -> list[SpanView]:
    """A mark with the state and role of the one before begins no new span."""
    spans: list[SpanView] = []
    for at, state, role in marks:
        if spans and (spans[-1].state, spans[-1].role) == (state, role):
            continue
        if spans:
            spans[-1].until = at
        spans.append(SpanView(state=state, role=role, since=at, until=None))
    return spans


def _outage(operation: Operation) -> OutageView | None:
    receipt = operation.receipt or {}
    ms = receipt.get("control_outage_ms")
    if not ms:
        return None
    steps = {step.get("name"): step for step in receipt.get("steps") or [] if isinstance(step, dict)}
    fence = steps.get("fence") or steps.get("serve") or {}
    since = datetime.fromisoformat(fence["started_at"]) if "started_at" in fence else operation.started_at
    if since is None:
        return None
    until = since + timedelta(milliseconds=ms)
    return OutageView(operation_id=operation.id, kind=operation.kind, since=since, until=until, ms=ms)
