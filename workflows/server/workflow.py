"""ServerWorkflow: the only writer of a server's shape.

Everything that wants to change a server asks here, by update. It accepts or refuses at once, orders
what it accepted by priority, runs one operation at a time as a child workflow, and continues as new
before its history is too long to be replayed in a moment. A notice comes as a signal, from wherever it was heard first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain import admission
from domain.host import Filesystem, Notice
from domain.names import operation_id
from domain.operations import (
    AcceptedRequest,
    CommitReport,
    OperationKind,
    OperationRequest,
    OperationResult,
    Outcome,
    Refusal,
    ServerInput,
    ServerView,
)
from domain.records import RecordKind
from domain.servers import ServerPolicy, ServerShape
from workflows.operations.outcome import as_json
from workflows.recorder import Recorder
from workflows.server.host_watch import HostWatches
from workflows.server.notice_responder import NoticeResponder
from workflows.server.operation_queue import OperationQueue, RunningOperation

_READ_YOUR_WRITE_S = 2.0
_REQUESTS_KEPT = 500  # requests, across continue-as-new
LONGEST_HISTORY = 400  # events of a run, some nine operations: a quarter of a second to replay


@workflow.defn
class ServerWorkflow:
    @workflow.init
    def __init__(self, start: ServerInput) -> None:
        self.server = start.server
        self.policy = start.policy
        self.shape = start.shape
        self.ended = start.ended
        self.requests = dict(start.requests)
        self.recorder = Recorder(f"server/{start.server.server_id}", start.server, seq=start.record_seq)
        self.queue = OperationQueue(start.last_operation, start.outcomes)
        self.notice_responder = NoticeResponder(self, start.notices)
        self.watches = HostWatches(self)

    @workflow.run
    async def run(self, start: ServerInput) -> None:
        self.watches.follow(self.shape)
        while not (self.ended and self.queue.idle):
            await workflow.wait_condition(
                lambda: self.queue.may_start() or self._may_continue() or (self.ended and self.queue.idle)
            )
            if self.queue.may_start():
                await self._start_next()
            elif self._may_continue():
                await self._continue_as_new()
        await self.watches.stop()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self.recorder.flush()

    # --- what may be asked

    @workflow.update
    async def request(self, request: OperationRequest) -> AcceptedRequest:
        """Accept or refuse at once. The same request ID again is the same operation (invariant 4)."""
        await _begin_update_with_command()
        operation = operation_id(self.server.server_id, request.request_id)
        if (digest := self.requests.get(request.request_id)) is not None:
            if request.body_digest and digest and digest != request.body_digest:
                raise _refused(Refusal.REQUEST_ID_REUSED, "this request ID was used for another request")
            return AcceptedRequest(operation, self.queue.status_of(operation), repeated=True)
        if refusal := admission.why_refused(request, self.shape, self.ended, self.queue.busy):
            raise _refused(*refusal)
        self.accept(request)
        # So that who asked can read the operation at once; an emergency's records may be late.
        await self.recorder.flush_within(_READ_YOUR_WRITE_S)
        return AcceptedRequest(operation)

    @workflow.update
    async def change_policy(self, policy: ServerPolicy) -> None:
        await _begin_update_with_command()
        self.policy = policy
        self.recorder.add(RecordKind.SERVER_POLICY, policy=as_json(admission.policy_json(policy)))
        await self.recorder.flush_within(_READ_YOUR_WRITE_S)

    @workflow.signal
    def notice(self, notice: Notice) -> None:
        self.notice_responder.take(notice)

    @workflow.signal
    async def cancel_operation(self, operation: str) -> None:
        """A queued operation is dropped; a running one stops before its commit, or goes on after it."""
        if dropped := self.queue.drop(operation):
            self._never_starts(operation, f"cancelled while queued ({dropped.kind.value})")
        elif running := await self._running(operation):
            await running.abort("cancelled by request")

    @workflow.signal
    async def operation_settled(self, committed: CommitReport) -> None:
        """An operation has committed: the server's shape is the new one, whatever it still tidies up."""
        if (running := await self._running(committed.operation_id)) and not running.committed:
            running.committed = True
            self._take_shape(running, committed.shape)
            self.notice_responder.committed(running)

    async def _running(self, operation: str) -> RunningOperation | None:
        """The running operation of this ID. A signal about one that is being started waits until it is: a workflow
        task that tells both that its child workflow has started and a signal hands over the signal first.

        What commits at once told so in vain on a busy machine: the server still watched what it was ending, took its
        end for a loss, and asked for a rescue or for another replica. Found by the crash matrix.
        """
        if self.queue.is_starting(operation):
            await workflow.wait_condition(lambda: not self.queue.is_starting(operation))
        return self.queue.find_running(operation)

    @workflow.query
    def state(self) -> ServerView:
        return ServerView(self.shape, self.queue.running_view(), self.queue.waiting_views(), self.ended)

    # --- one operation at a time

    def accept(self, request: OperationRequest) -> str:
        operation = operation_id(self.server.server_id, request.request_id)
        self.requests[request.request_id] = request.body_digest
        self.queue.add(operation, request)
        if request.kind is OperationKind.LAUNCH:
            self._record_described()
        for running in self.queue.keeping_old():
            asyncio.create_task(running.stop_keeping_old())  # noqa: RUF006 - nothing waits for it; Temporal keeps the task
        self.recorder.add(
            RecordKind.OPERATION_ACCEPTED,
            operation_id=operation,
            kind=request.kind.value,
            priority=int(request.priority),
            request_id=request.request_id,
            digest=request.body_digest,
            pool=request.pool,
            requested_by=request.requested_by,
        )
        return operation

    def _record_described(self) -> None:
        """A server that was described and not adopted is in the records before it has an instance."""
        self.recorder.add(
            RecordKind.SERVER_ADOPTED,
            name=self.server.name,
            region=self.server.region,
            policy=as_json(admission.policy_json(self.policy)),
            handoff=self.policy.handoff.value,
        )

    async def _start_next(self) -> None:
        waiting = self.queue.take()
        if refusal := admission.why_refused(waiting.request, self.shape, self.ended, busy=False):
            # What was true when it was accepted no longer is: the answer is old.
            self._never_starts(waiting.operation_id, refusal[1])
            self.queue.not_started(waiting)
            return
        running = await RunningOperation.start(waiting, self.server, self.policy, self.shape, self.queue.last_operation)
        self.queue.started(running)
        self.notice_responder.started(running)
        running.follower = asyncio.create_task(self._follow(running))
        if self.queue.delays_queue(running):
            asyncio.create_task(running.stop_keeping_old())  # noqa: RUF006 - as in `accept`

    def _never_starts(self, operation: str, reason: str) -> None:
        self.recorder.add(
            RecordKind.OPERATION_ENDED, operation_id=operation, outcome=Outcome.CANCELLED.value, reason=reason
        )

    async def _follow(self, running: RunningOperation) -> None:
        result = await running.result()
        if running.broken_off:
            # It wrote no end of its own, and the records of the next operation come after its end.
            self.recorder.add(
                RecordKind.OPERATION_ENDED,
                operation_id=running.operation_id,
                outcome=result.outcome.value,
                reason=result.receipt.reason,
            )
        self._take_result(running, result)
        self.queue.finished(running, result.outcome)
        self.notice_responder.after(running, result)
        await _end_operation_with_command()

    def _take_result(self, running: RunningOperation, result: OperationResult) -> None:
        if result.outcome is Outcome.COMMITTED or running.committed:
            if not running.committed or running is self.queue.latest:
                self._take_shape(running, result.shape)
        else:
            lost = self.shape.replica is not None and result.shape.replica is None
            self.shape = replace(
                self.shape,
                replica=None if lost else self.shape.replica,
                blueprint=result.shape.blueprint if result.shape.broken_off else self.shape.blueprint,
                broken_off=result.shape.broken_off or self.shape.broken_off,
                cool_downs={**self.shape.cool_downs, **result.shape.cool_downs},
            )
        if result.ended:
            self._end("released" if running.kind is OperationKind.RELEASE else "terminated")
        elif self._launch_failed(running, result):
            self._end("never launched")

    def _launch_failed(self, running: RunningOperation, result: OperationResult) -> bool:
        """Nothing is left of its launch: its name is free again, and who wants it describes it anew."""
        undone = result.outcome in (Outcome.ROLLED_BACK, Outcome.CANCELLED)
        return running.kind is OperationKind.LAUNCH and undone and self.shape.primary is None

    def _end(self, how: str) -> None:
        self.ended = True
        self.recorder.add(RecordKind.SERVER_ENDED, how=how)

    def learn_filesystems(self, found: Sequence[Filesystem]) -> None:
        if found:
            self.shape = replace(self.shape, filesystems=list(found))

    def _take_shape(self, running: RunningOperation, shape: ServerShape) -> None:
        """What the operation changed; the rest stays, since another may have changed it meanwhile."""
        now, before, mine = workflow.now().timestamp(), running.shape, self.shape
        cool_downs = {**mine.cool_downs, **shape.cool_downs}
        self.shape = ServerShape(
            primary=mine.primary if shape.primary == before.primary else shape.primary,
            replica=mine.replica if shape.replica == before.replica else shape.replica,
            filesystems=shape.filesystems or mine.filesystems,
            cool_downs={pool: until for pool, until in cool_downs.items() if until > now},
            blueprint=mine.blueprint if shape.blueprint == before.blueprint else shape.blueprint,
            kept_snapshots=(
                mine.kept_snapshots if shape.kept_snapshots == before.kept_snapshots else shape.kept_snapshots
            ),
            broken_off=mine.broken_off and shape.primary == before.primary,
        )
        self.watches.follow(self.shape)

    # --- continue as new

    def _may_continue(self) -> bool:
        """When nothing is under way, records included: nothing may be awaited in between."""
        return (
            not self.ended
            and self.queue.idle
            and self.recorder.caught_up
            and workflow.all_handlers_finished()
            and _is_long()
        )

    async def _continue_as_new(self) -> None:
        await self.watches.stop()
        if not self._may_continue():  # something was asked meanwhile
            self.watches.follow(self.shape)
            return
        latest = dict(list(self.requests.items())[-_REQUESTS_KEPT:])
        workflow.continue_as_new(
            ServerInput(
                self.server,
                self.policy,
                self.shape,
                latest,
                self.notice_responder.known[-100:],
                self.queue.last_operation,
                self.recorder.seq,
                self.ended,
                self.queue.outcomes(_REQUESTS_KEPT),
            )
        )


