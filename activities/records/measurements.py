"""What applied records say about durations: for metrics, told once the records are committed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from activities.records.entry import RecordEntry
from db.event_log.writing import NewEvent
from db.tables import Instance, Notice, Operation
from domain.host import NoticeKind
from domain.operations import OperationKind
from domain.records import MeasureKind, Measurement, RecordKind

log = logging.getLogger(__name__)

_K = RecordKind
_TO_COMMIT: Mapping[str, MeasureKind] = {
    OperationKind.SWITCH: MeasureKind.SWITCH,
    OperationKind.PROMOTE: MeasureKind.SWITCH,
    OperationKind.FAILOVER: MeasureKind.FAILOVER,
}
_NOTICE_COOL_DOWN = "interruption notice"  # of workflows/server/notice_responder.py: no launch failed for it


def measurements_of(entry: RecordEntry, events: Sequence[NewEvent]) -> list[Measurement]:
    """Of a record that was just applied; nothing of one that changed nothing or was rejected."""
    if not events:
        return []
    if any(event.type == "record_rejected" for event in events):
        return [Measurement(MeasureKind.REJECTED)]
    try:
        return list(_of(entry))
    except (ValueError, TypeError):
        # A figure that is none is no reason to lose the record, which stands.
        log.warning("nothing measured of a record", extra={"kind": str(entry.record.kind)}, exc_info=True)
        return []


def _of(entry: RecordEntry) -> Iterator[Measurement]:
    match RecordKind(entry.record.kind):
        case _K.INSTANCE:
            yield from _instance(entry)
        case _K.STEP_ENDED:
            operation = _operation(entry)
            labels = {"kind": operation.kind if operation else "", "step": entry.text("step", 64)}
            yield Measurement(MeasureKind.STEP, float(entry.payload.get("ms") or 0) / 1000, labels)
        case _K.PRIMARY:
            yield from _commit(entry)
        case _K.OPERATION_FINISHED | _K.OPERATION_ENDED:
            yield from _end(entry)
        case _K.NOTICE:
            yield Measurement(
                MeasureKind.NOTICE, labels={"kind": entry.text("kind", 16), "source": entry.text("source", 16)}
            )
        case _K.POOL_COOL_DOWN:
            if (reason := entry.text("reason", 64)) != _NOTICE_COOL_DOWN:
                yield Measurement(MeasureKind.CAPACITY, labels={"pool": entry.text("pool", 128), "reason": reason})


def _instance(entry: RecordEntry) -> Iterator[Measurement]:
    row = entry.session.get(Instance, (entry.text("instance_id", 64), entry.batch.server_id))
    if row is None:
        return
    labels = {"lifecycle": row.pool.rpartition("/")[2] or "unknown"}
    for key, measure, since, until in (
        ("launch_confirmed_at", MeasureKind.LAUNCH, row.launch_requested_at, row.launch_confirmed_at),
        ("terminate_confirmed_at", MeasureKind.TERMINATION, row.terminate_requested_at, row.terminate_confirmed_at),
    ):
        if entry.payload.get(key) and since and until:
            yield Measurement(measure, _seconds(since, until), labels)


def _commit(entry: RecordEntry) -> Iterator[Measurement]:
    operation = _operation(entry)
    if operation and (measure := _TO_COMMIT.get(operation.kind)):
        yield Measurement(measure, _seconds(operation.requested_at, entry.at), {"handoff": operation.handoff})
    former = entry.text("former_instance_id", 64)
    query = select(Notice.deadline).where(
        Notice.server_id == entry.batch.server_id,
        Notice.instance_id == former,
        Notice.kind == NoticeKind.INTERRUPTION.value,
    )
    if former and (deadline := entry.session.scalar(query)):
        # Below nothing, it was too late: it falls into the first bucket.
        yield Measurement(MeasureKind.TIME_LEFT, (deadline - entry.at).total_seconds())


def _end(entry: RecordEntry) -> Iterator[Measurement]:
    operation = _operation(entry)
    if operation is None or operation.finished_at is None:
        return
    labels = {"kind": operation.kind, "outcome": operation.status}
    yield Measurement(MeasureKind.OPERATION, _seconds(operation.requested_at, operation.finished_at), labels)
    outage_ms = (operation.receipt or {}).get("control_outage_ms")
    if outage_ms is not None:
        labels = {"kind": operation.kind, "handoff": operation.handoff}
        yield Measurement(MeasureKind.OUTAGE, float(outage_ms) / 1000, labels)


def _operation(entry: RecordEntry) -> Operation | None:
    """None for a record of the server itself."""
    return entry.session.get(Operation, entry.operation_id) if entry.operation_id else None


def _seconds(since: datetime, until: datetime) -> float:
    return max(0.0, (until - since).total_seconds())
