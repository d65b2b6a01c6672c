"""A batch of records: applied once, in order, in one transaction with its events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import select, update
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from activities.records import instances, ledger, operations, pools, servers
from activities.records.entry import RecordEntry, RecordRejected
from activities.records.instances import rejection
from activities.records.measurements import measurements_of
from db.event_log.writing import NewEvent, append_events
from db.tables import Operation, RecordStream
from domain.instance_states import IllegalMove
from domain.records import Measurement, Record, RecordBatch, RecordKind

log = logging.getLogger(__name__)

_APPLY: Mapping[RecordKind, Callable[[RecordEntry], list[NewEvent]]] = {
    RecordKind.SERVER_ADOPTED: servers.adopted,
    RecordKind.SERVER_POLICY: servers.policy_changed,
    RecordKind.SERVER_ENDED: servers.ended,
    RecordKind.NOTICE: servers.notice,
    RecordKind.OPERATION_ACCEPTED: operations.accepted,
    RecordKind.OPERATION_STARTED: operations.started,
    RecordKind.STEP_STARTED: operations.step_started,
    RecordKind.STEP_ENDED: operations.step_ended,
    RecordKind.OPERATION_ATTENTION: operations.needs_attention,
    RecordKind.OPERATION_FINISHED: operations.finished,
    RecordKind.OPERATION_ENDED: operations.finished,
    RecordKind.INSTANCE: instances.changed,
    RecordKind.PRIMARY: instances.committed,
    RecordKind.RESOURCE_INTENDED: ledger.intended,
    RecordKind.RESOURCE_MADE: ledger.made,
    RecordKind.RESOURCE_ADOPTED: ledger.adopted,
    RecordKind.RESOURCE_GONE: ledger.gone,
    RecordKind.POOL_COOL_DOWN: pools.cool_down,
}
# What a record itself can be wrong in. An error of the database's (lost, deadlocked) is not among
# them: that one rolls the batch back, and it is sent again.
_REJECTABLE = (RecordRejected, IllegalMove, IntegrityError, DataError, LookupError, ValueError, TypeError)


class RecordsMissing(Exception):
    """The batch begins after the next record of its stream: an earlier one has not arrived."""


class EarlierOperationUnfinished(Exception):
    """The operation that these records come after has not ended in the tables yet."""


def apply_batch(session: Session, batch: RecordBatch, told: list[Measurement] | None = None) -> int:
    """Apply what is new in the batch; return the stream's last applied number. `told`: gathers what it says of
    durations.

    Raises RecordsMissing, EarlierOperationUnfinished, db.event_log.writing.UnknownClient.
    Locks in this order: the stream, the rows, the client's event counter.
    """
    applied = lock_stream(session, batch.stream)
    new = [record for record in batch.records if record.seq > applied]
    if not new:
        return applied
    _check_order(batch, applied, new)
    if batch.after and not _ended(session, batch.after):
        raise EarlierOperationUnfinished(f"{batch.stream} waits for the records of operation {batch.after}")
    events = []
    for entry in (RecordEntry(session, batch, record) for record in new):
        its = _apply(entry)
        events += its
        if told is not None:
            told += measurements_of(entry, its)
    last = new[-1].seq
    session.execute(update(RecordStream).where(RecordStream.stream == batch.stream).values(applied_seq=last))
    append_events(session, batch.client_id, events)
    return last


def lock_stream(session: Session, stream: str) -> int:
    """The last number applied, held until the transaction ends."""
    # The insert takes the lock itself: a locking read first would leave two that both found nothing.
    row = insert(RecordStream).values(stream=stream, applied_seq=0)
    session.execute(row.on_duplicate_key_update(applied_seq=RecordStream.applied_seq))
    held = select(RecordStream.applied_seq).where(RecordStream.stream == stream).with_for_update()
    return session.scalars(held).one()


def _check_order(batch: RecordBatch, applied: int, new: list[Record]) -> None:
    for expected, record in enumerate(new, start=applied + 1):
        if record.seq != expected:
            raise RecordsMissing(f"{batch.stream}: record {expected} has not arrived, {record.seq} has")


def _ended(session: Session, operation_id: str) -> bool:
    status = session.scalar(select(Operation.status).where(Operation.id == operation_id))
    return status in operations.FINAL


def _apply(entry: RecordEntry) -> list[NewEvent]:
    """One record, in a savepoint: one that is wrong is told in an event and does not stop the stream."""
    try:
        with entry.session.begin_nested():
            return _APPLY[RecordKind(entry.record.kind)](entry)
    except _REJECTABLE as error:
        reason = str(getattr(error, "orig", None) or error)
        log.warning(
            "record rejected",
            extra={
                "stream": entry.batch.stream,
                "seq": entry.record.seq,
                "kind": str(entry.record.kind),
                "server_id": entry.batch.server_id,
                "operation_id": entry.operation_id,
                "reason": reason,
            },
        )
        return [rejection(entry, reason)]
