"""Records of a server, and of the notices that reach it."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from activities.records import reliability
from activities.records.entry import RecordEntry, RecordRejected
from db.event_log.writing import NewEvent
from db.tables import Notice, Server
from domain.host import NoticeKind


def adopted(entry: RecordEntry) -> list[NewEvent]:
    server = entry.session.get(Server, entry.batch.server_id, with_for_update=True)
    if server is None:
        server = _insert(entry)
    else:
        entry.own(server.client_id, server.id, f"server {server.id}")
        _describe(entry, server)
    return [
        entry.event(
            "server.adopted",
            name=server.name,
            region=server.region,
            account_id=server.account_id,
            handoff=server.handoff,
            moves=server.moves,
            policy=server.policy,
        )
    ]


def policy_changed(entry: RecordEntry) -> list[NewEvent]:
    server = _known(entry)
    policy = dict(entry.payload["policy"])
    server.policy = policy
    server.handoff = str(policy.get("handoff") or server.handoff)
    server.updated_at = entry.at
    return [entry.event("server.policy", policy=policy, handoff=server.handoff)]


def ended(entry: RecordEntry) -> list[NewEvent]:
    server = _known(entry)
    server.state = "ended"
    server.ended_how = entry.text("how", 32)
    server.ended_at = server.updated_at = entry.at
    return [entry.event("server.ended", how=server.ended_how, name=server.name)]


def notice(entry: RecordEntry) -> list[NewEvent]:
    """A notice that comes another way too gains a source. It is one event."""
    notice_id = entry.text("notice_id", 128) or f"{entry.text('instance_id')}/{entry.text('kind')}"
    row = entry.session.get(Notice, (notice_id, entry.batch.server_id), with_for_update=True)
    events = []
    if row is None:
        row = _new_notice(entry, notice_id)
        entry.session.add(row)
        reliability.record_notice(entry, row)
        events.append(_heard(entry, row))
    elif (source := entry.text("source", 16)) and source not in row.sources:
        row.sources = [*row.sources, source]
    row.operation_id = row.operation_id or entry.text("operation_id", 64) or None
    return [*events, *_handled(entry, row)]


def _insert(entry: RecordEntry) -> Server:
    """Workflows run on whether or not a name is taken. So the row is kept, under a name that is free."""
    server = Server(id=entry.batch.server_id, client_id=entry.batch.client_id, created_at=entry.at)
    _describe(entry, server)
    try:
        with entry.session.begin_nested():
            entry.session.add(server)
    except IntegrityError:
        server.name = f"{server.name[:160]} ({server.id})"[:191]
        entry.session.add(server)
    return server


def _describe(entry: RecordEntry, server: Server) -> None:
    server.name = entry.text("name", 191) or server.id
    server.region = entry.text("region", 32)
    server.account_id = entry.text("account_id", 32)
    server.policy = dict(entry.payload.get("policy") or {})
    server.handoff = entry.text("handoff", 16) or str(server.policy.get("handoff", ""))
    server.moves = [str(move) for move in entry.payload.get("moves") or []]
    server.state = "active"
    server.ended_how = server.ended_at = None
    server.updated_at = entry.at


def _known(entry: RecordEntry) -> Server:
    server = entry.session.get(Server, entry.batch.server_id, with_for_update=True)
    if server is None:
        raise RecordRejected(f"server {entry.batch.server_id} was never adopted")
    entry.own(server.client_id, server.id, f"server {server.id}")
    return server


def _new_notice(entry: RecordEntry, notice_id: str) -> Notice:
    source = entry.text("source", 16)
    return Notice(
        notice_id=notice_id,
        server_id=entry.batch.server_id,
        client_id=entry.batch.client_id,
        instance_id=entry.text("instance_id", 64),
        kind=NoticeKind(entry.payload["kind"]).value,
        source=source,
        sources=[source],
        action=entry.text("action", 16),
        deadline=entry.instant("deadline"),
        seen_at=entry.instant("seen_at") or entry.at,
        handled="",
    )


def _heard(entry: RecordEntry, row: Notice) -> NewEvent:
    return entry.event(
        f"notice.{row.kind}",
        instance_id=row.instance_id,
        notice_id=row.notice_id,
        source=row.source,
        action=row.action,
        deadline=row.deadline.isoformat() if row.deadline else None,
        seen_at=row.seen_at.isoformat(),
    )


def _handled(entry: RecordEntry, row: Notice) -> list[NewEvent]:
    how = entry.payload.get("handled")
    if not how or row.handled_at is not None:
        return []
    row.handled_at = entry.at
    row.handled = "" if how is True else str(how)[:255]
    return [entry.event("notice.handled", instance_id=row.instance_id, notice_id=row.notice_id, handled=row.handled)]
