"""Records of operations and their steps.

The server's stream says that an operation was accepted, the operation's own stream says that it runs. They arrive in
either order, so whichever is first makes the row.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.mysql import insert

from activities.records.entry import RecordEntry, RecordRejected
from db.event_log.writing import NewEvent
from db.tables import Operation, OperationStep
from domain.names import operation_workflow_id
from domain.operations import OperationStatus, Outcome

FINAL = frozenset(Outcome)


def accepted(entry: RecordEntry) -> list[NewEvent]:
    row = _locked(entry)
    row.kind = entry.text("kind", 32)
    row.priority = int(entry.payload.get("priority") or 0)
    row.request_id = entry.text("request_id", 255) or None
    row.body_digest = entry.text("digest", 128)
    row.asked_pool = entry.text("pool", 128)
    row.requested_by = entry.text("requested_by", 64)
    row.requested_at = entry.at
    return [
        entry.event(
            "operation.queued",
            kind=row.kind,
            priority=row.priority,
            request_id=row.request_id,
            pool=row.asked_pool,
            requested_by=row.requested_by,
            status=row.status,
        )
    ]


def started(entry: RecordEntry) -> list[NewEvent]:
    row = _locked(entry)
    if row.status in FINAL:
        raise RecordRejected(f"operation {row.id} is {row.status}; it cannot start")
    row.status = OperationStatus.RUNNING.value
    row.started_at = entry.at
    row.kind = entry.text("kind", 32) or row.kind
    row.handoff = entry.text("handoff", 16)
    row.from_pool = entry.text("from_pool", 128)
    row.workflow_run_id = entry.batch.workflow_run_id[:64]
    return [entry.event("operation.running", kind=row.kind, handoff=row.handoff, from_pool=row.from_pool)]


def step_started(entry: RecordEntry) -> list[NewEvent]:
    step = _new_step(entry, _locked(entry))
    return [entry.event("operation.step", step=step.name, position=step.position, state="started")]


def step_ended(entry: RecordEntry) -> list[NewEvent]:
    """Ends the latest run of the step that has not ended."""
    operation = _locked(entry)
    open_runs = select(OperationStep).where(
        OperationStep.operation_id == operation.id,
        OperationStep.name == entry.text("step", 64),
        OperationStep.ended_at.is_(None),
    )
    step = entry.session.scalar(open_runs.order_by(OperationStep.position.desc()).limit(1))
    step = step or _new_step(entry, operation)
    step.ended_at = entry.at
    step.ms = int(entry.payload.get("ms") or 0)
    step.ok = bool(entry.payload.get("ok", True))
    step.calls = [str(call) for call in entry.payload.get("calls") or []]
    step.hooks = list(entry.payload.get("hooks") or [])
    step.note = entry.text("note", 2000)
    return [
        entry.event(
            "operation.step",
            step=step.name,
            position=step.position,
            state="ended",
            ms=step.ms,
            ok=step.ok,
            calls=step.calls,
            note=step.note,
        )
    ]


def needs_attention(entry: RecordEntry) -> list[NewEvent]:
    row = _locked(entry)
    row.attention = True
    row.attention_reason = entry.text("reason", 2000)
    return [entry.event("operation.attention", kind=row.kind, reason=row.attention_reason)]


def finished(entry: RecordEntry) -> list[NewEvent]:
    """The outcome, recorded by the operation or, when it wrote no end of its own, by its server.

    The first of two counts. A receipt is taken whenever it comes.
    """
    row = _locked(entry)
    outcome = Outcome(entry.payload["outcome"])
    receipt = entry.payload.get("receipt") or {}
    if row.status == outcome:
        row.receipt = row.receipt or dict(receipt) or None
        return []
    if row.status in FINAL:
        raise RecordRejected(f"operation {row.id} is {row.status} already; it cannot end as {outcome.value}")
    row.status = row.outcome = outcome.value
    row.reason = entry.text("reason", 2000)
    row.finished_at = entry.at
    row.receipt = dict(receipt) or None
    row.from_pool = row.from_pool or str(receipt.get("from_pool") or "")[:128]
    row.to_pool = str(receipt.get("to_pool") or "")[:128]
    # A problem that is over needs nobody any more. Its events still say what it was.
    row.attention = outcome is Outcome.NEEDS_ATTENTION
    row.attention_reason = (row.attention_reason or row.reason) if row.attention else ""
    return [_ending(entry, row, outcome)]


def _ending(entry: RecordEntry, row: Operation, outcome: Outcome) -> NewEvent:
    receipt = row.receipt or {}
    return entry.event(
        f"operation.{outcome.value}",
        kind=row.kind,
        outcome=outcome.value,
        reason=row.reason,
        from_pool=row.from_pool,
        to_pool=row.to_pool,
        control_outage_ms=receipt.get("control_outage_ms"),
        hourly_before=receipt.get("hourly_before"),
        hourly_after=receipt.get("hourly_after"),
    )


def _locked(entry: RecordEntry) -> Operation:
    """The operation's row. It is made if this is the first record of the operation."""
    operation_id = entry.operation_id
    if not operation_id:
        raise ValueError("the record names no operation")
    row = entry.session.get(Operation, operation_id, with_for_update=True)
    if row is None:
        _insert(entry, operation_id)
        row = entry.session.get_one(Operation, operation_id, with_for_update=True)
    entry.own(row.client_id, row.server_id, f"operation {row.id}")
    return row


def _insert(entry: RecordEntry, operation_id: str) -> None:
    """The other stream may insert it at the same moment: then take that row."""
    row = insert(Operation).values(
        id=operation_id,
        server_id=entry.batch.server_id,
        client_id=entry.batch.client_id,
        kind=entry.text("kind", 32),
        status=OperationStatus.QUEUED.value,
        workflow_id=operation_workflow_id(operation_id),
        requested_at=entry.at,
    )
    entry.session.execute(row.on_duplicate_key_update(id=Operation.id))


def _new_step(entry: RecordEntry, operation: Operation) -> OperationStep:
    # The operation's row is locked, so two of its steps never get the same position.
    taken = select(func.max(OperationStep.position)).where(OperationStep.operation_id == operation.id)
    step = OperationStep(
        operation_id=operation.id,
        position=(entry.session.scalar(taken) or 0) + 1,
        name=entry.text("step", 64),
        started_at=entry.at,
        calls=[],
        hooks=[],
        note="",
    )
    entry.session.add(step)
    entry.session.flush()
    return step
