"""Records of resources: intended before the call that makes them, live, gone (invariant 3)."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from activities.records.entry import RecordEntry
from db.event_log.writing import NewEvent
from db.tables import Resource


def intended(entry: RecordEntry) -> list[NewEvent]:
    """Written again after a retry it changes nothing. A token that was given up as never made is open again."""
    row = _by_token(entry)
    if row is None:
        row = _new(entry, "intended")
        row.intended_at = entry.at
    elif row.state == "gone" and row.resource_id is None:
        row.state, row.how, row.gone_at = "intended", "", None
    else:
        return []
    return [_event(entry, row, "intended")]


def made(entry: RecordEntry) -> list[NewEvent]:
    row = _by_token(entry) or _new(entry, "live")
    resource_id = entry.text("resource_id", 255)
    if row.state == "live" and row.resource_id == resource_id:
        return []
    row.state, row.how, row.gone_at = "live", "made", None
    row.resource_id = resource_id
    row.live_at = entry.at
    return [_event(entry, row, "made")]


def adopted(entry: RecordEntry) -> list[NewEvent]:
    """Resources that were there before us and belong to the server now."""
    same = (Resource.type == entry.text("type", 32), Resource.state == "live")
    if _find(entry, *_identified(entry), *same):
        return []
    row = _new(entry, "live")
    row.how = "adopted"
    row.resource_id = entry.text("resource_id", 255)
    row.live_at = entry.at
    return [_event(entry, row, "adopted")]


def gone(entry: RecordEntry) -> list[NewEvent]:
    """Gone twice is one change. Resources that the ledger never had (a root volume) become an event all the same."""
    rows = _find(entry, *_identified(entry))
    ending = [row for row in rows if row.state != "gone"]
    if not rows:
        identity = {key: entry.payload[key] for key in ("resource_id", "token") if entry.payload.get(key)}
        return [entry.event("resource.gone", how=entry.text("how"), in_ledger=False, **identity)]
    for row in ending:
        row.state, row.how, row.gone_at = "gone", entry.text("how", 32), entry.at
    return [_event(entry, row, "gone") for row in ending]


def _identified(entry: RecordEntry) -> list[ColumnElement[bool]]:
    if resource_id := entry.text("resource_id", 255):
        return [Resource.resource_id == resource_id]
    return [Resource.token == entry.payload["token"]]


def _find(entry: RecordEntry, *where: ColumnElement[bool]) -> list[Resource]:
    mine = (Resource.client_id == entry.batch.client_id, Resource.server_id == entry.batch.server_id)
    query = select(Resource).where(*mine, *where).order_by(Resource.id).with_for_update()
    return list(entry.session.scalars(query.execution_options(populate_existing=True)))


def _by_token(entry: RecordEntry) -> Resource | None:
    token = entry.payload["token"]
    query = select(Resource).where(Resource.token == token).with_for_update()
    row = entry.session.scalar(query.execution_options(populate_existing=True))
    if row is not None:
        entry.own(row.client_id, row.server_id, f"token {token}")
    return row


def _new(entry: RecordEntry, state: str) -> Resource:
    row = Resource(
        client_id=entry.batch.client_id,
        server_id=entry.batch.server_id,
        operation_id=entry.operation_id,
        step=entry.text("step", 64),
        type=entry.text("type", 32),
        token=entry.text("token", 160) or None,
        state=state,
        how="",
        details=dict(entry.payload.get("details") or {}),
    )
    entry.session.add(row)
    return row


def _event(entry: RecordEntry, row: Resource, what: str) -> NewEvent:
    return entry.event(
        f"resource.{what}",
        resource_type=row.type,
        resource_id=row.resource_id,
        step=row.step,
        token=row.token,
        how=row.how,
    )
