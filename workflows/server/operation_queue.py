"""The operations of one server that wait and run: by priority, then by arrival, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority
from temporalio.exceptions import FailureError
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from domain.host import Notice
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE, WORKFLOW_TASK_S, operation_workflow_id
from domain.operations import (
    SIGNAL_ABORT,
    SIGNAL_NOTICE,
    SIGNAL_STOP_KEEPING_OLD,
    OperationInput,
    OperationKind,
    OperationRequest,
    OperationResult,
    OperationStatus,
    OperationView,
    Outcome,
    Priority,
    Receipt,
)
from domain.servers import ServerPolicy, ServerRef, ServerShape

_WORKFLOWS: dict[OperationKind, str] = {
    OperationKind.LAUNCH: "LaunchWorkflow",
    OperationKind.SWITCH: "SwitchWorkflow",
    OperationKind.FAILOVER: "FailoverWorkflow",
    OperationKind.TERMINATE: "TerminateWorkflow",
    OperationKind.RELEASE: "TerminateWorkflow",
    OperationKind.REPLICA_CREATE: "ReplicaWorkflow",
    OperationKind.REPLICA_DROP: "ReplicaWorkflow",
    OperationKind.PROMOTE: "PromoteWorkflow",
}
# These do not touch the primary: a rescue need not wait until they are undone.
_LEAVE_PRIMARY_ALONE = frozenset({OperationKind.REPLICA_CREATE, OperationKind.REPLICA_DROP})


@dataclass(frozen=True)
class QueuedOperation:
    operation_id: str
    request: OperationRequest
    accepted_at: datetime

    @property
    def kind(self) -> OperationKind:
        return self.request.kind

    def view(self) -> OperationView:
        return OperationView(self.operation_id, self.kind, int(self.request.priority), OperationStatus.QUEUED)


@dataclass
class RunningOperation:
    operation_id: str
    request: OperationRequest
    shape: ServerShape
    handle: ChildWorkflowHandle[object, OperationResult]
    committed: bool = False  # committed: it only tidies up
    aborting: bool = False
    ended_without_result: bool = False  # its workflow ended without a result
    follower: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, waiting: QueuedOperation, server: ServerRef, policy: ServerPolicy, shape: ServerShape, after: str
    ) -> RunningOperation:
        emergency = waiting.request.priority is Priority.EMERGENCY
        start = OperationInput(
            waiting.operation_id, waiting.request, server, policy, shape, waiting.accepted_at, after_operation=after
        )
        handle = await workflow.start_child_workflow(
            _WORKFLOWS[waiting.kind],
            start,
            id=operation_workflow_id(waiting.operation_id),
            result_type=OperationResult,
            task_queue=EMERGENCY_QUEUE if emergency else CONTROL_QUEUE,
            task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
            parent_close_policy=ParentClosePolicy.ABANDON,
            priority=TemporalPriority(
                priority_key=waiting.request.priority.temporal_key, fairness_key=server.client_id[:64]
            ),
        )
        return cls(waiting.operation_id, waiting.request, shape, handle)

    @property
    def kind(self) -> OperationKind:
        return self.request.kind

    @property
    def blocks_rescue(self) -> bool:
        """Whether a rescue has to wait for it."""
        return not self.committed and not (self.aborting and self.kind in _LEAVE_PRIMARY_ALONE)

    async def result(self) -> OperationResult:
        """A child that ended by itself without a result (terminated in Temporal) needs a person."""
        try:
            return await self.handle
        except FailureError as error:
            self.ended_without_result = True
            reason = f"its workflow ended without a result: {error.cause or error}"
            receipt = Receipt(self.operation_id, self.kind, Outcome.NEEDS_ATTENTION, reason=reason)
            return OperationResult(Outcome.NEEDS_ATTENTION, self.shape, receipt)

    async def abort(self, reason: str) -> None:
        self.aborting = True
        with suppress(FailureError):  # it has ended just now: its result is on its way
            await self.handle.signal(SIGNAL_ABORT, reason)

    async def stop_keeping_old(self) -> None:
        with suppress(FailureError):
            await self.handle.signal(SIGNAL_STOP_KEEPING_OLD)

    async def send_notice(self, notice: Notice) -> None:
        with suppress(FailureError):  # as above; when the result arrives, the server checks what is doomed
            await self.handle.signal(SIGNAL_NOTICE, notice)

    def view(self) -> OperationView:
        return OperationView(self.operation_id, self.kind, int(self.request.priority), OperationStatus.RUNNING)


class OperationQueue:
    def __init__(self, last_operation: str, done: Mapping[str, OperationStatus]) -> None:
        self.last_operation = last_operation
        self.latest: RunningOperation | None = None
        self._waiting: list[QueuedOperation] = []
        self._starting: QueuedOperation | None = None  # its child workflow is being started
        self._running: list[RunningOperation] = []
        self._done = dict(done)

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._running and self._starting is None

    @property
    def busy(self) -> bool:
        return not self.idle

    @property
    def uncommitted(self) -> RunningOperation | None:
        """The operation that has not committed yet, if there is one."""
        return next((running for running in self._running if not running.committed), None)

    def add(self, operation: str, request: OperationRequest) -> None:
        self._waiting.append(QueuedOperation(operation, request, workflow.now()))
        self._waiting.sort(key=lambda one: -int(one.request.priority))  # stable: then by arrival

    def may_start(self) -> bool:
        if not self._waiting:
            return False
        if self._waiting[0].request.priority is Priority.EMERGENCY:
            return not any(running.blocks_rescue for running in self._running)
        return not self._running

    def take(self) -> QueuedOperation:
        self._starting = self._waiting.pop(0)
        return self._starting

    def keeping_old(self) -> list[RunningOperation]:
        """Operations that would only keep an old instance for a while."""
        return [running for running in self._running if running.request.keep_old_s]

    def not_started(self, waiting: QueuedOperation) -> None:
        self._starting = None
        self._done[waiting.operation_id] = OperationStatus.CANCELLED

    def drop(self, operation: str) -> QueuedOperation | None:
        found = next((one for one in self._waiting if one.operation_id == operation), None)
        if found:
            self._waiting.remove(found)
            self._done[operation] = OperationStatus.CANCELLED
        return found

    def has(self, kind: OperationKind) -> bool:
        """Whether one of this kind waits, is being started or runs."""
        return any(one is not None and one.kind is kind for one in (*self._waiting, self._starting, *self._running))

    @property
    def drops_replica(self) -> bool:
        """Whether somebody's drop of the replica waits, is being started or runs; not one that a notice asked for."""
        runs = [running.request for running in self._running]
        waits = [one.request for one in (*self._waiting, self._starting) if one]
        return any(one.kind is OperationKind.REPLICA_DROP and one.notice is None for one in (*waits, *runs))

    def delays_queue(self, running: RunningOperation) -> bool:
        """Whether something waits that would wait for the old instance which it only keeps for a while."""
        return bool(self._waiting and running.request.keep_old_s)

    def started(self, running: RunningOperation) -> None:
        self._starting = None
        self._running.append(running)
        self.latest = running
        self.last_operation = running.operation_id

    def finished(self, running: RunningOperation, outcome: Outcome) -> None:
        self._running.remove(running)
        self._done[running.operation_id] = OperationStatus(outcome.value)

    def is_starting(self, operation: str) -> bool:
        return self._starting is not None and self._starting.operation_id == operation

    def find_running(self, operation: str) -> RunningOperation | None:
        return next((one for one in self._running if one.operation_id == operation), None)

    def status_of(self, operation: str) -> OperationStatus:
        if self.find_running(operation):
            return OperationStatus.RUNNING
        return self._done.get(operation, OperationStatus.QUEUED)

    def outcomes(self, most: int) -> dict[str, OperationStatus]:
        """Of the latest operations that have ended."""
        return dict(list(self._done.items())[-most:])

    def running_view(self) -> OperationView | None:
        first = self.uncommitted or (self._running[0] if self._running else None)
        if first is None and self._starting:
            return self._starting.view()
        return first.view() if first else None

    def waiting_views(self) -> list[OperationView]:
        return [one.view() for one in self._waiting]