def _is_long() -> bool:
    """Long before Temporal suggests it (4096 events): a worker that takes the server up replays the whole run within
    one workflow task. When it is not done in `WORKFLOW_TASK_S` it begins again, and again in vain. Replaying 2300
    events took 1.4 s of a processor. Found by the crash matrix, as a request that nobody answered for 90 s.
    """
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > LONGEST_HISTORY


async def _end_operation_with_command() -> None:
    """A command, so that no workflow task in which an operation ends is without one. See `_alone`."""
    await workflow.sleep(timedelta(milliseconds=1))


async def _begin_update_with_command() -> None:
    """What an update does first: a command, and nothing that depends on what else the workflow has just heard.

    The SDK's core takes tasks without commands and the update's for one, but only while the update's is new: a worker
    that had to replay takes up the update before what those tasks told, and whoever replays its history after it. The
    commands came in another order, and the server stood still for good (temporalio/sdk-rust issues 1146, 1606,
    temporalio/sdk-python issue 1591). Found by the crash matrix and by chaos; tests/workflows/test_uncached_worker.py.
    """
    await workflow.sleep(timedelta(milliseconds=1))


def _refused(refusal: Refusal, words: str) -> ApplicationError:
    return ApplicationError(words, type=refusal.value, non_retryable=True)
