"""What every operation shares: its steps, its records, its undo, its urgency, its receipt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority
from temporalio.exceptions import ApplicationError, FailureError

from domain import ec2
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.host import HookRun, Notice
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, ownership_tags, server_workflow_id
from domain.operations import (
    SIGNAL_COMMITTED,
    AttributeChange,
    CommitReport,
    OperationInput,
    OperationResult,
    Outcome,
    Receipt,
    StepReport,
)
from domain.records import RecordKind
from domain.servers import ServerShape
from workflows.activity_calls import execute, execute_on_host, explain
from workflows.operations.replacement import Replacement
from workflows.operations.undo import UndoStack
from workflows.recorder import Recorder
from workflows.timeouts import CALL, Limits, host

T = TypeVar("T")


class Ec2Result(Protocol):
    @property
    def calls(self) -> list[str]: ...
    @property
    def attempts(self) -> int: ...


R = TypeVar("R", bound=Ec2Result)


class OperationAborted(Exception):
    """The operation was asked to stop before its commit. `by_notice`: its replacement is doomed."""

    def __init__(self, reason: str, by_notice: bool = False) -> None:
        super().__init__(reason)
        self.by_notice = by_notice


@dataclass
class _StepNotes:
    """What one step gathers for its report."""

    calls: Counter[str] = field(default_factory=Counter)
    hooks: list[HookRun] = field(default_factory=list)
    note: str = ""

    def calls_made(self) -> list[str]:
        """Each EC2 action once, in the order of its first call: `DescribeInstances x4`."""
        return [name if times == 1 else f"{name} x{times}" for name, times in self.calls.items()]


_notes: ContextVar[_StepNotes | None] = ContextVar("notes", default=None)


class Operation:
    def __init__(self, start: OperationInput) -> None:
        self.start = start
        self.server = start.server
        self.policy = start.policy
        self.shape: ServerShape = start.shape
        self.undo = UndoStack()
        self.recorder = Recorder(
            f"operation/{start.operation_id}",
            start.server,
            operation_id=start.operation_id,
            after=start.after_operation,
        )
        self.emergency = False
        self.blueprint_before_handoff: Blueprint | None = None  # what the primary had before anything was taken off it
        self.doomed = False  # the old instance is going away, whatever we do
        self.deadline: datetime | None = None
        self.committed = False
        self.attention = ""
        self.replacements: set[str] = set()
        self.launches: list[Replacement] = []
        self.gone: set[str] = set()  # instances it ended
        self.keeping_cut_short = False  # something else waits: what may be left out is
        self.tried: list[str] = []
        self.cool_downs: dict[str, float] = dict(start.shape.cool_downs)
        self.receipt = Receipt(start.operation_id, start.request.kind, Outcome.ROLLED_BACK)
        self.steps: list[StepReport] = []
        self._abort: OperationAborted | None = None

    # --- what it is told while it runs

    def abort(self, reason: str) -> None:
        """Stop before the commit; past it this changes nothing."""
        if not self.committed:
            self._abort = self._abort or OperationAborted(reason)

    def take_notice(self, notice: Notice) -> None:
        if self.committed:
            return  # the server looks at what serves now
        if notice.instance_id in self.replacements:
            self._abort = self._abort or OperationAborted(
                f"replacement {notice.instance_id} got an interruption notice", True
            )
        elif self.shape.primary and self.shape.primary.instance_id == notice.instance_id:
            self.emergency = self.doomed = True
            self.deadline = notice.deadline

    def clear_abort(self) -> None:
        """A failover goes on with another replacement when its first one is doomed."""
        self._abort = None

    # --- steps

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run one named step: recorded when it starts and ends, given up when the operation is aborted."""
        started, notes, outer = workflow.now(), _StepNotes(), _notes.get()
        _notes.set(notes)
        self.recorder.add(RecordKind.STEP_STARTED, step=name)
        try:
            result = await self._unless_aborted(work())
        except (FailureError, OperationAborted, asyncio.CancelledError) as error:
            if not isinstance(error, asyncio.CancelledError):
                notes.note = explain(error)
            _notes.set(outer)
            self._end_step(name, started, notes, False)
            raise
        _notes.set(outer)
        self._end_step(name, started, notes, True)
        return result

    def _end_step(self, name: str, started: datetime, notes: _StepNotes, ok: bool) -> None:
        ms = round((workflow.now() - started) / timedelta(milliseconds=1))
        calls = notes.calls_made()
        self.steps.append(StepReport(name, started, ms, calls, notes.hooks, notes.note))
        hooks = [{"name": h.name, "exit_code": h.exit_code, "ms": h.ms, "output": h.output} for h in notes.hooks]
        self.recorder.add(RecordKind.STEP_ENDED, step=name, ms=ms, ok=ok, calls=calls, hooks=hooks, note=notes.note)

    async def _unless_aborted(self, work: Awaitable[T]) -> T:
        if self.committed:
            return await work
        task = asyncio.ensure_future(work)
        await workflow.wait_condition(lambda: task.done() or self._abort is not None)
        if self._abort is None or task.done():
            return await task
        task.cancel()
        with suppress(asyncio.CancelledError, FailureError):  # either is the cancellation just asked for
            await task
        raise self._abort

    def stop_keeping_old(self) -> None:
        self.keeping_cut_short = True

    def note(self, text: str) -> None:
        if notes := _notes.get():
            notes.note = text

    def note_hooks(self, hooks: list[HookRun]) -> None:
        if notes := _notes.get():
            notes.hooks.extend(hook for hook in hooks if isinstance(hook, HookRun))

    def stop_if_cancelled(self) -> None:
        """Stop here when the step was given up during a call that is not broken off."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError

    # --- activities

    async def ec2(self, name: str, argument: object, answer: type[R], limits: Limits = CALL) -> R:
        """One EC2 activity, on the queue that the operation's urgency asks for; its calls are noted.

        A call that changes something is waited for even when the operation is aborted meanwhile: only
        then is it known what there is to undo, and none takes effect after its undo.
        """
        self.stop_if_cancelled()
        changes = name not in _READ_ONLY
        queue = EMERGENCY_QUEUE if self.emergency else CONTROL_QUEUE
        result = await execute(
            name, argument, answer, limits, queue=queue, priority=self._priority(), wait_when_cancelled=changes
        )
        if notes := _notes.get():
            notes.calls.update({call: result.calls.count(call) * result.attempts for call in result.calls})
        self.receipt = replace(self.receipt, calls=self.receipt.calls + len(result.calls) * result.attempts)
        return result

    async def host(
        self, instance_id: str, name: str, argument: object, answer: type[T], seconds: float, pickup_s: float = 15.0
    ) -> T:
        """One host activity on the agent's own queue: `seconds` to do it, `pickup_s` to be taken up."""
        self.stop_if_cancelled()
        limits = host(seconds, pickup_s=pickup_s)
        result = await execute_on_host(instance_id, name, argument, answer, limits, self._priority())
        self.note_hooks(getattr(result, "hooks", []))  # an inventory names hooks; the others ran some
        return result

    def _priority(self) -> TemporalPriority:
        key = 1 if self.emergency else self.start.request.priority.temporal_key
        return TemporalPriority(priority_key=key, fairness_key=self.server.client_id[:64])

    async def await_ledger(self) -> None:
        """What is about to be made stands in the ledger first; an emergency does not wait for it."""
        await self.recorder.flush(unless=lambda: self.emergency or self._abort is not None)

    @property
    def tags(self) -> dict[str, str]:
        return ownership_tags(self.server.client_id, self.server.server_id, self.start.operation_id)

    def seconds_left(self, reserve_s: float = 0.0) -> float | None:
        """Until the notice's deadline, less a reserve; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, (self.deadline - workflow.now()).total_seconds() - reserve_s)

    # --- commit and end

    async def commit(self, shape: ServerShape) -> None:
        """From here the operation only goes forward. The server hears of it before anything is retired."""
        self.committed = True
        self.undo.clear()
        self.shape = replace(shape, cool_downs=self.cool_downs)
        server = workflow.get_external_workflow_handle(server_workflow_id(self.server.server_id))
        await server.signal(SIGNAL_COMMITTED, CommitReport(self.start.operation_id, self.shape))

    def needs_attention(self, reason: str) -> None:
        """Say that a person should look; the operation itself goes on where it can."""
        self.attention = reason
        self.recorder.add(RecordKind.OPERATION_ATTENTION, reason=reason)

    def describe(
        self,
        *,
        handoff: str | None = None,
        from_pool: str | None = None,
        to_pool: str | None = None,
        hourly_before: float | None = None,
        hourly_after: float | None = None,
        control_outage_ms: int | None = None,
        changes: list[AttributeChange] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        self.receipt = replace(self.receipt, **given)

    def finish(self, outcome: Outcome, reason: str, *, ended: bool = False) -> OperationResult:
        self.receipt = replace(
            self.receipt,
            outcome=outcome,
            reason=reason,
            requested_at=self.start.requested_at,
            finished_at=workflow.now(),
            steps=list(self.steps),
            unexplained_changes=sum(1 for change in self.receipt.changes if not change.reason),
            tried_pools=list(self.tried),
        )
        shape = self.shape if self.committed else self._shape_undone(outcome)
        if shape.replica and shape.replica.instance_id in self.gone:
            shape = replace(shape, replica=None)
        return OperationResult(outcome, replace(shape, cool_downs=self.cool_downs), self.receipt, ended)

    def _shape_undone(self, outcome: Outcome) -> ServerShape:
        """As it began. To an instance that is lost nothing goes back: what it had is remembered for its rescue."""
        shape = self.start.shape
        lost = self.doomed or (shape.primary is not None and shape.primary.instance_id in self.gone)
        if self.blueprint_before_handoff is None or not (lost or outcome is Outcome.NEEDS_ATTENTION):
            return shape
        return replace(shape, blueprint=self.blueprint_before_handoff, broken_off=True)

    def refuse_if_broken_off(self, seen: Blueprint) -> None:
        """Raise Refused where something of the server is off its primary: a move would leave it behind."""
        had = self.start.shape.blueprint
        if not self.start.shape.broken_off or had is None:
            return
        off = {one.volume_id for one in had.data_volumes} - {one.volume_id for one in seen.data_volumes}
        off |= {one.allocation_id for one in had.elastic_ips} - {one.allocation_id for one in seen.elastic_ips}
        if off:
            raise ApplicationError(
                f"an operation was broken off with {', '.join(sorted(off))} off {seen.instance_id}: put them back on "
                "it, or ask for a failover, which takes them to the replacement",
                type=Failure.REFUSED,
                non_retryable=True,
            )


_READ_ONLY = frozenset(
    {
        ec2.INSPECT,
        ec2.SURVEY,
        ec2.RANK_POOLS,
        ec2.CHECK_LAUNCH,
        ec2.FIND_BY_TOKEN,
        ec2.CONFIRM_RUNNING,
        ec2.CONFIRM_TERMINATED,
        ec2.VOLUMES_OF,
        ec2.CONFIRM_SNAPSHOTS,
        ec2.CONFIRM_VOLUMES,
        ec2.CONFIRM_TARGETS,
        ec2.CONFIRM_DRAINED,
    }
)
