"""The fence between a server's lost workflow and the next one.

An activity of the lost workflow may still be under way, with records that follow the last one applied. So the stream's
number jumps ahead by more than the lost workflow can have sent: whatever still comes counts as applied already, and
cannot take a number of the new workflow's records. All of it is one transaction, under the stream's lock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from activities.records import operations, servers
from activities.records.batch import lock_stream
from activities.records.entry import RecordEntry
from activities.resuming.recorded_state import unfinished
from db.event_log.writing import NewEvent, append_events
from db.fleet.instances import end_instance
from db.tables import Instance, RecordStream, Server
from domain.names import server_workflow_id
from domain.operations import Outcome
from domain.records import Record, RecordBatch, RecordKind
from domain.resumption import ResumeFenceInput, ResumeFenceResult

FENCE_GAP = 1000  # records; a batch has at most 40 (workflows.recorder)


class RecordsChanged(Exception):
    """The records have changed since they were looked at."""


def fence_records(session: Session, given: ResumeFenceInput, now: datetime) -> ResumeFenceResult:
    """End what is unfinished (with `let_go` the server too), and close the stream to the lost workflow. Safe to
    repeat.

    Only one workflow at a time resumes a server, so a number that is ahead by just this much is ours.
    """
    server, stream = given.start.server, server_workflow_id(given.start.server.server_id)
    applied, ahead = lock_stream(session, stream), given.record_seq + FENCE_GAP
    if applied == ahead:
        return ResumeFenceResult(ahead)
    row = session.get(Server, server.server_id, with_for_update=True)
    if row is None or row.state != "active":
        raise RecordsChanged(f"server {server.server_id} has ended meanwhile")
    if applied != given.record_seq or unfinished(session, server.server_id) != given.unfinished:
        raise RecordsChanged(f"records of server {server.server_id} have come in since they were looked at; ask again")
    batch = RecordBatch(stream, server.client_id, server.server_id, "", [])
    events = [event for one in given.unfinished for event in _end(session, batch, one, given.reason, now)]
    session.execute(update(RecordStream).where(RecordStream.stream == stream).values(applied_seq=ahead))
    told = {"request_id": given.start.request_id, "requested_by": given.start.requested_by, "ended": given.unfinished}
    last = NewEvent("server.resumed", now, server.server_id, payload=told)
    if given.start.let_go:
        events += _end_instances(session, server.server_id, now)
        [last] = servers.ended(RecordEntry(session, batch, Record(0, now, RecordKind.SERVER_ENDED, {"how": "let go"})))
        last = replace(last, payload={**last.payload, **told, "body_digest": given.start.body_digest})
    append_events(session, server.client_id, [*events, last])
    return ResumeFenceResult(ahead)


def _end_instances(session: Session, server_id: str, now: datetime) -> list[NewEvent]:
    """Instances that have ended, or are gone from EC2 without a record: nothing that is left would tell the tables."""
    rows = session.scalars(select(Instance.id).where(Instance.server_id == server_id).order_by(Instance.id))
    why = "EC2 has it no more, and its server was let go"
    return [event for one in rows for event in end_instance(session, one, server_id, now, why, by="let_go")]


def _end(session: Session, batch: RecordBatch, operation_id: str, reason: str, now: datetime) -> list[NewEvent]:
    ended = {"operation_id": operation_id, "outcome": Outcome.NEEDS_ATTENTION.value, "reason": reason}
    return operations.finished(RecordEntry(session, batch, Record(0, now, RecordKind.OPERATION_ENDED, ended)))
